/** The state of a queue of the memory driver: what waits, who has it, and what died. */

import { TroupeError } from '../../base/error.ts'
import type { Clock, Millis, Scheduler, Timer, WallMillis } from '../../base/time.ts'
import type {
  CallOptions,
  DeathReason,
  Effect,
  OutgoingMessage,
  QueueRules,
  QueueStats,
  RedriveFilter,
  Sent,
} from '../contract.ts'
import type { ConsumerOwner, MemoryConsumer } from './consumer.ts'
import { MemoryDeduplication } from './deduplication.ts'
import { type DeliveryOwner, MemoryDelivery, staleDelivery } from './delivery.ts'
import { MEMORY_RECEIPT, type MemoryDoor } from './door.ts'
import { MemoryMessage } from './message.ts'
import { MemoryOrder } from './queue-order.ts'

/** Carries out what happens along with an acknowledgement. */
export interface EffectPort {
  check(effects: readonly Effect[]): void
  apply(effects: readonly Effect[]): void
}

export interface QueueParts {
  readonly name: string
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly door: MemoryDoor
  readonly effects: EffectPort
  /** Of a new message. */
  readonly nextNumber: () => number
}

export class MemoryQueueState implements DeliveryOwner, ConsumerOwner {
  /** Everything that is neither settled nor dead. */
  readonly live: Map<number, MemoryMessage> = new Map()
  readonly dead: Map<number, MemoryMessage> = new Map()
  /** Acknowledged with a result that is kept for a while. */
  readonly done: Map<number, MemoryMessage> = new Map()
  readonly #parts: QueueParts
  readonly #consumers: MemoryConsumer[] = []
  readonly #deliveries = new Map<MemoryMessage, MemoryDelivery>()
  readonly #deduplication: MemoryDeduplication
  readonly #roomSeekers = new Set<() => void>()
  readonly #endSeekers = new Map<number, Set<() => void>>()
  readonly #flows = new Map<string, MemoryMessage>()
  #rules: QueueRules
  readonly #order: MemoryOrder
  #isPaused = false
  #opening: Timer | undefined

  constructor(parts: QueueParts, rules: QueueRules) {
    this.#parts = parts
    this.#rules = rules
    this.#order = new MemoryOrder(rules)
    this.#deduplication = new MemoryDeduplication(parts.clock, (number) => this.live.has(number))
  }

  readonly now = (): Millis => this.#parts.clock.now()

  get leaseMs(): Millis {
    return this.#rules.leaseMs
  }

  get hasRoom(): boolean {
    return this.live.size < this.#rules.limit || this.#rules.overflow === 'drop-oldest'
  }

  get blocks(): boolean {
    return this.#rules.overflow === 'block'
  }

  /** The rules of the newest caller count. */
  configure(rules: QueueRules): void {
    if (sameRules(rules, this.#rules)) return
    this.#rules = rules
    this.#order.configure(rules, this.now())
    this.dispatch()
  }

  /** A message that is due once as many children have arrived; the one that is there when it was sent before. */
  sendFlow(name: string, message: OutgoingMessage, children: number): Sent | undefined {
    const known = this.#flows.get(name)
    if (known !== undefined) return { id: known.id, isDuplicate: true, receipt: MEMORY_RECEIPT }
    return this.send(message, { name, results: Array.from<undefined>({ length: children }) })
  }

  /** A child of a flow is done. */
  arrive(name: string, child: number, result: Uint8Array): void {
    const message = this.#flows.get(name)
    if (message?.flow === undefined || message.flow.results[child] !== undefined) return
    message.flow.results[child] = result.slice()
    if (message.isWaitingForChildren || message.dueAt !== Number.POSITIVE_INFINITY || message.state === 'dead') return
    message.dueAt = this.now()
    this.#wait(message)
    this.dispatch()
  }

  /** Undefined when there is no room. */
  send(message: OutgoingMessage, flow?: MemoryMessage['flow']): Sent | undefined {
    const earlier = this.#deduplication.find(message)
    if (earlier !== undefined) {
      this.#meet(earlier, message)
      this.dispatch()
      return { id: `0.${earlier.number}`, isDuplicate: true, receipt: MEMORY_RECEIPT }
    }
    if (!this.hasRoom) return undefined
    const { clock } = this.#parts
    const dueAt = flow === undefined ? this.#dueAt(message.delay) : Number.POSITIVE_INFINITY
    const added = new MemoryMessage(this.#parts.nextNumber(), message, { sentAt: clock.wallTime(), dueAt })
    this.live.set(added.number, added)
    added.flow = flow
    if (flow !== undefined) this.#flows.set(flow.name, added)
    this.#deduplication.note(message, added.number)
    if (message.ttl !== Number.POSITIVE_INFINITY) this.#expireAt(added, clock.now() + message.ttl)
    this.#wait(added)
    const [oldest] = this.live.values()
    if (this.live.size > this.#rules.limit && oldest !== undefined) this.#kill(oldest, 'overflow')
    this.dispatch()
    return { id: added.id, isDuplicate: false, receipt: MEMORY_RECEIPT }
  }

  /** Calls `seeker` once when there is room; returns how to stop waiting. */
  seekRoom(seeker: () => void): () => void {
    this.#roomSeekers.add(seeker)
    return () => this.#roomSeekers.delete(seeker)
  }

  /** Calls `seeker` when the message has ended; returns how to stop waiting. */
  seekEnd(number: number, seeker: () => void): () => void {
    const seekers = this.#endSeekers.get(number) ?? new Set()
    this.#endSeekers.set(number, seekers.add(seeker))
    return () => {
      seekers.delete(seeker)
      if (seekers.size === 0) this.#endSeekers.delete(number)
    }
  }

  enrol(consumer: MemoryConsumer): void {
    this.#consumers.push(consumer)
    this.dispatch()
  }

  dismiss(consumer: MemoryConsumer): void {
    const at = this.#consumers.indexOf(consumer)
    if (at >= 0) this.#consumers.splice(at, 1)
    for (const delivery of consumer.deliveries) {
      this.#lose(delivery, 'its consumer has ended')
      this.restore(delivery.message)
    }
    this.dispatch()
  }

  fail(error: unknown): void {
    for (const consumer of this.#consumers.slice()) consumer.fail(error)
    for (const seeker of this.#roomSeekers) seeker()
    for (const number of this.#endSeekers.keys()) this.#ended(number)
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.dispatch()
  }

  startLease(delivery: MemoryDelivery, leaseMs: Millis): Timer {
    const { clock, scheduler } = this.#parts
    return scheduler.at(clock.now() + leaseMs, () => {
      this.#lose(delivery, 'it was not settled or extended in time')
      this.retry(delivery.message, 0, undefined)
      this.dispatch()
    })
  }

  settle(options: CallOptions, delivery: MemoryDelivery, act: () => void): Promise<void> {
    return this.#parts.door.answer(options, () => {
      if (delivery.isOver) throw staleDelivery(delivery.id)
      this.#letGo(delivery)
      delivery.end()
      act()
      this.dispatch()
    })
  }

  acknowledge(message: MemoryMessage): void {
    this.#forget(message)
    this.#forgetFlow(message)
    const again = this.#deduplication.takeAgain(message.deduplicationId)
    if (again !== undefined) this.send(again)
  }

  retry(message: MemoryMessage, delay: Millis, error: Uint8Array | undefined): void {
    message.fail(error)
    if (message.attempts >= this.#rules.maxAttempts) this.die(message, 'attempts')
    else {
      message.dueAt = this.now() + delay
      this.#wait(message, this.#rules.order === 'key')
    }
  }

  die(message: MemoryMessage, reason: DeathReason): void {
    this.#forget(message)
    message.state = 'dead'
    message.death = reason
    this.dead.set(message.number, message)
    message.timers.push(this.#after(this.#rules.deadKeepMs, () => this.#forgetDead(message)))
    this.#ended(message.number)
    const again = reason === 'overflow' ? undefined : this.#deduplication.takeAgain(message.deduplicationId)
    if (again !== undefined) this.send(again)
  }

  restore(message: MemoryMessage): void {
    message.dueAt = message.isWaitingForChildren ? Number.POSITIVE_INFINITY : this.now()
    this.#wait(message)
  }

  check(effects: readonly Effect[]): void {
    this.#parts.effects.check(effects)
  }

  apply(message: MemoryMessage, effects: readonly Effect[]): void {
    this.#parts.effects.apply(effects)
    for (const effect of effects) {
      if (effect.type !== 'result') continue
      message.result = effect.value.slice()
      message.state = 'done'
      this.done.set(message.number, message)
      this.#after(effect.keep, () => this.done.delete(message.number))
    }
  }

  remove(number: number): boolean {
    const message = this.live.get(number)
    if (message === undefined) {
      const dead = this.dead.get(number)
      if (dead !== undefined) this.#forgetDead(dead)
      return dead !== undefined
    }
    this.#take(message, 'the message was removed')
    this.#forget(message)
    this.#deduplication.forget(message)
    this.#forgetFlow(message)
    this.dispatch()
    return true
  }

  move(number: number, dueAt: WallMillis): boolean {
    const message = this.live.get(number)
    if (message === undefined) return false
    this.#take(message, 'the message was moved')
    message.dueAt = this.#dueAt({ at: dueAt })
    this.#wait(message)
    this.dispatch()
    return true
  }

  redrive(filter: RedriveFilter): number {
    const { limit, reason, ids } = { limit: Number.POSITIVE_INFINITY, reason: undefined, ids: undefined, ...filter }
    const chosen = [...this.dead.values()]
      .filter(({ death, id }) => (reason === undefined || death === reason) && ids?.includes(id) !== false)
      .sort((a, b) => a.number - b.number)
      .slice(0, limit)
    for (const message of chosen) {
      message.cancelTimers()
      this.dead.delete(message.number)
      message.death = undefined
      message.attempts = 0
      this.live.set(message.number, message)
      this.restore(message)
    }
    this.dispatch()
    return chosen.length
  }

  stats(): QueueStats {
    const messages = [...this.live.values()]
    const waiting = messages.filter(({ state }) => state === 'waiting')
    const oldest = Math.min(...waiting.slice(0, 1).map(({ sentAt }) => sentAt))
    return {
      waiting: waiting.length,
      delayed: messages.filter(({ state }) => state === 'delayed').length,
      leased: this.#deliveries.size,
      dead: this.dead.size,
      isPaused: this.#isPaused,
      oldestWaitingMs: waiting.length === 0 ? 0 : Math.max(0, this.#parts.clock.wallTime() - oldest),
      consumers: this.#consumers.map((consumer) => consumer.status()),
    }
  }

  dispatch(): void {
    if (this.hasRoom) for (const seeker of this.#roomSeekers) seeker()
    this.#opening?.cancel()
    while (!this.#isPaused) {
      const at = this.#consumers.findIndex(({ hasRoom }) => hasRoom)
      const consumer = this.#consumers[at]
      if (consumer === undefined) return
      const message = this.#order.take(this.now())
      if (message === undefined) break
      message.state = 'leased'
      const delivery = new MemoryDelivery(this, message, { consumer, now: this.now() })
      this.#deliveries.set(message, delivery)
      // Whoever has had one goes to the end of the line.
      this.#consumers.push(...this.#consumers.splice(at, 1))
      consumer.push(delivery)
    }
    this.#opening = this.#parts.scheduler.at(this.#order.opensAt, () => this.dispatch())
  }

  #meet(earlier: NonNullable<ReturnType<MemoryDeduplication['find']>>, message: OutgoingMessage): void {
    const { deduplication } = message
    const known = this.live.get(earlier.number)
    if (known === undefined || deduplication === undefined || deduplication.mode === 'drop') return
    if (deduplication.mode === 'requeue') {
      earlier.again = message
      return
    }
    const delivery = this.#deliveries.get(known)
    if (delivery !== undefined) this.#lose(delivery, 'the message was replaced')
    known.payload = message.payload.slice()
    known.headers = { ...message.headers }
    if (deduplication.mode === 'replace') {
      if (delivery !== undefined) this.#wait(known)
      return
    }
    earlier.until = this.now() + deduplication.window
    this.#order.delete(known, this.now())
    known.cancelTimers()
    known.dueAt = this.#dueAt(message.delay)
    this.#wait(known)
  }

  /** Waits for its turn, once it is due. With `keepsPlace` its key waits with it until then. */
  #wait(message: MemoryMessage, keepsPlace = false): void {
    const now = this.now()
    const isDue = message.dueAt <= now
    message.state = isDue ? 'waiting' : 'delayed'
    if (isDue || keepsPlace) this.#order.add(message, now)
    if (isDue) return
    const due = this.#parts.scheduler.at(message.dueAt, () => {
      message.state = 'waiting'
      if (keepsPlace) this.#order.refresh(message, this.now())
      else this.#order.add(message, this.now())
      this.dispatch()
    })
    message.timers.push(due)
  }

  #expireAt(message: MemoryMessage, at: Millis): void {
    const expiry = this.#parts.scheduler.at(at, () => {
      this.#kill(message, 'expired')
      this.dispatch()
    })
    message.timers.push(expiry)
  }

  #kill(message: MemoryMessage, reason: DeathReason): void {
    this.#take(message, `the message is dead: ${reason}`)
    this.die(message, reason)
  }

  /** Out of the order, and out of the hands of whoever has it. */
  #take(message: MemoryMessage, why: string): void {
    const delivery = this.#deliveries.get(message)
    if (delivery === undefined) this.#order.delete(message, this.now())
    else this.#lose(delivery, why)
    message.cancelTimers()
  }

  #lose(delivery: MemoryDelivery, why: string): void {
    this.#letGo(delivery)
    delivery.end(new TroupeError('LEASE_LOST', `the lease of message ${delivery.id} is over: ${why}`))
  }

  #letGo(delivery: MemoryDelivery): void {
    this.#deliveries.delete(delivery.message)
    delivery.consumer.deliveries.delete(delivery)
    this.#order.unhold(delivery.message, this.now())
  }

  #forget(message: MemoryMessage): void {
    message.cancelTimers()
    this.live.delete(message.number)
    this.#ended(message.number)
  }

  #forgetDead(message: MemoryMessage): void {
    message.cancelTimers()
    this.dead.delete(message.number)
    this.#forgetFlow(message)
  }

  #forgetFlow({ flow }: MemoryMessage): void {
    if (flow !== undefined) this.#flows.delete(flow.name)
  }

  #ended(number: number): void {
    for (const seeker of this.#endSeekers.get(number) ?? []) seeker()
  }

  #dueAt(delay: OutgoingMessage['delay']): Millis {
    const { clock } = this.#parts
    const distance = typeof delay === 'number' ? delay : delay.at - clock.wallTime()
    return clock.now() + Math.max(0, distance)
  }

  #after(delay: Millis, task: () => void): Timer {
    return this.#parts.scheduler.at(this.now() + delay, task)
  }
}

function sameRules(a: QueueRules, b: QueueRules): boolean {
  if (a === b) return true
  const { keyWeights, ...rest } = a
  const isSame = (Object.keys(rest) as (keyof typeof rest)[]).every((name) => a[name] === b[name])
  return isSame && JSON.stringify(keyWeights) === JSON.stringify(b.keyWeights)
}
