/**
 * Checking the lifetimes of a history finds every promise that it contradicts, of messages that end otherwise than by
 * their consumers: replaced, followed, expired, pushed out, brought back.
 */

import type { Millis } from '../../base/time.ts'
import type { DeduplicationMode } from '../../driver/contract.ts'
import { checkNames } from './deduplication.ts'
import {
  idOf,
  type Life,
  type LifeEvent,
  type LifePromises,
  type LifeRedrive,
  type LifetimeKind,
  mayBeAcknowledged,
  numberOf,
  shardOf,
  TOLERANCE,
} from './lifetime.ts'

/** Without faults an end that is due comes within this. */
const PROMPT_MS: Millis = 500

/**
 * Every promise that was broken, as a sentence. Expects that all dead letters but those pushed out were redriven and
 * all else acknowledged in the end.
 */
export function checkLifetimes(history: readonly LifeEvent[], promises: LifePromises): readonly string[] {
  const { kind, clocksLie, limit, shards } = promises
  const sends = history.filter((event) => event.type === 'send')
  const lives = new Map<string, Life>(sends.map((send) => [send.content, { send, deliveries: [], deaths: [] }]))
  const strange = history.filter((event) => {
    if (event.type === 'delivery') lives.get(event.content)?.deliveries.push(event)
    if (event.type === 'death') lives.get(event.content)?.deaths.push(event)
    return (event.type === 'delivery' || event.type === 'death') && !lives.has(event.content)
  })
  const all = [...lives.values()]
  const redrives = history.filter((event) => event.type === 'redrive')
  const crowded = history.filter((event) => event.type === 'stats' && event.living > limit * shards)
  return [
    ...strange.map((event) => `${JSON.stringify(event)} was never sent`),
    ...all.flatMap((life) => checkIdentity(life)),
    ...(isBounded(kind) ? checkBounded(all, promises) : checkNames(all, { ...promises, kind })),
    ...(isBounded(kind)
      ? crowded.map((event) => `${JSON.stringify(event)}: no shard has room for more than ${limit}`)
      : []),
    ...redrives.flatMap((redrive) => checkCount(redrive)),
    ...all.flatMap((life) => checkRevival(life, redrives)),
    ...(clocksLie ? [] : all.flatMap((life) => checkExpiry(life, promises, redrives))),
  ]
}

export function isBounded(kind: LifetimeKind): kind is Exclude<LifetimeKind, DeduplicationMode> {
  return kind === 'reject' || kind === 'drop-oldest' || kind === 'block'
}

/** What was refused never comes; a content has one id, and is acknowledged once. */
function checkIdentity({ send, deliveries, deaths }: Life): string[] {
  const { content, outcome, id, isDuplicate } = send
  const broken: string[] = []
  const ids = new Set([...deliveries, ...deaths].map((event) => event.id))
  if (ids.size > 0 && (outcome === 'failed' || outcome === 'full'))
    broken.push(`${content} came although it was refused`)
  if (ids.size > 1) broken.push(`${content} came as ${[...ids].join(' and as ')}`)
  if (id !== undefined && !isDuplicate && ids.size > 0 && !ids.has(id)) {
    broken.push(`${content} was accepted as ${id} and came as ${[...ids].join(', ')}`)
  }
  const settled = deliveries.filter(({ asked, end }) => asked === 'acknowledge' && end === 'ok')
  if (settled.length > 1) broken.push(`${content} was acknowledged ${settled.length} times`)
  return broken
}

function checkBounded(lives: readonly Life[], { kind, limit }: LifePromises): string[] {
  const numbers = new Map<string, number[]>()
  for (const life of lives) {
    const id = idOf(life)
    if (id !== undefined) numbers.set(shardOf(id), [...(numbers.get(shardOf(id)) ?? []), numberOf(id)])
  }
  const unknown = lives.filter(({ send }) => send.outcome === 'unknown').length
  return lives.flatMap((life) => {
    const { content, id, outcome } = life.send
    if (outcome === 'full')
      return kind === 'reject' ? checkRefusal(life, lives, limit) : [`${content} was refused by '${kind}'`]
    if (outcome !== 'ok' || id === undefined || mayBeAcknowledged(life)) return []
    if (kind !== 'drop-oldest') return [`${content} was accepted as ${id} and never acknowledged`]
    const younger = (numbers.get(shardOf(id)) ?? []).filter((number) => number > numberOf(id)).length
    return younger + unknown >= limit ? [] : [`${content} (${id}) had to go, and only ${younger} came after it`]
  })
}

/** A queue that is not full takes what is sent. */
function checkRefusal({ send }: Life, lives: readonly Life[], limit: number): string[] {
  const living = lives.filter(({ send: { outcome, invokedAt }, deliveries }) => {
    const mayHaveCome = (outcome === 'ok' || outcome === 'unknown') && invokedAt < send.returnedAt
    const isOver = deliveries.some(({ asked, end, answeredAt }) => {
      return asked === 'acknowledge' && end === 'ok' && answeredAt < send.invokedAt
    })
    return mayHaveCome && !isOver
  })
  return living.length >= limit ? [] : [`${send.content} was refused while at most ${living.length} lived of ${limit}`]
}

/** As many come back as are asked for, as far as there are so many. */
function checkCount({ reason, ids, limit, seen, count }: LifeRedrive): string[] {
  const what = ids === undefined ? `dead letters (${reason ?? 'all'})` : 'named dead letters'
  if (count === undefined || (count <= limit && count >= Math.min(limit, seen))) return []
  return [`${count} ${what} came back, asked for were ${limit}, and there were at least ${seen}`]
}

/** Nothing that is dead lives again that nobody brought back. */
function checkRevival({ send, deliveries, deaths }: Life, redrives: readonly LifeRedrive[]): string[] {
  return deaths.flatMap(({ id, reason, at }) => {
    const again = deliveries.find(({ end, askedAt }) => end === 'ok' && askedAt > at)
    if (again === undefined) return []
    const isBroughtBack = redrives.some((redrive) => {
      const isMeant = redrive.ids?.includes(id) ?? (redrive.reason === undefined || redrive.reason === reason)
      return isMeant && redrive.invokedAt < again.answeredAt && redrive.returnedAt >= at
    })
    return isBroughtBack
      ? []
      : [`${send.content} had died (${reason}) at ${at}, and nobody brought it back by ${again.at}`]
  })
}

/** Nothing expires before its time, or is delivered after it. */
function checkExpiry(life: Life, { lagMs, isQuiet }: LifePromises, redrives: readonly LifeRedrive[]): string[] {
  const { send, deliveries, deaths } = life
  const { content, ttlMs, invokedAt, returnedAt } = send
  const broken: string[] = []
  const early = deaths.find(({ reason, at }) => reason === 'expired' && at < invokedAt + ttlMs * TOLERANCE - lagMs)
  if (early !== undefined)
    broken.push(`${content} had expired at ${early.at}, and was to live ${ttlMs} ms from ${invokedAt}`)
  const last = returnedAt + ttlMs / TOLERANCE + PROMPT_MS
  const late = deliveries.find(({ at, end, askedAt }) => at > last || (end === 'ok' && askedAt > last))
  if (isQuiet && late !== undefined && !mayHaveComeBack(life, late.askedAt, redrives)) {
    broken.push(`${content} came at ${late.at} and was settled at ${late.askedAt}, and had to expire by ${last}`)
  }
  return broken
}

/** What was brought back expires no more; by reason also something is that had just died. */
function mayHaveComeBack({ send, deaths }: Life, by: Millis, redrives: readonly LifeRedrive[]): boolean {
  if (deaths.length > 0) return true
  const expires = send.invokedAt + send.ttlMs * TOLERANCE
  return redrives.some(
    ({ reason, invokedAt, returnedAt }) => reason === 'expired' && returnedAt > expires && invokedAt < by,
  )
}
