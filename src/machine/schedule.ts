/** The schedules of a shard: each sends a message to a queue of the shard whenever its time comes. */

import { EmptyTable } from './empty-table.ts'
import type { ScheduleView, UnplannedSchedule } from './leader-view.ts'
import { type Neighbours, TABLE } from './table.ts'

export class ScheduleTable extends EmptyTable implements ScheduleView {
  readonly neighbours: Neighbours

  constructor(neighbours: Neighbours) {
    super(TABLE.schedule)
    this.neighbours = neighbours
  }

  unplanned(): Iterable<UnplannedSchedule> {
    return []
  }
}
