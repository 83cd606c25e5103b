/**
 * A lock's history is what its holders saw and wrote; checking it finds two holders at once, and every write that a
 * fence should have refused.
 */

import type { Millis } from '../../base/time.ts'

/** One time that somebody held a lock or an office. */
export interface GrantRecord {
  readonly type: 'grant'
  readonly lock: string
  readonly holder: string
  readonly token: bigint
  /** What it takes of what there is: who holds a lock alone takes all. */
  readonly permits: number
  readonly of: number
  readonly askedAt: Millis
  readonly grantedAt: Millis
  /** The last time that its holder, awake, found its signal not aborted before it asked for the release. */
  heldAt: Millis
  /** When it had been given back; Infinity when nobody knows of that. */
  releasedAt: Millis
}

/** A write under a lock's token, to a register of a map or to a queue. */
export interface FencedRecord {
  readonly type: 'fenced'
  readonly lock: string
  /** Where it went; within one place, the order of what was accepted is known. */
  readonly place: string
  readonly token: bigint
  /** What an increment made of the register: no two make the same; undefined for what is no increment. */
  readonly count: number | undefined
  /** Its place is in the lock's own shard, where a token counts as long as it is held; elsewhere no newer one may have been there. */
  readonly isBeside: boolean
  readonly invokedAt: Millis
  returnedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown' | 'fenced'
  /** Position in the order of its place: a revision, or the number of a message. */
  position: bigint | undefined
}

/** Somebody asked whether a token is held. */
export interface VerifyRecord {
  readonly type: 'verify'
  readonly lock: string
  readonly token: bigint
  readonly invokedAt: Millis
  readonly isHeld: boolean
}

/** A holder gave an office to a candidate that had been waiting in line for long. */
export interface HandoverRecord {
  readonly type: 'handover'
  readonly lock: string
  readonly token: bigint
  readonly candidate: string
}

/** What a register held at the end. */
export interface FinalRecord {
  readonly type: 'final'
  readonly place: string
  readonly count: number
}

export type LockEvent = GrantRecord | FencedRecord | VerifyRecord | FinalRecord | HandoverRecord

/** Every promise that was broken, as a sentence. */
export function checkLocks(history: readonly LockEvent[]): readonly string[] {
  const grants = groupBy(
    history.filter((event) => event.type === 'grant'),
    ({ lock }) => lock,
  )
  const writes = groupBy(
    history.filter((event) => event.type === 'fenced'),
    ({ place }) => place,
  )
  const grantOf: GrantOf = ({ lock, token }) => grants.get(lock)?.find((grant) => grant.token === token)
  const finals = history.filter((event) => event.type === 'final')
  return [
    ...[...grants.values()].flatMap(checkGrants),
    ...[...writes.values()].flatMap((ofPlace) => checkFences(ofPlace, grantOf)),
    ...history.flatMap((event) => (event.type === 'verify' ? checkVerified(event, grants.get(event.lock) ?? []) : [])),
    ...history.flatMap((event) =>
      event.type === 'handover' ? checkHandover(event, grants.get(event.lock) ?? []) : [],
    ),
    ...finals.flatMap((final) => checkFinal(final, writes.get(final.place) ?? [])),
  ]
}

/** One holder for each token; tokens grow with time; nobody believes to hold what the next one has, nor do more than may. */
function checkGrants(grants: readonly GrantRecord[]): string[] {
  const broken: string[] = []
  for (const grant of grants) {
    const { lock, holder, token, grantedAt } = grant
    const others = grants.filter((other) => other !== grant)
    const twin = others.find((other) => other.token === token)
    if (twin !== undefined) broken.push(`${holder} and ${twin.holder} got ${lock} as ${token}`)
    const since = `${holder} (${token}) since ${grantedAt.toFixed(1)}`
    const late = others.find((other) => other.token < token && excludes(other, grant) && other.heldAt > grantedAt)
    if (late !== undefined) {
      broken.push(`${lock} was held by two: ${late.holder} (${late.token}) until ${late.heldAt.toFixed(1)}, ${since}`)
    }
    const beside = others.filter((other) => other.grantedAt <= grantedAt && other.heldAt > grantedAt)
    const taken = beside.reduce((sum, { permits }) => sum + permits, grant.permits)
    if (taken > grant.of) broken.push(`${lock} was held ${taken} times of ${grant.of}: ${since}`)
  }
  let newest: GrantRecord | undefined
  const byReturn = [...grants].sort((a, b) => a.grantedAt - b.grantedAt)
  let returned = 0
  for (const grant of [...grants].sort((a, b) => a.askedAt - b.askedAt)) {
    for (
      let next = byReturn[returned];
      next !== undefined && next.grantedAt < grant.askedAt;
      next = byReturn[++returned]
    ) {
      if (newest === undefined || next.token > newest.token) newest = next
    }
    if (newest !== undefined && newest.token >= grant.token) {
      broken.push(`${grant.lock} was given as ${grant.token} after it had been given as ${newest.token}`)
    }
  }
  return broken
}

function mayExclude(one: GrantRecord, other: GrantRecord | undefined): boolean {
  return other === undefined || excludes(one, other)
}

function excludes(one: GrantRecord, other: GrantRecord): boolean {
  return one.permits + other.permits > other.of
}

type GrantOf = (write: FencedRecord) => GrantRecord | undefined

/**
 * In the order of its place no accepted write has an older token than one before it, unless both may be held at once,
 * and no increment is lost.
 */
function checkFences(writes: readonly FencedRecord[], grantOf: GrantOf): string[] {
  const broken = writes.flatMap((write) => checkFence(write, grantOf(write)))
  const accepted = writes.filter(({ outcome, position }) => outcome === 'ok' && position !== undefined)
  accepted.sort((a, b) => compare(a.position ?? 0n, b.position ?? 0n))
  /** The first of each token. */
  const before: FencedRecord[] = []
  let count = 0
  for (const write of accepted) {
    const grant = grantOf(write)
    const newer = before.find(
      (other) => write.token < other.token && (grant === undefined || mayExclude(grant, grantOf(other))),
    )
    if (newer !== undefined) {
      broken.push(
        `${write.place} took token ${write.token} at ${write.position}, after ${newer.token} at ${newer.position}`,
      )
    }
    if (before.every(({ token }) => token !== write.token)) before.push(write)
    if (write.count === undefined) continue
    if (write.count <= count)
      broken.push(`${write.place} was counted to ${write.count} after ${count}: an update was lost`)
    count = Math.max(count, write.count)
  }
  return broken
}

/** Who holds a lock is let through, and beside the lock nobody else. */
function checkFence(write: FencedRecord, grant: GrantRecord | undefined): string[] {
  const { place, token, outcome, isBeside, invokedAt, returnedAt } = write
  if (grant === undefined) return []
  // Elsewhere a holder keeps out those that hold it with an older token.
  const isLetThrough = isBeside || excludes(grant, grant)
  if (outcome === 'fenced' && isLetThrough && grant.heldAt > returnedAt) {
    return [`${place} refused token ${token} at ${returnedAt}, which was held until ${grant.heldAt}`]
  }
  if (outcome === 'ok' && isBeside && invokedAt > grant.releasedAt) {
    return [`${place} took token ${token} at ${invokedAt}, which was given back by ${grant.releasedAt}`]
  }
  return []
}

/** Nobody is told that a token is held once somebody has a newer one. */
function checkVerified({ lock, token, invokedAt, isHeld }: VerifyRecord, grants: readonly GrantRecord[]): string[] {
  const newer = grants.find((grant) => grant.token > token && grant.grantedAt < invokedAt)
  if (!isHeld || newer === undefined) return []
  return [`${lock} was said to be held as ${token} after ${newer.holder} got it as ${newer.token}`]
}

/** Whom it was given to has it next. */
function checkHandover({ lock, token, candidate }: HandoverRecord, grants: readonly GrantRecord[]): string[] {
  const [next] = grants.filter((grant) => grant.token > token).sort((a, b) => compare(a.token, b.token))
  if (next === undefined || next.holder === candidate) return []
  return [`${lock} was given to ${candidate} by ${token}, and ${next.holder} got it as ${next.token}`]
}

function checkFinal({ place, count }: FinalRecord, writes: readonly FencedRecord[]): string[] {
  const counts = (outcome: FencedRecord['outcome']): number[] =>
    writes.flatMap((write) => (write.outcome === outcome && write.count !== undefined ? [write.count] : []))
  const least = Math.max(0, ...counts('ok'))
  if (count < least) return [`${place} ended at ${count}, and had been counted to ${least}`]
  if (count > least && !counts('unknown').includes(count)) return [`${place} ended at ${count}, which nobody wrote`]
  return []
}

function groupBy<Value>(values: readonly Value[], keyOf: (value: Value) => string): Map<string, Value[]> {
  const groups = new Map<string, Value[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
