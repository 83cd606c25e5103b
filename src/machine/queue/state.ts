/** One queue: its messages from when they are sent until they are settled or dead. */

import type { LeaderMicros } from '../batch.ts'
import { differing } from '../differing.ts'
import type { BodyStore } from './bodies.ts'
import { DEATHS, QUEUE_SETTINGS, type QueueSettings } from './command.ts'
import { Windows } from './deduplication.ts'
import { arrived, type Flow, WAITING_FOR_CHILDREN } from './flow.ts'
import { IdList } from './ids.ts'
import { FLAG, Messages, type NewMessage } from './messages.ts'
import { DeliveryOrder, type News } from './order.ts'
import { Results } from './results.ts'
import type { Uploads } from './uploads.ts'

export const DEFAULT_SETTINGS: QueueSettings = {
  order: 'key',
  maxAttempts: 5,
  leaseMs: 30_000,
  limit: 1_000_000,
  overflow: 'reject',
  concurrency: Number.POSITIVE_INFINITY,
  keyConcurrency: Number.POSITIVE_INFINITY,
  rate: Number.POSITIVE_INFINITY,
  ratePeriodMs: 1000,
  keyRate: Number.POSITIVE_INFINITY,
  keyRatePeriodMs: 1000,
  deadKeepMs: 14 * 24 * 3_600_000,
  single: false,
  keyWeights: {},
}

/** Most bytes that are kept of an error. */
const ERROR_LIMIT_BYTES = 4096
/** Most messages that one batch expires, makes due or forgets: a million that fall due at once are no single step. */
const DUE_LIMIT = 5000
const NOBODY: Int32Array = new Int32Array(0)
const NEVER: number = Number.POSITIVE_INFINITY

/** What the queues of a table share. */
export interface QueueHouse {
  readonly nextId: (time: LeaderMicros) => number
  /** Tells those who wait for the result of a message. */
  readonly announce: (queue: string, id: number, time: LeaderMicros) => void
  readonly news: News
  readonly bodies: BodyStore
  readonly uploads: Uploads
}

type Death = (typeof DEATHS)[number]

/**
 * Invariant: `live` and `dead` have all slots of `messages` that are taken, each once.
 * Invariant: a message is delayed while its due time has not come; only `advance` and commands end that.
 */
export class QueueState {
  readonly name: string
  settings: QueueSettings = DEFAULT_SETTINGS
  isPaused = false
  /** False while it has only been sent to. */
  isRuled = true
  readonly messages: Messages
  /** What waits, is delayed or is held. */
  readonly live: IdList = new IdList()
  readonly dead: IdList = new IdList()
  readonly order: DeliveryOrder
  readonly windows: Windows = new Windows()
  readonly results: Results = new Results()
  /** Ids of the flows, by their names: those that wait, and all others that are not gone. */
  readonly flows: Map<string, number> = new Map()
  /** How many of `live` are delayed. */
  delayed = 0
  /** Dead letters that made room for others. */
  dropped = 0
  readonly #house: QueueHouse

  constructor(name: string, house: QueueHouse) {
    this.name = name
    this.#house = house
    this.messages = new Messages(house.bodies, house.uploads)
    this.order = new DeliveryOrder(this.messages, DEFAULT_SETTINGS, house.news)
  }

  get uploads(): Uploads {
    return this.#house.uploads
  }

  get dueAt(): LeaderMicros {
    return Math.min(this.messages.dueHeap.dueAt, this.windows.dueAt, this.results.dueAt)
  }

  /** Returns which settings were others, a bit for each; none when nobody had said any. */
  configure(settings: QueueSettings): number {
    const { order, keyConcurrency, keyRate, deadKeepMs } = this.settings
    const changed = this.isRuled ? differing(this.settings, settings, QUEUE_SETTINGS) : 0
    this.settings = settings
    this.isRuled = true
    if (deadKeepMs !== settings.deadKeepMs) for (const slot of this.dead.slots()) this.#keepDead(slot)
    const isSame =
      order === settings.order && keyConcurrency === settings.keyConcurrency && keyRate === settings.keyRate
    if (isSame) this.order.adopt(settings)
    else this.order.reorder(settings, order === settings.order ? NOBODY : this.live.slots())
    return changed
  }

  /** Stores a message, whatever the limit. Returns its id. */
  send(message: NewMessage, time: LeaderMicros): number {
    const id = this.#house.nextId(time)
    const slot = this.messages.add(id, time, message)
    if (message.flow !== undefined) this.keepFlow(slot, message.flow)
    this.restore(slot, message.due > time ? FLAG.delayed : 0)
    return id
  }

  leaveResult(id: number, until: LeaderMicros, value: Uint8Array, time: LeaderMicros): void {
    this.results.add(id, until, value)
    this.#house.announce(this.name, id, time)
  }

  keepFlow(slot: number, flow: Flow): void {
    this.messages.detail(slot, { flow })
    this.flows.set(flow.name, this.messages.id[slot] ?? 0)
  }

  /** A child of a flow has brought its result; how many are missing, -1 when the flow is gone. */
  arrive(name: string, child: number, result: Uint8Array, time: LeaderMicros): number {
    const { messages } = this
    const id = this.flows.get(name) ?? 0
    const living = this.live.find(id)
    const slot = living === -1 ? this.dead.find(id) : living
    const before = messages.details.get(slot)?.flow
    if (before === undefined) return -1
    const flow = arrived(before, child, result)
    messages.detail(slot, { flow })
    const isWaiting = living !== -1 && messages.due.get(slot) === WAITING_FOR_CHILDREN
    if (flow.missing === 0 && isWaiting) this.#shift(slot, time, 0)
    return flow.missing
  }

  /** Puts a living message with these flags in its place. */
  restore(slot: number, flags: number): void {
    const { messages } = this
    messages.flags[slot] = flags
    this.live.add(messages.id[slot] ?? 0, slot)
    this.#place(slot)
  }

  /** Makes room by the oldest, whether it is held or not. */
  dropOldest(time: LeaderMicros): void {
    const oldest = this.live.first()
    if (oldest !== -1) this.die(oldest, 'overflow', time)
  }

  /** The message has ended well, or is cancelled (`isOver` false: whatever was to follow it does not). */
  finish(slot: number, time: LeaderMicros, isOver = true): void {
    if (!isOver) this.order.revoke(slot)
    const successor = this.#leave(slot, !isOver)
    this.#remove(slot)
    if (isOver && successor !== undefined) this.#follow(successor, time)
  }

  /** An attempt failed. Returns how many have. */
  fail(slot: number, delay: number, error: Uint8Array, time: LeaderMicros): number {
    const { messages } = this
    const attempts = messages.attempts.get(slot) + 1
    messages.attempts.set(slot, attempts)
    this.#note(slot, error)
    if (attempts >= this.settings.maxAttempts) this.die(slot, 'attempts', time)
    else this.#shift(slot, Math.min(time + delay, Number.MAX_SAFE_INTEGER), delay > 0 ? FLAG.delayed | FLAG.retried : 0)
    return attempts
  }

  reject(slot: number, reason: Death, error: Uint8Array, time: LeaderMicros): void {
    this.#note(slot, error)
    this.die(slot, reason, time)
  }

  move(slot: number, key: string, due: LeaderMicros, time: LeaderMicros): void {
    this.order.revoke(slot)
    this.order.remove(slot)
    this.messages.rename(slot, key)
    this.#shift(slot, Math.max(due, time), due > time ? FLAG.delayed : 0)
  }

  die(slot: number, reason: Death, time: LeaderMicros): void {
    const { messages } = this
    if (reason === 'expired' || reason === 'overflow') this.order.revoke(slot)
    const successor = this.#leave(slot, false)
    messages.flags[slot] = FLAG.dead
    messages.detail(slot, { death: DEATHS.indexOf(reason) + 1, died: time })
    this.restoreDead(slot)
    while (this.dead.size > this.settings.limit) {
      this.forget(this.dead.first())
      this.dropped++
    }
    if (successor === undefined) return
    const followed = this.#follow(successor, time)
    // There is no room for it either.
    if (reason === 'overflow') this.die(this.live.find(followed), reason, time)
  }

  restoreDead(slot: number): void {
    const { messages } = this
    messages.flags[slot] = FLAG.dead
    this.dead.add(messages.id[slot] ?? 0, slot)
    this.#keepDead(slot)
  }

  /** A dead letter is deleted. */
  forget(slot: number): void {
    this.dead.remove(this.messages.id[slot] ?? 0)
    this.#remove(slot)
  }

  /** A dead letter waits again, at its old place among those of its key. It does not expire any more; a flow waits for its children. */
  redrive(slot: number, time: LeaderMicros): void {
    const { messages } = this
    this.dead.remove(messages.id[slot] ?? 0)
    messages.detail(slot, { death: 0, died: 0 })
    messages.attempts.set(slot, 0)
    messages.expires.set(slot, NEVER)
    const isWaiting = (messages.details.get(slot)?.flow?.missing ?? 0) > 0
    messages.due.set(slot, isWaiting ? WAITING_FOR_CHILDREN : time)
    this.restore(slot, isWaiting ? FLAG.delayed : 0)
  }

  /** Does what has fallen due, in its order; of very much a part, and the rest with the next batch. */
  advance(time: LeaderMicros): void {
    const { messages } = this
    for (let left = DUE_LIMIT; left > 0 && messages.dueHeap.dueAt <= time; left--) {
      const slot = messages.dueHeap.first()
      if (messages.has(slot, FLAG.dead)) this.forget(slot)
      else if (messages.expires.get(slot) <= time) this.die(slot, 'expired', time)
      else this.#shift(slot, messages.dueOf(slot), 0)
    }
    this.windows.advance(time)
    this.results.advance(time)
  }

  #keepDead(slot: number): void {
    const died = this.messages.details.get(slot)?.died ?? 0
    this.messages.dueHeap.set(slot, died + this.settings.deadKeepMs * 1000)
  }

  /** Gives a living message another time and place. */
  #shift(slot: number, due: LeaderMicros, flags: number): void {
    const { messages } = this
    this.order.remove(slot)
    if (messages.has(slot, FLAG.delayed)) this.delayed--
    messages.due.set(slot, due)
    messages.flags[slot] = flags
    this.#place(slot)
  }

  #place(slot: number): void {
    const { messages } = this
    const isDelayed = messages.has(slot, FLAG.delayed)
    if (isDelayed) this.delayed++
    messages.dueHeap.set(slot, Math.min(isDelayed ? messages.dueOf(slot) : NEVER, messages.expires.get(slot)))
    this.order.add(slot)
  }

  #remove(slot: number): void {
    const flow = this.flows.size === 0 ? undefined : this.messages.details.get(slot)?.flow
    if (flow !== undefined) this.flows.delete(flow.name)
    this.messages.remove(slot)
  }

  /** A living message leaves; returns what is to follow it. */
  #leave(slot: number, isCancelled: boolean): NewMessage | undefined {
    const { messages } = this
    const id = messages.id[slot] ?? 0
    const deduplication = messages.deduplication.get(slot)
    this.order.remove(slot)
    this.live.remove(id)
    if (messages.has(slot, FLAG.delayed)) this.delayed--
    return deduplication === '' ? undefined : this.windows.ended(deduplication, id, isCancelled)
  }

  #follow(successor: NewMessage, time: LeaderMicros): number {
    const id = this.send({ ...successor, due: Math.max(successor.due, time) }, time)
    this.windows.open(successor.deduplication, id, NEVER)
    return id
  }

  #note(slot: number, error: Uint8Array): void {
    if (error.length === 0) return
    const lastError = error.slice(0, ERROR_LIMIT_BYTES)
    const firstError = this.messages.details.get(slot)?.firstError ?? lastError
    this.messages.detail(slot, { firstError, lastError })
  }
}
