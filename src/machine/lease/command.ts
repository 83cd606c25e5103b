/** The commands and queries of leases, locks and fences: driver and machine agree here on their bytes. */

import { ByteReader, type ByteWriter } from '../../base/bytes.ts'
import { ANSWER_HEAD_BYTES, type Envelope, encodeHead } from '../command.ts'
import type { Part } from '../transaction.ts'

/**
 * Bodies:
 * - `grant` `[lease u53, ttlMs u53]`: the id is the client's random choice; `duplicate` when it exists. `revoke`
 *   `[lease u53]`.
 * - `leaseExpire` `[lease u53]`: by the leader only, for a lease that was not kept alive. When a lease ends its locks
 *   pass on (after their delay, when it expired), its places in line go, its keys are deleted.
 * - `acquire` `[lock text, lease u53, permits u32, of u32, flags u8, delayMs u53, value blob]`: takes `permits` of
 *   `of`. A mutex is 1 of 1, a semaphore 1 of n, a reader 1 of 2^32 - 1 and a writer all of them. First come, first
 *   served: nobody overtakes a waiting one. Flags: bit 0, do not wait (`conflict` with 0). `ok` with the token;
 *   `waiting` with the place; `fenced` without such a lease. `of` must be what those who hold it or wait said, else
 *   `conflict` with theirs. One hold or place for each (lock, lease): asking again for what one has is answered the
 *   same. `delayMs`: how long a lock stays shut after its holder's lease expired (lock-delay), at most a day.
 * - `letGo` `[lock text, lease u53, to u53]`: gives up a hold or a place; with `to`, that lease's place comes next.
 *   `absent` without one.
 * - `fence` (only a part) `[name text, token u53, home u8]`: `fenced` when a higher token of this name has been seen in
 *   this shard. With `home` 1 the lock lives here (its shard is the part's), and then any token is `fenced` that does
 *   not hold it. 0 is older than every token.
 * - `attach` `[map text, key text, lease u53]`: the key is deleted when the lease ends, unless it was written or
 *   attached to another meanwhile. `fenced` without such a lease.
 *
 * Parts of transactions may be `revoke`, `letGo`, `fence` and `attach`.
 *
 * A token is the revision of its grant, so it grows with every grant of a lock. Each change of a lock is announced on
 * the map {@link LOCK_MAP} under the lock's name with its state ({@link LockState}); a lease's end on {@link LEASE_MAP}
 * under the decimal id.
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

/**
 * Queries: `lock` `[lock text]` → `[status, revision, state]`, the revision of the lock's last change, `absent` with 0;
 * `verify` `[lock text, token u53]` → `ok`, or `fenced` with the present token; `locks` `[after text, limit u32]` →
 * `[status, 0, more u8, count u32, (name text, state blob)*]` in the order of names.
 */
export const LEASE_QUERY = { lock: 128, verify: 129, locks: 130 } as const

export const LOCK_MAP = '~lock'
export const LEASE_MAP = '~lease'

/**
 * Where a lock lives: it is sharded like this key of this map. `name@map#key` lives with that key; any other name has a
 * place of its own. This is part of the format: everybody who knows the name must look in the same shard.
 */
export function placeOfLock(name: string): { readonly map: string; readonly key: string } {
  const [, map, key] = PLACED_LOCK.exec(name) ?? []
  return map === undefined || key === undefined ? { map: LOCK_MAP, key: name } : { map, key }
}

/** Names of maps, and of placements, are of these characters. */
const PLACED_LOCK = /^[^@]*@([\w.:/-]+)#(.*)$/s

/** Of holders and waiters as many are listed as fit into about this. */
export const LOCK_STATE_LIMIT_BYTES = 16_384

/** A hold of a lock, or a place in its line. */
export interface LockClaim {
  readonly lease: number
  readonly permits: number
  /** The token of a hold; the place in line otherwise. */
  readonly number: number
  readonly value: Uint8Array
}

/**
 * `[of u32, holding u32, waiting u32, listed holders u32, claims, listed waiters u32, claims]`, claim
 * `[lease u53, number u53, permits u32, value blob]`. A long line is not listed to its end: who does not find itself in
 * a list that is shorter than its count asks by sending its `acquire` once more.
 */
export interface LockState {
  readonly of: number
  /** How many hold it, and how many wait. */
  readonly holding: number
  readonly waiting: number
  /** In the order of their tokens. */
  readonly holders: readonly LockClaim[]
  /** The next one first. */
  readonly waiters: readonly LockClaim[]
}

export interface AcquireCommand {
  readonly lock: string
  readonly lease: number
  readonly permits: number
  readonly of: number
  readonly wait: boolean
  readonly delayMs: number
  readonly value: Uint8Array
}

export function encodeGrant(writer: ByteWriter, envelope: Envelope, lease: number, ttlMs: number): void {
  encodeHead(writer, LEASE_COMMAND.grant, envelope)
  writer.u53(lease)
  writer.u53(ttlMs)
}

export function encodeRevoke(writer: ByteWriter, envelope: Envelope, lease: number): void {
  encodeHead(writer, LEASE_COMMAND.revoke, envelope)
  writer.u53(lease)
}

export function encodeLeaseExpire(writer: ByteWriter, envelope: Envelope, lease: number): void {
  encodeHead(writer, LEASE_COMMAND.leaseExpire, envelope)
  writer.u53(lease)
}

export function encodeAcquire(writer: ByteWriter, envelope: Envelope, command: AcquireCommand): void {
  encodeHead(writer, LEASE_COMMAND.acquire, envelope)
  writer.text(command.lock)
  writer.u53(command.lease)
  writer.u32(command.permits)
  writer.u32(command.of)
  writer.u8(command.wait ? 0 : 1)
  writer.u53(command.delayMs)
  writer.blob(command.value)
}

/** @param to the lease whose place comes next; 0 for none */
export function encodeLetGo(
  writer: ByteWriter,
  envelope: Envelope,
  { lock, lease, to }: { readonly lock: string; readonly lease: number; readonly to: number },
): void {
  encodeHead(writer, LEASE_COMMAND.letGo, envelope)
  writer.text(lock)
  writer.u53(lease)
  writer.u53(to)
}

/** A part that lets a transaction happen only under this token. */
export function fencePart(name: string, token: number, isHome: boolean): Part {
  return {
    kind: LEASE_COMMAND.fence,
    encode(writer) {
      writer.text(name)
      writer.u53(token)
      writer.u8(isHome ? 1 : 0)
    },
  }
}

/** A part that ties a key to a lease, beside the `set` of the key. */
export function attachPart(map: string, key: string, lease: number): Part {
  return {
    kind: LEASE_COMMAND.attach,
    encode(writer) {
      writer.text(map)
      writer.text(key)
      writer.u53(lease)
    },
  }
}

export function encodeLockQuery(writer: ByteWriter, lock: string): void {
  writer.u8(LEASE_QUERY.lock)
  writer.text(lock)
}

export function encodeVerify(writer: ByteWriter, lock: string, token: number): void {
  writer.u8(LEASE_QUERY.verify)
  writer.text(lock)
  writer.u53(token)
}

export function encodeLocks(writer: ByteWriter, after: string, limit: number): void {
  writer.u8(LEASE_QUERY.locks)
  writer.text(after)
  writer.u32(limit)
}

export interface LocksPage {
  readonly locks: readonly { readonly name: string; readonly state: LockState }[]
  /** There are more after the last of these. */
  readonly hasMore: boolean
}

/** The reply to a `locks` query that is `ok`. */
export function decodeLocks(reply: Uint8Array): LocksPage {
  const reader = new ByteReader(reply, ANSWER_HEAD_BYTES)
  const hasMore = reader.u8() === 1
  const locks: { name: string; state: LockState }[] = []
  for (let left = reader.u32(); left > 0; left--) {
    locks.push({ name: reader.text(), state: decodeLockState(reader.blob()) })
  }
  return { locks, hasMore }
}

/** What a lock offers for encoding: of its lists only as much is read as fits. */
export interface LockSource {
  readonly of: number
  readonly holding: number
  readonly waiting: number
  readonly holders: Iterable<LockClaim>
  readonly waiters: Iterable<LockClaim>
}

export function encodeLockState(writer: ByteWriter, state: LockSource): void {
  const start = writer.length
  writer.u32(state.of)
  writer.u32(state.holding)
  writer.u32(state.waiting)
  encodeClaims(writer, state.holders, start + LOCK_STATE_LIMIT_BYTES / 2)
  encodeClaims(writer, state.waiters, start + LOCK_STATE_LIMIT_BYTES)
}

/** Values are views of the state. */
export function decodeLockState(state: Uint8Array): LockState {
  const reader = new ByteReader(state)
  const [of, holding, waiting] = [reader.u32(), reader.u32(), reader.u32()]
  return { of, holding, waiting, holders: decodeClaims(reader), waiters: decodeClaims(reader) }
}

/** At least one of them, if there is one. */
function encodeClaims(writer: ByteWriter, claims: Iterable<LockClaim>, until: number): void {
  const start = writer.length
  let count = 0
  writer.u32(count)
  for (const { lease, number, permits, value } of claims) {
    if (count > 0 && writer.length >= until) break
    writer.u53(lease)
    writer.u53(number)
    writer.u32(permits)
    writer.blob(value)
    count++
  }
  writer.patchU32(start, count)
}

function decodeClaims(reader: ByteReader): readonly LockClaim[] {
  const claims: LockClaim[] = []
  for (let left = reader.u32(); left > 0; left--) {
    claims.push({ lease: reader.u53(), number: reader.u53(), permits: reader.u32(), value: reader.blob() })
  }
  return claims
}
