/** The topics of a shard: partitions, which are logs of records, and the groups that read them. */

import { EmptyTable } from './empty-table.ts'
import type { TopicView } from './leader-view.ts'
import { type Neighbours, TABLE } from './table.ts'

export class TopicTable extends EmptyTable implements TopicView {
  readonly neighbours: Neighbours

  constructor(neighbours: Neighbours) {
    super(TABLE.topic)
    this.neighbours = neighbours
  }

  /** Members that live by this lease leave their groups. */
  leaseEnded: Neighbours['leaseEnded'] = () => {}

  read(_topic: string, _partition: number, offset: number): ReturnType<TopicView['read']> {
    return { records: new Uint8Array(0), count: 0, next: offset }
  }
}
