/**
 * A name is the deduplication id of messages, and belongs to one of them at a time; checking a history finds every send
 * that the name's owner should have met and did not, or should not and did.
 */

import type { Millis } from '../../base/time.ts'
import type { DeduplicationMode } from '../../driver/contract.ts'
import {
  byName,
  idOf,
  type Life,
  type LifePromises,
  type LifeSend,
  mayBeAcknowledged,
  numberOf,
  TOLERANCE,
} from './lifetime.ts'

export interface NamePromises extends LifePromises {
  readonly kind: DeduplicationMode
}

/** All lives of one name. */
interface Owners {
  readonly name: string
  readonly all: readonly Life[]
  /** In the order of their ids. */
  readonly seen: readonly Life[]
  /** Nobody knows whether they came about. */
  readonly unseen: readonly Life[]
}

/** Every promise that was broken, as a sentence. */
export function checkNames(lives: readonly Life[], promises: NamePromises): readonly string[] {
  const names = [...byName(lives)].map(([name, all]) => ownersOf(name, all))
  return names.flatMap((owners) => [
    ...checkEnds(owners, promises),
    ...(promises.clocksLie ? [] : checkDelays(owners, promises)),
    ...(owners.name === '' ? [] : checkOwner(owners, promises)),
  ])
}

function checkOwner(owners: Owners, promises: NamePromises): string[] {
  const { kind } = promises
  return [
    ...(kind === 'drop'
      ? checkDropped(owners)
      : kind === 'requeue'
        ? checkFollowers(owners)
        : checkReplaced(owners, promises)),
    ...checkFresh(owners, promises),
    ...(promises.clocksLie ? [] : checkDuplicates(owners, promises)),
  ]
}

function ownersOf(name: string, all: readonly Life[]): Owners {
  const seen = all.filter((life) => idOf(life) !== undefined)
  // Duplicates that are dropped, or to follow, have the id of the one that stands for them.
  seen.sort((one, other) => orderOf(one) - orderOf(other))
  return { name, all, seen, unseen: all.filter((life) => life.send.outcome === 'unknown' && idOf(life) === undefined) }
}

function orderOf(life: Life): number {
  return numberOf(idOf(life) ?? '')
}

/** What is missing was superseded, each by a later send of its name of its own. */
function checkEnds({ name, all }: Owners, { kind }: NamePromises): string[] {
  const missing = all.flatMap((life) => (life.send.outcome === 'ok' && !mayBeAcknowledged(life) ? [life.send] : []))
  const superseding = all.flatMap(({ send }) => (mayHaveSuperseded(send) ? [send] : []))
  const lost =
    kind === 'drop'
      ? missing.filter(({ isDuplicate }) => !isDuplicate)
      : withoutLater(missing, name === '' ? [] : superseding)
  return lost.map(({ content, id }) => `${content} (${id}) never ended well, and nothing superseded it`)
}

/** Those for which no other is left, the latest first: whatever may supersede it may supersede all before it. */
function withoutLater(missing: readonly LifeSend[], superseding: readonly LifeSend[]): readonly LifeSend[] {
  const free = new Set([...superseding].sort((one, other) => one.invokedAt - other.invokedAt))
  return [...missing]
    .sort((one, other) => other.invokedAt - one.invokedAt)
    .filter((send) => {
      const later = [...free].find((other) => other !== send && happenedBy(other) > send.invokedAt)
      if (later !== undefined) free.delete(later)
      return later === undefined
    })
}

function mayHaveSuperseded({ outcome, isDuplicate }: LifeSend): boolean {
  return outcome === 'unknown' || (outcome === 'ok' && isDuplicate)
}

function happenedBy({ outcome, returnedAt }: LifeSend): Millis {
  return outcome === 'unknown' ? Number.POSITIVE_INFINITY : returnedAt
}

/** What was dropped does not come. */
function checkDropped({ all }: Owners): string[] {
  return all.flatMap(({ send, deliveries, deaths }) =>
    isDuplicate(send) && deliveries.length + deaths.length > 0
      ? [`${send.content} came although it was called a duplicate of ${send.id}`]
      : [],
  )
}

/** Nobody acknowledges what was replaced before: the worker has seen the old content. */
function checkReplaced(owners: Owners, { windowMs }: NamePromises): string[] {
  return owners.seen.flatMap((life) => {
    const { send, deliveries } = life
    if (mayHaveDied(life)) return []
    // A name that belongs to a message for as long as it lives belongs to none of the older ones.
    const replaces = (other: Life): boolean =>
      isDuplicate(other.send) && (windowMs === 0 ? orderOf(other) > orderOf(life) : replacedBy(other, owners) === life)
    const late = deliveries.find(({ asked, end, askedAt }) => {
      const isDone = asked === 'acknowledge' && end === 'ok'
      return isDone && owners.seen.some((other) => replaces(other) && other.send.returnedAt < askedAt)
    })
    return late === undefined ? [] : [`${send.content} was acknowledged at ${late.askedAt}, after it was replaced`]
  })
}

/** The one that had the name before; undefined when it may have been one that nobody saw. */
function replacedBy(life: Life, { seen, unseen }: Owners): Life | undefined {
  if (unseen.some(({ send }) => send.invokedAt < life.send.returnedAt)) return undefined
  return seen[seen.indexOf(life) - 1]
}

/** What is to follow a message does not come before that has ended. */
function checkFollowers({ all }: Owners): string[] {
  return all.flatMap(({ send, deliveries }) => {
    const first = Math.min(...deliveries.map(({ at }) => at))
    if (!send.isDuplicate || !Number.isFinite(first)) return []
    const followed = all.find((other) => other.send !== send && cameAs(other, send.id))
    if (followed === undefined || Number.isFinite(followed.send.ttlMs)) return []
    const hasEnded = followed.deliveries.some(
      ({ asked, askedAt, end }) => asked !== undefined && asked !== 'retry' && end !== 'fenced' && askedAt <= first,
    )
    return hasEnded ? [] : [`${send.content} came at ${first}, before ${followed.send.content} had ended`]
  })
}

function cameAs({ deliveries, deaths }: Life, id: string | undefined): boolean {
  return [...deliveries, ...deaths].some((event) => event.id === id)
}

/** Nothing is taken for new while another certainly has its name. */
function checkFresh({ name, all }: Owners, promises: NamePromises): string[] {
  const fresh = all.filter(({ send }) => send.outcome === 'ok' && !send.isDuplicate)
  return fresh.flatMap(({ send }) => {
    const owner = all.find(
      (other) => other.send.returnedAt < send.invokedAt && send.returnedAt < ownsUntil(other, promises),
    )
    if (owner === undefined) return []
    return [`${send.content} was taken for new at ${send.returnedAt} although ${owner.send.content} had ${name}`]
  })
}

/** Until when a message has its name for certain. */
function ownsUntil(life: Life, { kind, windowMs, clocksLie, lagMs }: NamePromises): Millis {
  const { send, deliveries } = life
  const isKnown = send.outcome === 'ok' && !(send.isDuplicate && kind !== 'debounce')
  if (!isKnown || (windowMs > 0 && clocksLie)) return Number.NEGATIVE_INFINITY
  const windowEnd = windowMs === 0 ? Number.POSITIVE_INFINITY : send.invokedAt + windowMs * TOLERANCE - lagMs
  if (windowMs > 0 && kind === 'drop') return windowEnd
  if (mayHaveDied(life)) return Number.NEGATIVE_INFINITY
  return Math.min(windowEnd, lastAlive(deliveries))
}

/** Whoever settles something successfully finds it alive. */
function lastAlive(deliveries: Life['deliveries']): Millis {
  return Math.max(...deliveries.map(({ end, askedAt }) => (end === 'ok' ? askedAt : Number.NEGATIVE_INFINITY)))
}

/** Nothing is called a duplicate once the window of the one that stands for it has certainly passed. */
function checkDuplicates(owners: Owners, { kind, windowMs, lagMs }: NamePromises): string[] {
  const { all, unseen, name } = owners
  return all.flatMap((life) => {
    const { send } = life
    if (!isDuplicate(send)) return []
    const owner = kind === 'drop' || kind === 'requeue' ? ownerOf(send, owners) : windowOf(life, owners, kind)
    if (owner === undefined)
      return unseen.length > 0 ? [] : [`${send.content} was called a duplicate, and nothing had ${name}`]
    // What follows another keeps the name for as long as it lives.
    const isFirst = owner.send.outcome === 'ok' && (!owner.send.isDuplicate || kind === 'debounce')
    const mayFollow = (other: LifeSend): boolean => mayHaveSuperseded(other) && (other.id ?? send.id) === send.id
    const isFollowed = kind === 'requeue' && all.some((other) => other !== life && mayFollow(other.send))
    const until = owner.send.returnedAt + windowMs / TOLERANCE + lagMs
    if (windowMs === 0 || !isFirst || isFollowed || send.invokedAt <= until) return []
    return [
      `${send.content} was called a duplicate at ${send.returnedAt}, and ${owner.send.content} had ${name} until ${until}`,
    ]
  })
}

/** The one whose window it is: what replaces another gets that one's. */
function windowOf(life: Life, owners: Owners, kind: DeduplicationMode): Life | undefined {
  const before = replacedBy(life, owners)
  const isInherited = kind === 'replace' && before !== undefined && isDuplicate(before.send)
  return isInherited ? windowOf(before, owners, kind) : before
}

function ownerOf({ id, content }: LifeSend, { seen }: Owners): Life | undefined {
  return (
    seen.find((life) => life.send.content !== content && idOf(life) === id && !isDuplicate(life.send)) ??
    seen.find((life) => life.send.content !== content && cameAs(life, id))
  )
}

function isDuplicate({ outcome, isDuplicate: isSaid }: LifeSend): boolean {
  return outcome === 'ok' && isSaid
}

/** What died and was brought back lives on beside its name. */
function mayHaveDied({ send, deliveries, deaths }: Life): boolean {
  return Number.isFinite(send.ttlMs) || deaths.length > 0 || deliveries.some(({ asked }) => asked === 'reject')
}

/** Nothing comes before its time, which for what replaced another is that one's. */
function checkDelays(owners: Owners, { kind, lagMs }: NamePromises): string[] {
  const isInherited = kind === 'replace' && owners.name !== ''
  const dues = isInherited ? inheritedDues(owners) : new Map(owners.all.map((life) => [life, dueOf(life)]))
  return [...dues].flatMap(([{ send, deliveries }, due]) => {
    const first = Math.min(...deliveries.map(({ at }) => at))
    // It may have died before it was due, and then comes as soon as it is brought back.
    const isRevived = isInherited && Number.isFinite(send.ttlMs)
    if (isRevived || first >= due - lagMs) return []
    const { content, invokedAt, delayMs } = send
    const [after, late] = [first - invokedAt, due - invokedAt]
    return [`${content} came ${after} ms after its send, and was due after ${late} (its own delay was ${delayMs})`]
  })
}

function dueOf({ send: { invokedAt, delayMs } }: Life): Millis {
  return invokedAt + delayMs * TOLERANCE
}

/** When each may come at the earliest: it replaced the one before it, or one that nobody saw. */
function inheritedDues({ seen, unseen }: Owners): Map<Life, Millis> {
  const dues = new Map<Life, Millis>()
  let before = Number.NEGATIVE_INFINITY
  for (const life of seen) {
    const { send } = life
    const replaceable = unseen.filter((other) => other.send.invokedAt < send.returnedAt).map(dueOf)
    const inherited = Math.min(before, ...replaceable)
    before = isDuplicate(send) ? inherited : send.outcome === 'ok' ? dueOf(life) : Math.min(dueOf(life), inherited)
    dues.set(life, before)
  }
  return dues
}
