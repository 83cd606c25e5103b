/** The delivery order of a queue is what its leader may hand out next; all of it is volatile. */

import { Heap, type HeapEntry } from '../../base/heap.ts'
import type { LeaderMicros } from '../batch.ts'
import { resized, roomFor } from './column.ts'
import type { QueueSettings } from './command.ts'
import { NO_KEY } from './keys.ts'
import { Lines } from './line.ts'
import { FLAG, type Messages, PLACE } from './messages.ts'
import { openingOf, RateLimits, spentAt, unknownAt } from './rate.ts'

const PRIORITIES = 10
/** Every so many deliveries the lowest waiting priority has a turn. */
const SHARE_OF_LOWEST = 64

/** Its version changes whenever there may be something to hold that there was not; shared by all queues of a table. */
export interface News {
  version: number
  /** Held messages that have been taken from whoever has them. */
  revoked: number[]
}

/**
 * What is known of the keys, by their numbers. A lane is the line of a key's messages, oldest first, without those that
 * are held.
 *
 * Invariant: of a key without a message in line or held, nothing is known.
 */
class Lanes {
  held: Uint32Array = new Uint32Array(0)
  /** The priority in whose ring the lane stands, plus one; 0 for none. */
  ring: Uint8Array = new Uint8Array(0)
  /** A ring is a line of keys. Its ranks are the turns; 0 for a key that is yet to be given one. */
  readonly rings: Lines = new Lines()
  /** The turn that the key had when a message of it was held. */
  heldTurn: Float64Array = new Float64Array(0)
  /** Deliveries that the key has left in this turn, beyond the one that it stands for. */
  left: Uint16Array = new Uint16Array(0)
  heldLeft: Uint16Array = new Uint16Array(0)
  readonly throttled: Map<number, HeapEntry<number>> = new Map()
  /** When rates let throttled keys go on. */
  readonly openings: Heap<number> = new Heap()

  constructor() {
    this.rings.growLines(PRIORITIES)
  }

  grow(capacity: number): void {
    this.held = resized(this.held, new Uint32Array(capacity))
    this.ring = resized(this.ring, new Uint8Array(capacity))
    this.heldTurn = resized(this.heldTurn, new Float64Array(capacity))
    this.left = resized(this.left, new Uint16Array(capacity))
    this.heldLeft = resized(this.heldLeft, new Uint16Array(capacity))
    this.rings.growThings(capacity)
  }

  forget(key: number): void {
    this.leaveRing(key)
    this.left[key] = 0
    const entry = this.throttled.get(key)
    if (entry === undefined) return
    this.openings.remove(entry)
    this.throttled.delete(key)
  }

  leaveRing(key: number): void {
    const ring = this.ring[key] ?? 0
    if (ring > 0) this.rings.remove(ring - 1, key)
    this.ring[key] = 0
    this.rings.rank[key] = 0
  }
}

/** Lines of messages: by priority of those without a key, then of each key by its number. */
const LANES = PRIORITIES - 1

/**
 * Each key that has something to deliver stands in the ring of its first message's priority; after a delivery it goes
 * to the end, so that a key with a million messages delays another by one delivery; a key with a weight has that many
 * before it goes.
 *
 * Invariant: a lane stands in a ring exactly when its first message may be delivered, rates of the queue aside.
 */
export class DeliveryOrder {
  /** How many messages are held. */
  held = 0
  readonly #messages: Messages
  #settings: QueueSettings
  /** Of those keys that have one; undefined when none has. */
  #weights: ReadonlyMap<string, number> | undefined
  readonly #lanes: Lanes = new Lanes()
  #keyRates: RateLimits = new RateLimits()
  #spentAt: LeaderMicros = 0
  #turns = 0
  #deliveries = 0
  readonly #news: News
  /** Since when this replica leads, as far as what was spent is concerned. */
  #since: LeaderMicros = Number.NEGATIVE_INFINITY

  constructor(messages: Messages, settings: QueueSettings, news: News) {
    this.#messages = messages
    this.#settings = settings
    this.#news = news
    messages.lines.growLines(PRIORITIES)
  }

  /** Puts a message where it belongs. One that is delayed after an attempt stands in its key's lane, so that the key waits. */
  add(slot: number): void {
    const { place, flags, id, lines } = this.#messages
    const flag = flags[slot] ?? 0
    const key = this.#keyOf(slot)
    const isOrdered = key !== NO_KEY && this.#settings.order === 'key'
    if ((flag & FLAG.delayed) !== 0 && !(isOrdered && (flag & FLAG.retried) !== 0)) return
    place[slot] = PLACE.inLine
    if (key === NO_KEY) {
      lines.insert(this.#priorityOf(slot), slot, ++this.#turns)
      this.#news.version++
      return
    }
    this.#makeRoom(key)
    lines.insert(LANES + key, slot, id[slot] ?? 0)
    this.#refresh(key)
  }

  /** Says that a message that is about to move or to go is not its holder's any more, if it has one. */
  revoke(slot: number): void {
    const { place, id } = this.#messages
    if (place[slot] === PLACE.held) this.#news.revoked.push(id[slot] ?? 0)
  }

  /** Takes a message out, wherever it is. */
  remove(slot: number): void {
    const { place, lines } = this.#messages
    const was = place[slot]
    place[slot] = PLACE.none
    if (was === PLACE.none) return
    const key = this.#keyOf(slot)
    if (was === PLACE.held) this.#letGo(key)
    else lines.remove(key === NO_KEY ? this.#priorityOf(slot) : LANES + key, slot)
    if (key !== NO_KEY) this.#refresh(key)
  }

  /** Takes the next message; -1 when there is none. */
  hold(now: LeaderMicros): number {
    const priority = this.#openPriority(now)
    if (priority === -1) return -1
    const key = this.#nextKey(priority)
    this.#spend(key, now)
    this.#deliveries++
    return key === NO_KEY ? this.#take(priority) : this.#takeFrom(key)
  }

  /** Whether there is a next message. */
  isReady(now: LeaderMicros): boolean {
    return this.#openPriority(now) !== -1
  }

  /** Puts a held message back to where it was. */
  unhold(slot: number): void {
    const { place, id, lines } = this.#messages
    if (place[slot] !== PLACE.held) return
    const key = this.#keyOf(slot)
    place[slot] = PLACE.inLine
    this.#letGo(key)
    if (key === NO_KEY) {
      lines.insert(this.#priorityOf(slot), slot, lines.rank[slot] ?? 0)
      return
    }
    const { ring, rings, heldTurn, left, heldLeft } = this.#lanes
    lines.insert(LANES + key, slot, id[slot] ?? 0)
    if (ring[key] === 0) rings.rank[key] = heldTurn[key] ?? 0
    left[key] = heldLeft[key] ?? 0
    this.#refresh(key)
  }

  /** Forgets what only a leader knows: holds, and what was spent of rates. */
  unholdAll(): void {
    const { place } = this.#messages
    for (let slot = place.indexOf(PLACE.held); slot !== -1; slot = place.indexOf(PLACE.held, slot + 1)) {
      this.unhold(slot)
    }
    this.#keyRates = new RateLimits()
    this.#spentAt = 0
    this.#openThrottled(Number.POSITIVE_INFINITY)
  }

  /** What another leader has handed out of the rates is not known: one message may go now, and the others in their time. */
  lead(since: LeaderMicros): void {
    this.#since = since
    this.#keyRates = new RateLimits(since)
  }

  /** When a rate lets the next message through, if only that is in the way; else Infinity. */
  nextAt(now: LeaderMicros): LeaderMicros {
    if (this.held >= this.#settings.concurrency) return Number.POSITIVE_INFINITY
    const readyAt = this.#nextPriority() === -1 ? this.#lanes.openings.lowest : 0
    const at = Math.max(readyAt, this.#opensAt())
    return at > now ? at : Number.POSITIVE_INFINITY
  }

  /** Other settings that change nothing about which keys may deliver. */
  adopt(settings: QueueSettings): void {
    this.#settings = settings
    this.#weights = weightsOf(settings)
    this.#news.version++
  }

  /**
   * Other settings. Messages stay where they are: what changes is which keys may deliver, and with another order where
   * those stand that wait after an attempt. Then `slots` are those of all living messages.
   */
  reorder(settings: QueueSettings, slots: Int32Array): void {
    this.adopt(settings)
    for (const slot of slots) {
      if (!this.#messages.has(slot, FLAG.retried)) continue
      this.remove(slot)
      this.add(slot)
    }
    this.#openThrottled(Number.POSITIVE_INFINITY)
    for (let key = NO_KEY + 1; key < this.#lanes.held.length; key++) this.#refresh(key)
  }

  #keyOf(slot: number): number {
    return this.#messages.key[slot] ?? NO_KEY
  }

  #priorityOf(slot: number): number {
    return this.#messages.priority[slot] ?? 0
  }

  #makeRoom(key: number): void {
    const { length } = this.#lanes.held
    if (key < length) return
    const capacity = roomFor(key, length)
    this.#lanes.grow(capacity)
    this.#messages.lines.growLines(LANES + capacity)
  }

  #take(line: number): number {
    const { lines, place } = this.#messages
    const slot = lines.first(line)
    lines.remove(line, slot)
    place[slot] = PLACE.held
    this.held++
    return slot
  }

  #takeFrom(key: number): number {
    const lanes = this.#lanes
    const slot = this.#take(LANES + key)
    const turn = lanes.rings.rank[key] ?? 0
    this.#count(key, 1)
    lanes.heldTurn[key] = turn
    lanes.leaveRing(key)
    if (this.#weights !== undefined) {
      const left = lanes.left[key] ?? 0
      const leaves = left > 0 ? left - 1 : (this.#weights.get(this.#messages.keys.name(key)) ?? 1) - 1
      lanes.heldLeft[key] = left
      lanes.left[key] = leaves
      if (leaves > 0) lanes.rings.rank[key] = turn
    }
    this.#refresh(key)
    return slot
  }

  /** A message of this key is no longer held. */
  #letGo(key: number): void {
    this.held--
    this.#news.version++
    if (key !== NO_KEY) this.#count(key, -1)
  }

  #count(key: number, change: number): void {
    const { held } = this.#lanes
    held[key] = (held[key] ?? 0) + change
  }

  /** The priority that has a turn, with a next message that no rate holds back; -1 when there is none. */
  #openPriority(now: LeaderMicros): number {
    if (this.held >= this.#settings.concurrency || this.#opensAt() > now) return -1
    this.#openThrottled(now)
    while (true) {
      const priority = this.#nextPriority()
      if (priority === -1 || !this.#throttle(this.#nextKey(priority), now)) return priority
    }
  }

  /** The priority that has a turn; -1 when none has anything to deliver. */
  #nextPriority(): number {
    const { lines } = this.#messages
    const { rings } = this.#lanes
    const fromLowest = (this.#deliveries + 1) % SHARE_OF_LOWEST === 0
    for (let step = 0; step < PRIORITIES; step++) {
      const priority = fromLowest ? step : PRIORITIES - 1 - step
      if (!(rings.isEmpty(priority) && lines.isEmpty(priority))) return priority
    }
    return -1
  }

  /** The key whose turn it is; none when it is that of a message without one. */
  #nextKey(priority: number): number {
    const { lines } = this.#messages
    const { rings } = this.#lanes
    const key = rings.first(priority)
    if (key === -1) return NO_KEY
    if (lines.isEmpty(priority)) return key
    return (lines.rank[lines.first(priority)] ?? 0) < (rings.rank[key] ?? 0) ? NO_KEY : key
  }

  /** Brings a lane into the ring where it belongs, or out. */
  #refresh(key: number): void {
    const lanes = this.#lanes
    const first = this.#messages.lines.first(LANES + key)
    if (first === -1 && lanes.held[key] === 0) {
      lanes.forget(key)
      return
    }
    const ring = first === -1 || this.#isShut(key, first) ? 0 : this.#priorityOf(first) + 1
    if (ring === lanes.ring[key]) return
    const turn = lanes.rings.rank[key] ?? 0
    lanes.leaveRing(key)
    if (ring === 0) return
    lanes.ring[key] = ring
    lanes.rings.insert(ring - 1, key, turn === 0 ? ++this.#turns : turn)
    this.#news.version++
  }

  #isShut(key: number, first: number): boolean {
    const { held, throttled } = this.#lanes
    const isHeld = held[key] ?? 0
    if ((throttled.size > 0 && throttled.has(key)) || isHeld >= this.#settings.keyConcurrency) return true
    return this.#settings.order === 'key' && (isHeld > 0 || this.#messages.has(first, FLAG.delayed))
  }

  /** Whether the key's rate holds its messages back: then the key waits until it does no more. */
  #throttle(key: number, now: LeaderMicros): boolean {
    const { keyRate, keyRatePeriodMs } = this.#settings
    if (key === NO_KEY || keyRate === Number.POSITIVE_INFINITY) return false
    const { throttled, openings } = this.#lanes
    const opensAt = this.#keyRates.opensAt(this.#messages.keys.name(key), keyRate, keyRatePeriodMs * 1000)
    if (opensAt <= now) return false
    throttled.set(key, openings.add(key, opensAt))
    this.#refresh(key)
    return true
  }

  /** A delivery counts towards the rates of the queue and of its key. */
  #spend(key: number, now: LeaderMicros): void {
    const { rate, ratePeriodMs, keyRate, keyRatePeriodMs } = this.#settings
    if (rate !== Number.POSITIVE_INFINITY) this.#spentAt = spentAt(this.#fullAt, now, rate, ratePeriodMs * 1000)
    if (key === NO_KEY || keyRate === Number.POSITIVE_INFINITY) return
    this.#keyRates.spend(this.#messages.keys.name(key), now, keyRate, keyRatePeriodMs * 1000)
  }

  #openThrottled(now: LeaderMicros): void {
    const { throttled, openings } = this.#lanes
    while (openings.lowest <= now) {
      const key = openings.take()
      if (key === undefined) return
      throttled.delete(key)
      this.#refresh(key)
    }
  }

  #opensAt(): LeaderMicros {
    const { rate, ratePeriodMs } = this.#settings
    return rate === Number.POSITIVE_INFINITY ? 0 : openingOf(this.#fullAt, rate, ratePeriodMs * 1000)
  }

  get #fullAt(): LeaderMicros {
    const { rate, ratePeriodMs } = this.#settings
    return Math.max(this.#spentAt, unknownAt(this.#since, rate, ratePeriodMs * 1000))
  }
}

function weightsOf({ keyWeights }: QueueSettings): ReadonlyMap<string, number> | undefined {
  const weights = Object.entries(keyWeights)
  return weights.length === 0 ? undefined : new Map(weights)
}
