/** A call of a driver: what every facet takes and gives. */

import type { Millis } from '../base/time.ts'

/** Taken by every call that waits. */
export interface CallOptions {
  /** Ends the wait. Aborted before anything was sent: rejects with the signal's reason. Afterwards the outcome is unknown. */
  readonly signal?: AbortSignal
  /** Milliseconds until the call gives up; default 10,000. */
  readonly timeout?: Millis
}

/** A number that grows with every change: microseconds of the shard leader's clock, forced to increase strictly within a shard. */
export type Revision = bigint

/** What an operation can show for itself: which guarantee was really given. */
export interface Receipt {
  readonly guarantee: 'linearizable' | 'local'
  readonly shard: number
  /** Milliseconds since this replica last heard from its shard's leader; 0 for `'linearizable'`. */
  readonly ageMs: Millis
  /** What an acknowledged write has survived: a majority's disks, their operating systems' caches, or their memory. */
  readonly durability: 'disk' | 'os' | 'memory'
}

/** A grant that a write relies on: refused with `FENCED` where a newer token of this name has been seen. */
export interface Fence {
  readonly name: string
  readonly token: bigint
}
