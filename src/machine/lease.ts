/** The leases of a shard, and what lives as long as they do: locks, places in line, attached keys. */

import { EmptyTable } from './empty-table.ts'
import type { LeaseView } from './leader-view.ts'
import { type Neighbours, TABLE } from './table.ts'

export class LeaseTable extends EmptyTable implements LeaseView {
  readonly neighbours: Neighbours

  constructor(neighbours: Neighbours) {
    super(TABLE.lease)
    this.neighbours = neighbours
  }

  leases(): ReturnType<LeaseView['leases']> {
    return []
  }

  has(_lease: number): boolean {
    return false
  }
}
