/** The lease facet is what the front knows of locks, elections and things that live as long as their owner. */

import type { Millis } from '../base/time.ts'
import type { CallOptions } from './contract-call.ts'

/** What is asked of a lock: how many of its permits, for whom, and for how long. */
export interface AcquireOptions extends CallOptions {
  /** Of `of` permits: 1 of 1 for a mutex, 1 of n for a semaphore. */
  readonly permits: number
  readonly of: number
  /** How long the holder may be out of touch before it loses what it holds. Default 10,000; at least 1,000. */
  readonly ttl: Millis
  /** How long the lock stays shut after its holder was lost. Default 0. */
  readonly lockDelay: Millis
  /** False: rejects with `LOCKED` at once rather than wait in line. `timeout` ends a wait with `TIMEOUT`. */
  readonly wait: boolean
  /** What others see of the holder. */
  readonly value: Uint8Array
}

/** A lock, or permits of one, in the hands of this process. */
export interface Hold {
  readonly name: string
  /** Grows with every grant of this name, across all holders and failures. */
  readonly token: bigint
  /** Aborts with `LEASE_LOST` at the latest when another may hold it: by this process's own clock, before the cluster gives it away. */
  readonly lost: AbortSignal
  /** With `to`, the waiting candidate with this value comes next. Resolves also when it was lost already. */
  release(options: CallOptions & { readonly to?: Uint8Array }): Promise<void>
}

/** Who holds a lock now. */
export interface LockStatus {
  readonly name: string
  readonly holders: readonly { readonly token: bigint; readonly value: Uint8Array; readonly permits: number }[]
  readonly waiting: number
}

/** A lease of its own that keys can be attached to. */
export interface LeaseHold {
  readonly lost: AbortSignal
  /** Sets a key that is deleted when the lease ends. */
  set(map: string, key: string, value: Uint8Array, options: CallOptions): Promise<void>
  end(options: CallOptions): Promise<void>
}

/** Promises: never more permits than `of` at once; first come, first served; tokens grow strictly. */
export interface LeaseFacet {
  acquire(name: string, options: AcquireOptions): Promise<Hold>
  /** The state now and after each change; states in between may be left out. */
  observe(name: string, options: { readonly signal?: AbortSignal }): AsyncIterable<LockStatus>
  /** Whether this token holds the lock now; linearizable. */
  verify(name: string, token: bigint, options: CallOptions): Promise<boolean>
  lease(options: CallOptions & { readonly ttl: Millis }): Promise<LeaseHold>
  locks(options: CallOptions): Promise<readonly LockStatus[]>
}
