/** The delivery order of a queue is what its leader may hand out next; all of it is volatile. */

import { required } from '../base/assert.ts'
import { Heap, type HeapEntry } from '../base/heap.ts'
import type { LeaderMicros } from './batch.ts'
import type { QueueSettings } from './queue-command.ts'
import { Line, Links } from './queue-line.ts'
import { FLAG, type Messages, PLACE } from './queue-messages.ts'
import { openingOf, RateLimits, spentAt } from './queue-rate.ts'

const PRIORITIES = 10
/** Every so many deliveries the lowest waiting priority has a turn. */
const SHARE_OF_LOWEST = 64

/** Its version changes whenever there may be something to hold that there was not; shared by all queues of a table. */
export interface News {
  version: number
}

/** The messages of one key, oldest first, without those that are held. */
class Lane extends Line {
  readonly key: string
  readonly number: number
  held = 0
  /** The priority in whose ring it stands; -1 for none. */
  ring = -1
  /** Its place in the ring; 0 for one that is yet to be given. */
  turn = 0
  /** The place that it had when a message of it was held. */
  heldTurn = 0
  /** Deliveries that it has left in this turn, beyond the one that it stands for. */
  left = 0
  heldLeft = 0
  throttled: HeapEntry<Lane> | undefined

  constructor(key: string, number: number) {
    super()
    this.key = key
    this.number = number
  }
}

/** Who of a priority may be next: keys and messages without one by turns, first come first served. */
interface Ring {
  readonly lanes: Line
  readonly keyless: Line
}

/**
 * Each key that has something to deliver stands in the ring of its first message's priority; after a delivery it goes to the
 * end, so that a key with a million messages delays another by one delivery; a key with a weight has that many before it goes.
 *
 * Invariant: a lane stands in a ring exactly when its first message may be delivered, rates of the queue aside.
 */
export class DeliveryOrder {
  readonly held: Set<number> = new Set()
  readonly #messages: Messages
  #settings: QueueSettings
  /** Of those keys that have one; undefined when none has. */
  #weights: ReadonlyMap<string, number> | undefined
  #lanes: Map<string, Lane> = new Map()
  #numbered: (Lane | undefined)[] = []
  #freeNumbers: number[] = []
  #laneLinks: Links = new Links()
  #rings: readonly Ring[] = makeRings()
  #throttled: Heap<Lane> = new Heap()
  #keyRates: RateLimits = new RateLimits()
  #spentAt: LeaderMicros = 0
  #turns = 0
  #deliveries = 0
  readonly #news: News

  constructor(messages: Messages, settings: QueueSettings, news: News) {
    this.#messages = messages
    this.#settings = settings
    this.#news = news
  }

  /** Puts a message where it belongs. One that is delayed after an attempt stands in its key's lane, so that the key waits. */
  add(slot: number): void {
    const { place, flags, key, id, links } = this.#messages
    const flag = flags[slot] ?? 0
    const name = key[slot] ?? ''
    const isOrdered = name !== '' && this.#settings.order === 'key'
    if ((flag & FLAG.delayed) !== 0 && !(isOrdered && (flag & FLAG.retried) !== 0)) return
    place[slot] = PLACE.inLine
    if (name === '') {
      links.insert(this.#ringOf(slot).keyless, slot, ++this.#turns)
      this.#news.version++
      return
    }
    const lane = this.#lane(name)
    key[slot] = lane.key
    links.insert(lane, slot, id[slot] ?? 0)
    this.#refresh(lane)
  }

  /** Takes a message out, wherever it is. */
  remove(slot: number): void {
    const { place, key, links } = this.#messages
    const was = place[slot]
    place[slot] = PLACE.none
    if (was === PLACE.none) return
    const name = key[slot] ?? ''
    if (was === PLACE.held) {
      this.held.delete(slot)
      this.#news.version++
    }
    if (name === '') {
      if (was === PLACE.inLine) links.remove(this.#ringOf(slot).keyless, slot)
      return
    }
    const lane = this.#lane(name)
    if (was === PLACE.held) lane.held--
    else links.remove(lane, slot)
    this.#refresh(lane)
  }

  /** Takes the next message; -1 when there is none. */
  hold(now: LeaderMicros): number {
    const settings = this.#settings
    const rates = this.#keyRates
    if (this.held.size >= settings.concurrency || this.#opensAt() > now) return -1
    this.#openThrottled(now)
    while (true) {
      const ring = this.#nextRing()
      if (ring === undefined) return -1
      const lane = this.#nextLane(ring)
      if (lane !== undefined && settings.keyRate !== Number.POSITIVE_INFINITY) {
        const opensAt = rates.opensAt(lane.key, settings.keyRate, settings.keyRatePeriodMs * 1000)
        if (opensAt > now) {
          this.#throttle(lane, opensAt)
          continue
        }
        rates.spend(lane.key, now, settings.keyRate, settings.keyRatePeriodMs * 1000)
      }
      this.#deliveries++
      if (settings.rate !== Number.POSITIVE_INFINITY) {
        this.#spentAt = spentAt(this.#spentAt, now, settings.rate, settings.ratePeriodMs * 1000)
      }
      return lane === undefined ? this.#takeKeyless(ring) : this.#takeFrom(lane)
    }
  }

  /** Puts a held message back to where it was. */
  unhold(slot: number): void {
    const { place, key, id, links } = this.#messages
    if (place[slot] !== PLACE.held) return
    this.held.delete(slot)
    place[slot] = PLACE.inLine
    this.#news.version++
    const name = key[slot] ?? ''
    if (name === '') {
      links.insert(this.#ringOf(slot).keyless, slot, links.rank[slot] ?? 0)
      return
    }
    const lane = this.#lane(name)
    lane.held--
    links.insert(lane, slot, id[slot] ?? 0)
    if (lane.ring === -1) lane.turn = lane.heldTurn
    lane.left = lane.heldLeft
    this.#refresh(lane)
  }

  /** Forgets what only a leader knows: holds, and what was spent of rates. */
  unholdAll(): void {
    for (const slot of this.held) this.unhold(slot)
    this.#keyRates = new RateLimits()
    this.#spentAt = 0
    this.#openThrottled(Number.POSITIVE_INFINITY)
  }

  /** When a rate lets the next message through, if only that is in the way; else Infinity. */
  nextAt(now: LeaderMicros): LeaderMicros {
    if (this.held.size >= this.#settings.concurrency) return Number.POSITIVE_INFINITY
    const isReady = this.#rings.some((ring) => !ring.lanes.isEmpty || !ring.keyless.isEmpty)
    const readyAt = isReady ? 0 : this.#throttled.lowest
    const at = Math.max(readyAt, this.#opensAt())
    return at > now ? at : Number.POSITIVE_INFINITY
  }

  /** Other settings that change nothing about which keys may deliver. */
  adopt(settings: QueueSettings): void {
    this.#settings = settings
    this.#weights = weightsOf(settings)
    this.#news.version++
  }

  /** Orders everything anew under other settings; `slots` are those of all living messages, in their order. */
  rebuild(settings: QueueSettings, slots: Int32Array): void {
    const { place, key } = this.#messages
    this.#settings = settings
    this.#weights = weightsOf(settings)
    this.#lanes = new Map()
    this.#numbered = []
    this.#freeNumbers = []
    this.#laneLinks = new Links()
    this.#rings = makeRings()
    this.#throttled = new Heap()
    this.#news.version++
    for (const slot of slots) {
      const name = key[slot] ?? ''
      if (place[slot] !== PLACE.held) this.add(slot)
      else if (name !== '') {
        const lane = this.#lane(name)
        lane.held++
        this.#refresh(lane)
      }
    }
  }

  #takeKeyless(ring: Ring): number {
    const slot = this.#messages.links.first(ring.keyless)
    this.#messages.links.remove(ring.keyless, slot)
    this.#mark(slot)
    return slot
  }

  #takeFrom(lane: Lane): number {
    const slot = this.#messages.links.first(lane)
    this.#messages.links.remove(lane, slot)
    this.#mark(slot)
    lane.held++
    const { turn } = lane
    lane.heldTurn = turn
    this.#leaveRing(lane)
    if (this.#weights !== undefined) {
      lane.heldLeft = lane.left
      lane.left = lane.left > 0 ? lane.left - 1 : (this.#weights.get(lane.key) ?? 1) - 1
      if (lane.left > 0) lane.turn = turn
    }
    this.#refresh(lane)
    return slot
  }

  #mark(slot: number): void {
    this.#messages.place[slot] = PLACE.held
    this.held.add(slot)
  }

  #ringOf(slot: number): Ring {
    return required(this.#rings[this.#messages.priority[slot] ?? 0], 'the ring of a priority')
  }

  #nextRing(): Ring | undefined {
    const fromLowest = (this.#deliveries + 1) % SHARE_OF_LOWEST === 0
    for (let step = 0; step < PRIORITIES; step++) {
      const ring = this.#rings[fromLowest ? step : PRIORITIES - 1 - step]
      if (ring !== undefined && !(ring.lanes.isEmpty && ring.keyless.isEmpty)) return ring
    }
    return undefined
  }

  /** The lane whose turn it is; undefined when it is that of a message without a key. */
  #nextLane(ring: Ring): Lane | undefined {
    const number = this.#laneLinks.first(ring.lanes)
    if (number === -1 || ring.keyless.isEmpty) return this.#numbered[number]
    const { links } = this.#messages
    const keyless = links.rank[links.first(ring.keyless)] ?? 0
    return keyless < (this.#laneLinks.rank[number] ?? 0) ? undefined : this.#numbered[number]
  }

  #lane(key: string): Lane {
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      const number = this.#freeNumbers.pop() ?? this.#numbered.length
      lane = new Lane(key, number)
      this.#numbered[number] = lane
      if (number >= this.#laneLinks.rank.length) this.#laneLinks.grow(Math.max(16, number * 2))
      this.#lanes.set(key, lane)
    }
    return lane
  }

  /** Brings a lane into the ring where it belongs, or out. */
  #refresh(lane: Lane): void {
    const first = this.#messages.links.first(lane)
    if (first === -1 && lane.held === 0 && lane.throttled === undefined) {
      this.#leaveRing(lane)
      this.#lanes.delete(lane.key)
      this.#numbered[lane.number] = undefined
      this.#freeNumbers.push(lane.number)
      return
    }
    const wanted = first === -1 || this.#isShut(lane, first) ? -1 : (this.#messages.priority[first] ?? 0)
    if (wanted === lane.ring) return
    const turn = lane.turn
    this.#leaveRing(lane)
    const ring = this.#rings[wanted]
    if (ring === undefined) return
    lane.turn = turn === 0 ? ++this.#turns : turn
    lane.ring = wanted
    this.#laneLinks.insert(ring.lanes, lane.number, lane.turn)
    this.#news.version++
  }

  #isShut(lane: Lane, first: number): boolean {
    if (lane.throttled !== undefined || lane.held >= this.#settings.keyConcurrency) return true
    return this.#settings.order === 'key' && (lane.held > 0 || this.#messages.has(first, FLAG.delayed))
  }

  #leaveRing(lane: Lane): void {
    const ring = this.#rings[lane.ring]
    if (ring !== undefined) this.#laneLinks.remove(ring.lanes, lane.number)
    lane.ring = -1
    lane.turn = 0
  }

  #throttle(lane: Lane, until: LeaderMicros): void {
    lane.throttled = this.#throttled.add(lane, until)
    this.#refresh(lane)
  }

  #openThrottled(now: LeaderMicros): void {
    while (this.#throttled.size > 0 && this.#throttled.lowest <= now) {
      const lane = this.#throttled.take()
      if (lane === undefined) return
      lane.throttled = undefined
      this.#refresh(lane)
    }
  }

  #opensAt(): LeaderMicros {
    const { rate, ratePeriodMs } = this.#settings
    return rate === Number.POSITIVE_INFINITY ? 0 : openingOf(this.#spentAt, rate, ratePeriodMs * 1000)
  }
}

function weightsOf({ keyWeights }: QueueSettings): ReadonlyMap<string, number> | undefined {
  const weights = Object.entries(keyWeights)
  return weights.length === 0 ? undefined : new Map(weights)
}

function makeRings(): readonly Ring[] {
  return Array.from({ length: PRIORITIES }, () => ({ lanes: new Line(), keyless: new Line() }))
}
