/** The outbox of a shard holds commands that its transactions emit for other shards, until those have executed them. */

import { EmptyTable } from './empty-table.ts'
import type { OutboxView } from './leader-view.ts'
import { TABLE } from './table.ts'

/**
 * Kinds of the machine's own range. `emit` (only a part): `[target shard u32, kind u8, body]` is kept under the target's
 * next sequence. `relay`: `[source shard u32, sequence u53, kind u8, body]` is executed by the target when the sequence is
 * the next of its source; an earlier one has been executed before (`duplicate`), a later one is `conflict` with the next as
 * number. Whatever the inner command comes to counts as executed. `relayed`: `[target shard u32, sequence u53]`: the target
 * has executed everything up to there, so it is dropped.
 */
export class OutboxTable extends EmptyTable implements OutboxView {
  constructor() {
    super(TABLE.machine)
  }

  /** Whether a relayed command is the next of its source, which it then no longer is. 0: executed before; else what is next. */
  admit(_source: number, _sequence: number): number {
    return 0
  }

  targets(): Iterable<number> {
    return []
  }

  pending(): ReturnType<OutboxView['pending']> {
    return []
  }
}
