/** The order of a queue says which of its messages may be delivered next: lanes of one key each, in fair turns by priority. */

import type { Millis } from '../../base/time.ts'
import type { QueueRules } from '../contract.ts'
import type { MemoryMessage } from './message.ts'

const PRIORITIES = 10
/** Every so many deliveries, the lowest priority that waits goes first. */
const LOWEST_TURN = 64

interface Lane {
  readonly name: string
  /** With order `'key'` by number; otherwise by priority, then by number. */
  readonly messages: MemoryMessage[]
  held: number
  readiness: number
  /** Deliveries that it has left in this turn. */
  left: number
}

/** Messages of a token bucket that holds one period's worth. */
class Bucket {
  #tokens: number
  #filledAt: Millis

  constructor(tokens: number, now: Millis) {
    this.#tokens = tokens
    this.#filledAt = now
  }

  /** When a token is there; `now` if there is one. */
  openAt(rate: number, periodMs: Millis, now: Millis): Millis {
    this.#tokens = Math.min(rate, this.#tokens + ((now - this.#filledAt) * rate) / periodMs)
    this.#filledAt = now
    // Fractions of a token that rounding ate must not hold up a message for ever.
    return this.#tokens >= 1 - 1e-9 ? now : now + ((1 - this.#tokens) * periodMs) / rate
  }

  take(): void {
    this.#tokens -= 1
  }
}

const NOT_READY = -1

export class MemoryOrder {
  #rules: QueueRules
  readonly #lanes = new Map<string, Lane>()
  /** Lanes that have something to deliver, by the priority of their first message; those whose turn is over go to the end. */
  readonly #ready: Set<Lane>[] = Array.from({ length: PRIORITIES }, () => new Set())
  readonly #keyBuckets = new Map<string, Bucket>()
  #bucket: Bucket | undefined
  #held = 0
  #turn = 0
  /** When a rate opens that alone was in the way of the last `take`. */
  opensAt: Millis = Number.POSITIVE_INFINITY

  constructor(rules: QueueRules) {
    this.#rules = rules
  }

  configure(rules: QueueRules, now: Millis): void {
    this.#rules = rules
    for (const lane of this.#lanes.values()) this.#refreshLane(lane, now)
  }

  /** A message that waits; with order `'key'` also one that is delayed for a retry, which holds up its key. */
  add(message: MemoryMessage, now: Millis): void {
    const lane = this.#lane(message)
    const { messages } = lane
    let at = messages.length
    while (at > 0 && this.#isBefore(message, messages[at - 1])) at--
    messages.splice(at, 0, message)
    this.refresh(message, now)
  }

  delete(message: MemoryMessage, now: Millis): void {
    const { messages } = this.#lane(message)
    const at = messages.indexOf(message)
    if (at >= 0) messages.splice(at, 1)
    this.refresh(message, now)
  }

  take(now: Millis): MemoryMessage | undefined {
    this.opensAt = Number.POSITIVE_INFINITY
    const { concurrency, rate, ratePeriodMs } = this.#rules
    if (this.#held >= concurrency) return undefined
    if (rate !== Number.POSITIVE_INFINITY) {
      this.#bucket ??= new Bucket(rate, now)
      const open = this.#bucket.openAt(rate, ratePeriodMs, now)
      if (open > now && this.#ready.some((lanes) => lanes.size > 0)) this.opensAt = open
      if (open > now) return undefined
    }
    const message = this.#next(now)
    if (message === undefined) return undefined
    this.#bucket?.take()
    this.#held += 1
    return message
  }

  /** A message that was taken is back, or gone. */
  unhold(message: MemoryMessage, now: Millis): void {
    this.#held -= 1
    this.#lane(message).held -= 1
    this.refresh(message, now)
  }

  /** Something has changed for the key of this message. */
  refresh(message: MemoryMessage, now: Millis): void {
    this.#refreshLane(this.#lane(message), now)
  }

  #refreshLane(lane: Lane, now: Millis): void {
    const first = lane.messages[0]
    const most = this.#rules.order === 'key' ? 1 : this.#rules.keyConcurrency
    const isReady = first !== undefined && lane.held < most && first.dueAt <= now
    this.#place(lane, isReady ? first.priority : NOT_READY)
    if (lane.messages.length === 0 && lane.held === 0) this.#lanes.delete(lane.name)
  }

  #next(now: Millis): MemoryMessage | undefined {
    const fromLowest = ++this.#turn % LOWEST_TURN === 0
    for (let step = 0; step < PRIORITIES; step++) {
      for (const lane of this.#ready[fromLowest ? step : PRIORITIES - 1 - step] ?? []) {
        const message = this.#takeFrom(lane, now)
        if (message !== undefined) return message
      }
    }
    return undefined
  }

  #takeFrom(lane: Lane, now: Millis): MemoryMessage | undefined {
    const message = lane.messages[0]
    if (message === undefined) return undefined
    if (message.key !== '' && this.#rules.keyRate !== Number.POSITIVE_INFINITY) {
      const bucket = this.#keyBuckets.get(message.key) ?? new Bucket(this.#rules.keyRate, now)
      this.#keyBuckets.set(message.key, bucket)
      const open = bucket.openAt(this.#rules.keyRate, this.#rules.keyRatePeriodMs, now)
      if (open > now) this.opensAt = Math.min(this.opensAt, open)
      if (open > now) return undefined
      bucket.take()
    }
    lane.messages.shift()
    lane.held += 1
    lane.left = (lane.left > 0 ? lane.left : this.#weightOf(message.key)) - 1
    this.#place(lane, NOT_READY)
    this.refresh(message, now)
    return message
  }

  #place(lane: Lane, readiness: number): void {
    if (lane.readiness === readiness) return
    this.#ready[lane.readiness]?.delete(lane)
    lane.readiness = readiness
    const others = this.#ready[readiness]
    if (others === undefined) return
    this.#ready[readiness] = lane.left > 0 ? new Set([lane, ...others]) : others.add(lane)
  }

  #weightOf(key: string): number {
    const { keyWeights } = this.#rules
    return Object.hasOwn(keyWeights, key) ? (keyWeights[key] ?? 1) : 1
  }

  /** Messages without a key have a lane each. */
  #lane(message: MemoryMessage): Lane {
    const name = message.key === '' ? `#${message.number}` : `=${message.key}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const lane: Lane = { name, messages: [], held: 0, readiness: NOT_READY, left: 0 }
    this.#lanes.set(name, lane)
    return lane
  }

  #isBefore(a: MemoryMessage, b: MemoryMessage | undefined): boolean {
    if (b === undefined) return false
    if (this.#rules.order === 'none' && a.priority !== b.priority) return a.priority > b.priority
    return a.number < b.number
  }
}
