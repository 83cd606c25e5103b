/** The history of messages that end otherwise than by their consumers: replaced, followed, expired, pushed out; checking it finds every promise about that which it contradicts. */

import type { Millis } from '../base/time.ts'

/** What a queue of the history is about. */
export type LifetimeKind = 'replace' | 'debounce' | 'requeue' | 'reject' | 'drop-oldest' | 'block'

/** One attempt to send. No two of a history carry the same content. */
export interface LifeSend {
  readonly type: 'send'
  readonly content: string
  /** Its deduplication id, which belongs to a message for as long as it lives; `''` for none. */
  readonly name: string
  readonly delayMs: Millis
  /** Infinity for never. */
  readonly ttlMs: Millis
  readonly invokedAt: Millis
  returnedAt: Millis
  /** `'full'`: refused for want of room. */
  outcome: 'ok' | 'failed' | 'unknown' | 'full'
  /** What stands for it: `shard.number`. */
  id: string | undefined
  isDuplicate: boolean
}

/** One delivery, and what its consumer did about it. */
export interface LifeDelivery {
  readonly type: 'delivery'
  readonly id: string
  readonly content: string
  readonly at: Millis
  asked: 'acknowledge' | 'retry' | 'reject' | undefined
  /** When it asked for that, and when it was answered; Infinity for never. */
  askedAt: Millis
  answeredAt: Millis
  end: 'open' | 'ok' | 'unknown' | 'fenced'
}

/** A dead letter, each time that it was seen. */
export interface LifeDeath {
  readonly type: 'death'
  readonly id: string
  readonly content: string
  readonly reason: string
  readonly at: Millis
}

/** How many messages lived, over all shards. */
export interface LifeStats {
  readonly type: 'stats'
  readonly living: number
}

export type LifeEvent = LifeSend | LifeDelivery | LifeDeath | LifeStats

export interface LifePromises {
  readonly kind: LifetimeKind
  /** Of messages that live, in each shard. */
  readonly limit: number
  readonly shards: number
  /** Leader time may have jumped: then delays and lifetimes mean nothing. */
  readonly clocksLie: boolean
  /** How far the time of one leader may lie behind that of the next. */
  readonly lagMs: Millis
  /** There were no faults: nothing comes late. */
  readonly isQuiet: boolean
}

/** Clocks are slewed by 1/256 at most. */
const TOLERANCE = 0.98
/** Without faults an end that is due comes within this. */
const PROMPT_MS: Millis = 500

/** Everything about one content. */
interface Life {
  readonly send: LifeSend
  readonly deliveries: LifeDelivery[]
  readonly deaths: LifeDeath[]
}

/** Every promise that was broken, as a sentence. Expects that all dead letters but those pushed out were redriven and all else acknowledged in the end. */
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
  const crowded = history.filter((event) => event.type === 'stats' && event.living > limit * shards)
  return [
    ...strange.map((event) => `${JSON.stringify(event)} was never sent`),
    ...all.flatMap((life) => checkIdentity(life)),
    ...(isNamed(kind) ? checkNamed(all, kind) : checkBounded(all, promises)),
    ...(isNamed(kind)
      ? []
      : crowded.map((event) => `${JSON.stringify(event)}: no shard has room for more than ${limit}`)),
    ...(clocksLie ? [] : [...checkDelays(all, promises), ...all.flatMap((life) => checkExpiry(life, promises))]),
  ]
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

/** What is missing was superseded, each by a later send of its name of its own. */
function checkNamed(lives: readonly Life[], kind: LifetimeKind): string[] {
  return [...byName(lives)].flatMap(([name, ofName]) => {
    const missing = ofName.filter((life) => life.send.outcome === 'ok' && !mayBeAcknowledged(life))
    const broken = withoutLater(
      missing.map(({ send }) => send),
      ofName.map(({ send }) => send).filter((send) => name !== '' && mayHaveSuperseded(send)),
    ).map(({ content, id }) => `${content} (${id}) never ended well, and nothing superseded it`)
    if (name === '') return broken
    return [...broken, ...(kind === 'requeue' ? checkFollowers(ofName) : checkReplaced(ofName))]
  })
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

/** Nobody acknowledges what was replaced before: the worker has seen the old content. */
function checkReplaced(lives: readonly Life[]): string[] {
  return lives.flatMap(({ send, deliveries, deaths }) => {
    // What died and was brought back lives on beside its name.
    if (Number.isFinite(send.ttlMs) || deaths.length > 0 || deliveries.some(({ asked }) => asked === 'reject'))
      return []
    const late = deliveries.find(({ asked, end, id, askedAt }) => {
      const isDone = asked === 'acknowledge' && end === 'ok'
      return isDone && lives.some((other) => replaces(other.send, id) && other.send.returnedAt < askedAt)
    })
    return late === undefined ? [] : [`${send.content} was acknowledged at ${late.askedAt}, after it was replaced`]
  })
}

function replaces({ outcome, isDuplicate, id }: LifeSend, older: string): boolean {
  return outcome === 'ok' && isDuplicate && id !== undefined && numberOf(id) > numberOf(older)
}

/** What is to follow a message does not come before that has ended. */
function checkFollowers(lives: readonly Life[]): string[] {
  return lives.flatMap(({ send, deliveries }) => {
    const first = Math.min(...deliveries.map(({ at }) => at))
    if (!send.isDuplicate || !Number.isFinite(first)) return []
    const followed = lives.find(
      (other) => other.send !== send && [...other.deliveries, ...other.deaths].some(({ id }) => id === send.id),
    )
    if (followed === undefined || Number.isFinite(followed.send.ttlMs)) return []
    const hasEnded = followed.deliveries.some(
      ({ asked, askedAt, end }) => asked !== undefined && asked !== 'retry' && end !== 'fenced' && askedAt <= first,
    )
    return hasEnded ? [] : [`${send.content} came at ${first}, before ${followed.send.content} had ended`]
  })
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

/** Nothing comes before its time, which for what replaced another is that one's. */
function checkDelays(lives: readonly Life[], { kind, lagMs }: LifePromises): string[] {
  const dues = kind === 'replace' ? duesOfReplaced(lives) : new Map(lives.map((life) => [life, dueOf(life)]))
  return [...dues].flatMap(([{ send, deliveries }, due]) => {
    const first = Math.min(...deliveries.map(({ at }) => at))
    if (first >= due - lagMs) return []
    const { content, invokedAt, delayMs } = send
    const [after, late] = [first - invokedAt, due - invokedAt]
    return [`${content} came ${after} ms after its send, and was due after ${late} (its own delay was ${delayMs})`]
  })
}

function dueOf({ send: { invokedAt, delayMs } }: Life): Millis {
  return invokedAt + delayMs * TOLERANCE
}

/** When each may come at the earliest: an id is replaced by the next higher one of its name, or by one that was never seen. */
function duesOfReplaced(lives: readonly Life[]): Map<Life, Millis> {
  const dues = new Map<Life, Millis>()
  for (const ofName of byName(lives).values()) {
    const unseen = ofName.filter((life) => life.send.outcome === 'unknown' && idOf(life) === undefined)
    const seen = ofName.filter((life) => idOf(life) !== undefined)
    seen.sort((one, other) => numberOf(idOf(one) ?? '') - numberOf(idOf(other) ?? ''))
    let before = Number.NEGATIVE_INFINITY
    for (const life of seen) {
      const { outcome, isDuplicate, returnedAt, name } = life.send
      const own = dueOf(life)
      const replaceable = unseen.filter(({ send }) => send.invokedAt < returnedAt).map(dueOf)
      const replaced = Math.min(before, ...replaceable)
      before =
        name === '' || (outcome === 'ok' && !isDuplicate) ? own : outcome === 'ok' ? replaced : Math.min(own, replaced)
      dues.set(life, before)
    }
  }
  return dues
}

/** Nothing expires before its time, or is delivered after it. */
function checkExpiry({ send, deliveries, deaths }: Life, { lagMs, isQuiet }: LifePromises): string[] {
  const { content, ttlMs, invokedAt, returnedAt } = send
  const broken: string[] = []
  const early = deaths.find(({ reason, at }) => reason === 'expired' && at < invokedAt + ttlMs * TOLERANCE - lagMs)
  if (early !== undefined)
    broken.push(`${content} had expired at ${early.at}, and was to live ${ttlMs} ms from ${invokedAt}`)
  const last = returnedAt + ttlMs / TOLERANCE + PROMPT_MS
  const late = deliveries.find(({ at, end, askedAt }) => at > last || (end === 'ok' && askedAt > last))
  // What was brought back expires no more.
  if (isQuiet && deaths.length === 0 && late !== undefined) {
    broken.push(`${content} came at ${late.at} and was settled at ${late.askedAt}, and had to expire by ${last}`)
  }
  return broken
}

function mayBeAcknowledged({ deliveries }: Life): boolean {
  return deliveries.some(({ asked, end }) => asked === 'acknowledge' && end !== 'fenced')
}

function byName(lives: readonly Life[]): ReadonlyMap<string, readonly Life[]> {
  const names = new Map<string, Life[]>()
  for (const life of lives) {
    const { name } = life.send
    names.set(name, [...(names.get(name) ?? []), life])
  }
  return names
}

/** That it was accepted under, or came under. */
function idOf({ send, deliveries, deaths }: Life): string | undefined {
  return send.id ?? deliveries[0]?.id ?? deaths[0]?.id
}

function isNamed(kind: LifetimeKind): kind is 'replace' | 'debounce' | 'requeue' {
  return kind === 'replace' || kind === 'debounce' || kind === 'requeue'
}

function shardOf(id: string): string {
  return id.slice(0, id.indexOf('.'))
}

function numberOf(id: string): number {
  return Number(id.slice(id.indexOf('.') + 1))
}
