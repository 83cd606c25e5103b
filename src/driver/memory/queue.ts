/** The queues of the memory driver: the queue facet as a readable specification. */

import { invalidArgument } from '../../base/argument.ts'
import { TroupeError } from '../../base/error.ts'
import { PARENT_HEADER } from '../../base/headers.ts'
import { type Clock, DEFAULT_TIMEOUT_MS, type Scheduler, type WallMillis } from '../../base/time.ts'
import { DEFAULT_SETTINGS } from '../../machine/queue/state.ts'
import type {
  CallOptions,
  ConsumeOptions,
  Delivered,
  Effect,
  Fence,
  InspectedMessage,
  NamedQueue,
  OutgoingFlow,
  OutgoingMessage,
  QueueFacet,
  QueueRules,
  QueueStats,
  RedriveFilter,
  ScheduleRule,
  ScheduleStatus,
  Sent,
} from '../contract.ts'
import { deadLetter } from '../dead-letter.ts'
import { checkUnused } from '../in-use.ts'
import { MemoryConsumer } from './consumer.ts'
import { closed, type MemoryDoor } from './door.ts'
import type { MemoryKeyValue } from './key-value.ts'
import { type MemoryMessage, numberOf } from './message.ts'
import { type EffectPort, MemoryQueueState } from './queue-state.ts'
import type { FiringPort, MemorySchedules } from './schedule.ts'
import type { MemoryTopics } from './topic.ts'

/** What messages can reach beside their queue. */
export interface MemoryQueueNeighbours {
  readonly keyValue: MemoryKeyValue
  readonly topic: MemoryTopics
  readonly checkFence: (fence: Fence) => void
  readonly schedules: (fire: FiringPort) => MemorySchedules
}

/** Of a queue that nobody has configured: the same on every driver. */
const DEFAULT_RULES: QueueRules = DEFAULT_SETTINGS

const PARENT = /^\[\d+,"(?:[^"\\]|\\.)*","(?:[^"\\]|\\.)*"\]$/

/** How long somebody waits, and what is said to who has waited in vain. */
interface Patience {
  readonly end: number
  readonly late: string
  readonly options: CallOptions
}

export class MemoryQueues implements QueueFacet, EffectPort {
  readonly #ports: { readonly clock: Clock; readonly scheduler: Scheduler }
  readonly #door: MemoryDoor
  readonly #neighbours: MemoryQueueNeighbours
  readonly #queues = new Map<string, MemoryQueueState>()
  readonly #schedules: MemorySchedules
  /** Of the latest message of all queues: a queue that is made anew has no number twice. */
  #number = 0

  constructor(
    ports: { readonly clock: Clock; readonly scheduler: Scheduler },
    door: MemoryDoor,
    neighbours: MemoryQueueNeighbours,
  ) {
    this.#ports = ports
    this.#door = door
    this.#neighbours = neighbours
    this.#schedules = neighbours.schedules((queue, message) => void this.#queue(queue).send(message))
    door.onClose(() => {
      for (const queue of this.#queues.values()) queue.fail(closed())
    })
  }

  async send(
    name: NamedQueue,
    message: OutgoingMessage,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Sent> {
    const end = this.#ports.clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    for (;;) {
      this.#door.check(options)
      if (options.fence !== undefined) this.#neighbours.checkFence(options.fence)
      const queue = this.#queue(name)
      const sent = queue.send(message)
      if (sent !== undefined) return sent
      if (!queue.blocks) throw full(name.name)
      const late = 'the queue had no room in time; nothing was sent'
      await this.#until((wake) => queue.seekRoom(wake), { end, late, options })
    }
  }

  /** The whole cluster is one shard here, so a flow and its children are stored at once. */
  sendFlow({ queue, name, message, children }: OutgoingFlow, options: CallOptions): Promise<Sent> {
    return this.#door.answer(options, () => {
      if (children.length === 0) throw invalidArgument('a flow has children')
      const parent = this.#queue(queue)
      for (const each of [queue, ...children.map((child) => child.queue)]) {
        if (!this.#queue(each).hasRoom) throw full(each.name)
      }
      const sent = parent.sendFlow(name, message, children.length)
      if (sent === undefined) throw full(queue.name)
      if (sent.isDuplicate) return sent
      for (const [at, child] of children.entries()) {
        const headers = { ...child.message.headers, [PARENT_HEADER]: JSON.stringify([at, name, queue.name]) }
        this.#queue(child.queue).send({ ...child.message, headers })
      }
      return sent
    })
  }

  children(name: string, id: string, options: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#door.answer(options, () => {
      const { live, dead } = this.#named(name)
      const number = numberOf(id) ?? 0
      return [...((live.get(number) ?? dead.get(number))?.flow?.results ?? [])]
    })
  }

  async result(name: string, id: string, options: CallOptions): Promise<Uint8Array | undefined> {
    const queue = this.#named(name)
    const number = numberOf(id) ?? 0
    const end = this.#ports.clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    for (;;) {
      this.#door.check(options)
      const dead = queue.dead.get(number)
      if (dead !== undefined) throw deadLetter(name, this.#inspected(dead))
      if (!queue.live.has(number)) return queue.done.get(number)?.result
      const late = `message ${id} of '${name}' was not done in time`
      await this.#until((wake) => queue.seekEnd(number, wake), { end, late, options })
    }
  }

  consume(name: NamedQueue, options: ConsumeOptions): AsyncIterable<Delivered> {
    return {
      [Symbol.asyncIterator]: () => {
        const queue = this.#queue(name)
        const owner = {
          now: queue.now,
          enrol: (consumer: MemoryConsumer): void => {
            this.#door.check(options)
            queue.enrol(consumer)
          },
          dismiss: (consumer: MemoryConsumer): void => queue.dismiss(consumer),
        }
        return new MemoryConsumer(owner, options)
      },
    }
  }

  stats(name: string, options: CallOptions): Promise<QueueStats> {
    return this.#door.answer(options, () => this.#named(name).stats())
  }

  async *peek(
    name: string,
    state: 'waiting' | 'delayed' | 'dead',
    options: CallOptions & { readonly limit: number },
  ): AsyncGenerator<InspectedMessage> {
    this.#door.check(options)
    const queue = this.#named(name)
    const messages = [...(state === 'dead' ? queue.dead : queue.live).values()]
      .filter((message) => message.state === state)
      .sort((a, b) => a.number - b.number)
      .slice(0, options.limit)
    for (const message of messages) yield this.#inspected(message)
  }

  inspect(name: string, id: string, options: CallOptions): Promise<InspectedMessage | undefined> {
    return this.#door.answer(options, () => {
      const { live, dead, done } = this.#named(name)
      const number = numberOf(id) ?? 0
      const message = live.get(number) ?? dead.get(number) ?? done.get(number)
      return message === undefined ? undefined : this.#inspected(message)
    })
  }

  move(name: string, id: string, to: { readonly dueAt: WallMillis }, options: CallOptions): Promise<boolean> {
    return this.#door.answer(options, () => this.#named(name).move(numberOf(id) ?? 0, to.dueAt))
  }

  remove(name: string, id: string, options: CallOptions): Promise<boolean> {
    return this.#door.answer(options, () => this.#named(name).remove(numberOf(id) ?? 0))
  }

  pause(name: string, isPaused: boolean, options: CallOptions): Promise<void> {
    return this.#door.answer(options, () => this.#named(name).pause(isPaused))
  }

  purge(name: string, what: 'waiting' | 'dead' | 'all', options: CallOptions): Promise<number> {
    return this.#door.answer(options, () => {
      const queue = this.#named(name)
      const numbers = [...(what === 'dead' ? [] : queue.live.keys()), ...(what === 'waiting' ? [] : queue.dead.keys())]
      for (const number of numbers) queue.remove(number)
      return numbers.length
    })
  }

  async delete(name: string, options: CallOptions): Promise<number> {
    const consumers = (await this.stats(name, options)).consumers.length
    const schedules = (await this.schedules(options)).filter(({ queue }) => queue === name).length
    checkUnused(`queue '${name}'`, { consumers, schedules })
    const count = await this.purge(name, 'all', options)
    this.#queues.delete(name)
    return count
  }

  redrive(name: string, filter: RedriveFilter, options: CallOptions): Promise<number> {
    return this.#door.answer(options, () => this.#named(name).redrive(filter))
  }

  queues(options: CallOptions): Promise<readonly NamedQueue[]> {
    return this.#door.answer(options, () => [...this.#queues.keys()].sort().map((name) => ({ name })))
  }

  schedule(queue: NamedQueue, id: string, rule: ScheduleRule, options: CallOptions): Promise<void> {
    return this.#door.answer(options, () => this.#schedules.set(queue, id, rule))
  }

  unschedule(queue: string, id: string, options: CallOptions): Promise<boolean> {
    return this.#door.answer(options, () => this.#schedules.remove(queue, id))
  }

  pauseSchedule(
    { queue, id }: { readonly queue: string; readonly id: string },
    isPaused: boolean,
    options: CallOptions,
  ): Promise<boolean> {
    return this.#door.answer(options, () => this.#schedules.pause(queue, id, isPaused))
  }

  schedules(options: CallOptions): Promise<readonly ScheduleStatus[]> {
    return this.#door.answer(options, () => this.#schedules.list())
  }

  check(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'set' || effect.type === 'delete') {
        this.#neighbours.keyValue.checkRevision(effect.map, effect.key, effect.ifRevision)
      }
      if (effect.type === 'send' && !this.#queue(effect.queue).hasRoom) throw full(effect.queue.name)
      if (effect.type === 'publish') this.#neighbours.topic.define(effect.topic)
    }
  }

  apply(effects: readonly Effect[]): void {
    const { keyValue, topic } = this.#neighbours
    for (const effect of effects) {
      if (effect.type === 'set') keyValue.put(effect.map, effect.key, effect.value)
      else if (effect.type === 'delete') keyValue.remove(effect.map, effect.key)
      else if (effect.type === 'send') this.#queue(effect.queue).send(effect.message)
      else if (effect.type === 'arrive') this.#arrive(effect.parent, effect.value)
      else if (effect.type === 'publish') topic.append(effect.topic, effect)
    }
  }

  /** A header that somebody else has made up is as if the flow were gone. */
  #arrive(parent: string, result: Uint8Array): void {
    if (!PARENT.test(parent)) return
    const [child, flow, queue]: [number, string, string] = JSON.parse(parent)
    this.#queues.get(queue)?.arrive(flow, child, result)
  }

  #inspected(message: MemoryMessage): InspectedMessage {
    const { clock } = this.#ports
    return message.inspect(clock.wallTime() + message.dueAt - clock.now())
  }

  #queue({ name, rules }: NamedQueue): MemoryQueueState {
    const queue = this.#named(name, rules)
    if (rules !== undefined) queue.configure(rules)
    return queue
  }

  #named(name: string, rules: QueueRules = DEFAULT_RULES): MemoryQueueState {
    if (name === '') throw invalidArgument('a queue has a name')
    const known = this.#queues.get(name)
    if (known !== undefined) return known
    const queue = new MemoryQueueState(
      { name, ...this.#ports, door: this.#door, effects: this, nextNumber: () => ++this.#number },
      rules,
    )
    this.#queues.set(name, queue)
    return queue
  }

  #until(subscribe: (wake: () => void) => () => void, { end, late, options: { signal } }: Patience): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: unknown): void => {
        stop()
        timer.cancel()
        signal?.removeEventListener('abort', aborted)
        if (error === undefined) resolve()
        else reject(error)
      }
      const aborted = (): void => finish(signal?.reason)
      const stop = subscribe(() => finish())
      const timer = this.#ports.scheduler.at(end, () => finish(new TroupeError('TIMEOUT', late)))
      signal?.addEventListener('abort', aborted, { once: true })
    })
  }
}

function full(queue: string): TroupeError {
  return new TroupeError('FULL', `the queue '${queue}' has reached its limit`)
}
