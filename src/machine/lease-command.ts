/** The commands and queries of leases, locks and fences: driver and machine agree here on their bytes. */

/**
 * Bodies:
 * - `grant` `[lease u53, ttlMs u53]`: the id is the client's random choice; `duplicate` when it exists. `revoke` `[lease u53]`.
 * - `leaseExpire` `[lease u53]`: by the leader only, for a lease that was not kept alive.
 *   When a lease ends its locks pass on (after their delay, when it expired), its places in line go, its keys are deleted.
 * - `acquire` `[lock text, lease u53, permits u32, of u32, flags u8, delayMs u53, value blob]`: takes `permits` of `of`. A mutex is
 *   1 of 1, a semaphore 1 of n, a reader 1 of 2^32 - 1 and a writer all of them. First come, first served: nobody overtakes a
 *   waiting one. Flags: bit 0, do not wait (`conflict`). `ok` with the token; `waiting` with the place; `fenced` without such a
 *   lease. `of` must be what the present holders said, else `conflict`. One hold or place for each (lock, lease). `delayMs`: how long a lock stays shut after its holder's lease expired (lock-delay).
 * - `letGo` `[lock text, lease u53, to u53]`: gives up a hold or a place; with `to`, that lease's place comes next. `absent` without one.
 * - `fence` (only a part) `[name text, token u53]`: `fenced` when a higher token of this name has been seen in this shard, or
 *   when the lock lives here and this token does not hold it. Otherwise it is the highest seen.
 * - `attach` `[map text, key text, lease u53]`: the key is deleted when the lease ends. `fenced` without such a lease.
 *
 * A token is the revision of its grant, so it grows with every grant of a lock. Each change of a lock is announced on the map
 * {@link LOCK_MAP} under the lock's name with its state ({@link LockState}); a lease's end on {@link LEASE_MAP} under the decimal id.
 */
export const LEASE_COMMAND = {
  grant: 128,
  revoke: 129,
  leaseExpire: 130,
  acquire: 131,
  letGo: 132,
  fence: 133,
  attach: 134,
} as const

/** Queries: `lock` `[lock text]` → `[status, revision, state]`; `verify` `[lock text, token u53]` → `ok` or `fenced` with the present token; `locks` `[after text, limit u32]`. */
export const LEASE_QUERY = { lock: 128, verify: 129, locks: 130 } as const

/** Also where locks are sharded: `shardOf(LOCK_MAP, name)`. */
export const LOCK_MAP = '~lock'
export const LEASE_MAP = '~lease'

/** `[of u32, holders u32, (lease u53, token u53, permits u32, value blob)*, waiters u32, (lease u53, place u53, permits u32)*]` */
export interface LockState {
  readonly of: number
  readonly holders: readonly {
    readonly lease: number
    readonly token: number
    readonly permits: number
    readonly value: Uint8Array
  }[]
  readonly waiters: readonly { readonly lease: number; readonly place: number; readonly permits: number }[]
}
