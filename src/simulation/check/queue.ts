/** A queue's history is what senders and consumers saw of its messages; checking it finds every promise of a queue that it contradicts. */

import type { Millis } from '../../base/time.ts'

/** One attempt to send. No two of a history carry the same content. */
export interface SendRecord {
  readonly type: 'send'
  readonly content: string
  readonly key: string
  /** `''` for none. */
  readonly deduplication: string
  readonly delayMs: Millis
  readonly invokedAt: Millis
  returnedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown'
  /** Of the message that stands for it: `shard.number`. */
  id: string | undefined
  isDuplicate: boolean
}

/** How a delivery ended. `'open'`: nobody knows, for its consumer died. `'unknown'`: it may have been settled. */
export type DeliveryEnd =
  | 'open'
  | 'unknown'
  | 'acknowledged'
  | 'retried'
  | 'rejected'
  | 'released'
  | 'abandoned'
  | 'fenced'

/** One delivery of a message to a consumer. */
export interface DeliveryRecord {
  readonly type: 'delivery'
  readonly id: string
  /** What is wrong, when a payload that came later is not what the message says of it. */
  content: string
  readonly key: string
  /** Of the lease; see `wire/delivery`: grows with every delivery of a shard. */
  readonly token: number
  readonly attempt: number
  readonly at: Millis
  readonly leaseMs: Millis
  end: DeliveryEnd
  /** When the consumer asked for this end; Infinity when it never did. */
  settledAt: Millis
  /** What it asked for, whether or not that happened. */
  asked: 'acknowledge' | 'retry' | 'reject' | 'release' | undefined
}

/** A dead letter that was found at the end. */
export interface DeathRecord {
  readonly type: 'death'
  readonly id: string
  readonly content: string
  readonly reason: string
  readonly attempts: number
}

export type QueueEvent = SendRecord | DeliveryRecord | DeathRecord

export interface QueuePromises {
  readonly order: 'key' | 'none'
  readonly maxAttempts: number
  /** Leader time may have jumped: then delays and windows mean nothing. */
  readonly clocksLie: boolean
  /** How far the time of one leader may lie behind that of the next: it learned the time from messages that were on their way. */
  readonly lagMs: Millis
  /** There were no faults: every further delivery has a reason that its consumer knows. */
  readonly isQuiet: boolean
}

const TERM = 2 ** 32
/** Clocks are slewed by 1/256 at most. */
const TOLERANCE = 0.98
/** The lease of a delivery that was long on its way had begun before it came. */
const ON_ITS_WAY_MS: Millis = 500

/** Everything about one message. */
interface Life {
  readonly id: string
  readonly shard: number
  readonly number: number
  /** By token. */
  readonly deliveries: DeliveryRecord[]
  death: DeathRecord | undefined
}

/** Every promise that was broken, as a sentence. Expects that the queue was empty at the end. */
export function checkQueue(history: readonly QueueEvent[], promises: QueuePromises): readonly string[] {
  const lives = livesOf(history)
  const sends = history.filter((event) => event.type === 'send')
  return [
    ...checkTotal(sends, lives),
    ...checkLeases(lives, promises),
    ...(promises.order === 'key' ? checkOrder(sends, lives) : []),
    ...(promises.clocksLie ? [] : [...checkDelays(sends, lives, promises.lagMs), ...checkDeduplication(sends)]),
  ]
}

/** Jepsen's total queue: what was accepted comes, each under one id, and nothing comes that was not sent. */
function checkTotal(sends: readonly SendRecord[], lives: ReadonlyMap<string, Life>): string[] {
  const broken: string[] = []
  for (const { outcome, id, content } of sends) {
    if (outcome !== 'ok' || id === undefined) continue
    const life = lives.get(id)
    if (life === undefined) broken.push(`${content} was accepted as ${id} and never came`)
  }
  const sent = new Map(sends.map((send) => [send.content, send]))
  const named = new Map<string, string>()
  for (const { id, deliveries, death } of lives.values()) {
    const contents = new Set([...deliveries, ...(death === undefined ? [] : [death])].map(({ content }) => content))
    const [content] = contents
    if (contents.size > 1) broken.push(`${id} came as ${[...contents].join(' and as ')}`)
    if (content === undefined) continue
    const send = sent.get(content)
    if (send === undefined) broken.push(`${id} came as ${content}, which nobody sent`)
    else if (send.outcome === 'failed') broken.push(`${content} came as ${id} although its send had failed`)
    else if (send.isDuplicate) broken.push(`${content} came as ${id} although it was called a duplicate`)
    else if (send.id !== undefined && send.id !== id)
      broken.push(`${content} was accepted as ${send.id} and came as ${id}`)
    const other = named.get(content)
    if (other !== undefined) broken.push(`${content} came both as ${other} and as ${id}`)
    named.set(content, id)
    if (death === undefined && deliveries.every((delivery) => !mayHaveEnded(delivery))) {
      broken.push(`${content} (${id}) was delivered, given back and is gone: ${told(deliveries)}`)
    }
  }
  return broken
}

/** One settlement for each message, after which it does not come again; and each further delivery has its reason. */
function checkLeases(lives: ReadonlyMap<string, Life>, { maxAttempts, isQuiet }: QueuePromises): string[] {
  const broken: string[] = []
  const tokens = new Map<string, string>()
  for (const { id, shard, deliveries, death } of lives.values()) {
    const done = deliveries.filter(({ end }) => end === 'acknowledged' || end === 'rejected')
    if (done.length > 1) broken.push(`${id} was settled ${done.length} times: ${told(deliveries)}`)
    if (done[0] !== undefined && done[0] !== deliveries.at(-1)) {
      broken.push(`${id} came again after it was settled: ${told(deliveries)}`)
    }
    if (done[0]?.end === 'acknowledged' && death !== undefined) broken.push(`${id} was acknowledged and is dead`)
    let retries = 0
    for (const [at, delivery] of deliveries.entries()) {
      const name = `${shard} ${delivery.token}`
      if (tokens.has(name)) broken.push(`${id} and ${tokens.get(name)} were delivered under one token`)
      tokens.set(name, id)
      if (delivery.attempt > maxAttempts) broken.push(`${id} came a ${delivery.attempt}th time of ${maxAttempts}`)
      if (delivery.attempt <= retries) broken.push(`${id} came as attempt ${delivery.attempt} after ${retries} retries`)
      if (delivery.end === 'retried') retries++
      const next = deliveries[at + 1]
      if (next !== undefined && !isExplained(delivery, next, isQuiet)) {
        broken.push(`${id} came twice at once: ${told([delivery, next])}`)
      }
    }
    if (death?.reason === 'attempts' && death.attempts < maxAttempts) {
      broken.push(`${id} is dead after ${death.attempts} of ${maxAttempts} attempts`)
    }
  }
  return broken
}

/** Whether a message may have come a second time. What other terms than one delivered, a change of leader explains. */
function isExplained(one: DeliveryRecord, next: DeliveryRecord, isQuiet: boolean): boolean {
  if (Math.floor(one.token / TERM) !== Math.floor(next.token / TERM)) return true
  if (one.end === 'acknowledged') return false
  if (!isQuiet || one.end === 'retried' || one.end === 'released' || one.end === 'unknown') return true
  // A consumer that ends gives back what it has not settled, without a word for each.
  if (one.end === 'abandoned' && Number.isFinite(one.settledAt)) return true
  return next.at - one.at >= one.leaseMs * TOLERANCE - ON_ITS_WAY_MS
}

/** One message of a key at a time, the oldest first, through all retries: then all tokens of one lie before all of the next. */
function checkOrder(sends: readonly SendRecord[], lives: ReadonlyMap<string, Life>): string[] {
  const broken: string[] = []
  for (const [key, line] of linesOf(lives)) {
    for (const [at, life] of line.entries()) {
      const next = line[at + 1]
      const [first] = next?.deliveries ?? []
      const last = life.deliveries.at(-1)
      if (next === undefined || first === undefined) continue
      const late = life.deliveries.find(({ token }) => token > first.token)
      if (late !== undefined) broken.push(`${next.id} of ${key} overtook ${life.id}: ${told([first, late])}`)
      const isOver = life.death !== undefined || life.deliveries.some((each) => mayHaveEnded(each, first.at))
      if (!isOver && last !== undefined) {
        broken.push(`${next.id} of ${key} came before ${life.id} was settled: ${told([last, first])}`)
      }
    }
  }
  return [...broken, ...checkSendOrder(sends)]
}

/** Sends that followed one another take their places in that order. */
function checkSendOrder(sends: readonly SendRecord[]): string[] {
  const accepted = sends.filter(({ outcome, isDuplicate, key }) => outcome === 'ok' && !isDuplicate && key !== '')
  const byReturn = [...accepted].sort((a, b) => a.returnedAt - b.returnedAt)
  const newest = new Map<string, SendRecord>()
  const broken: string[] = []
  let returned = 0
  for (const send of accepted.sort((a, b) => a.invokedAt - b.invokedAt)) {
    for (
      let next = byReturn[returned];
      next !== undefined && next.returnedAt < send.invokedAt;
      next = byReturn[++returned]
    ) {
      if (numberOf(next.id) > numberOf(newest.get(next.key)?.id)) newest.set(next.key, next)
    }
    const earlier = newest.get(send.key)
    if (earlier !== undefined && numberOf(earlier.id) >= numberOf(send.id)) {
      broken.push(`${send.content} was sent after ${earlier.content} and stands before it: ${send.id}, ${earlier.id}`)
    }
  }
  return broken
}

function checkDelays(sends: readonly SendRecord[], lives: ReadonlyMap<string, Life>, lagMs: Millis): string[] {
  return sends.flatMap(({ content, id, delayMs, invokedAt, isDuplicate }) => {
    const first = Math.min(...(lives.get(id ?? '')?.deliveries ?? []).map(({ at }) => at))
    if (isDuplicate || first >= invokedAt + delayMs * TOLERANCE - lagMs) return []
    return [`${content} came ${first - invokedAt} ms after its send, and was delayed by ${delayMs}`]
  })
}

/** One message stands for all sends of one deduplication id. */
function checkDeduplication(sends: readonly SendRecord[]): string[] {
  const ids = new Map<string, string>()
  const broken: string[] = []
  for (const { deduplication, id, content } of sends) {
    if (deduplication === '' || id === undefined) continue
    const other = ids.get(deduplication)
    if (other !== undefined && other !== id)
      broken.push(`${content} became ${id} although ${other} stands for ${deduplication}`)
    ids.set(deduplication, id)
  }
  return broken
}

/** Whether this delivery may have been the last one: it was settled for good, or may have been, before `until`. */
function mayHaveEnded({ end, asked, settledAt }: DeliveryRecord, until = Number.POSITIVE_INFINITY): boolean {
  if (settledAt > until) return false
  if (end === 'acknowledged' || end === 'rejected') return true
  return (end === 'unknown' || end === 'open') && (asked === 'acknowledge' || asked === 'reject')
}

function livesOf(history: readonly QueueEvent[]): Map<string, Life> {
  const lives = new Map<string, Life>()
  for (const event of history) {
    if (event.type === 'send') continue
    const [shard = 0, number = 0] = event.id.split('.').map(Number)
    const life = lives.get(event.id) ?? { id: event.id, shard, number, deliveries: [], death: undefined }
    lives.set(event.id, life)
    if (event.type === 'delivery') life.deliveries.push(event)
    else life.death = event
  }
  for (const { deliveries } of lives.values()) deliveries.sort((a, b) => a.token - b.token)
  return lives
}

/** The messages of each key that were delivered, oldest first. */
function linesOf(lives: ReadonlyMap<string, Life>): Map<string, Life[]> {
  const lines = new Map<string, Life[]>()
  for (const life of lives.values()) {
    const key = life.deliveries[0]?.key ?? ''
    if (key === '') continue
    const line = lines.get(key)
    if (line === undefined) lines.set(key, [life])
    else line.push(life)
  }
  for (const line of lines.values()) line.sort((a, b) => a.number - b.number)
  return lines
}

function numberOf(id: string | undefined): number {
  return id === undefined ? -1 : Number(id.slice(id.indexOf('.') + 1))
}

function told(deliveries: readonly DeliveryRecord[]): string {
  const text = ({ content, token, at, end, settledAt }: DeliveryRecord): string =>
    `${content} at ${at.toFixed(1)} under ${Math.floor(token / TERM)}/${token % TERM} ${end} at ${settledAt.toFixed(1)}`
  return deliveries.map(text).join(', ')
}
