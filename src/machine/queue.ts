/** The queues of a shard: messages that wait, each for one consumer. */

import { EmptyTable } from './empty-table.ts'
import type { HeldMessage, QueueView } from './leader-view.ts'
import { type Neighbours, TABLE } from './table.ts'

export class QueueTable extends EmptyTable implements QueueView {
  readonly neighbours: Neighbours

  constructor(neighbours: Neighbours) {
    super(TABLE.queue)
    this.neighbours = neighbours
  }

  /** See `Neighbours.enqueue`. */
  enqueue: Neighbours['enqueue'] = () => 0

  hold(): HeldMessage | undefined {
    return undefined
  }

  unhold(): void {}

  unholdAll(): void {}

  nextAt(): number {
    return Number.POSITIVE_INFINITY
  }
}
