/** The queues of the native driver: messages go to the shard of their key, and come from all shards. */

import { invalidArgument } from '../../../base/argument.ts'
import type { ByteWriter } from '../../../base/bytes.ts'
import { isTroupeError, TroupeError } from '../../../base/error.ts'
import { decodeHeaders, encodeHeaders } from '../../../base/headers.ts'
import { DEFAULT_TIMEOUT_MS } from '../../../base/time.ts'
import { checkCron } from '../../../cluster/duty/cron.ts'
import { COMMAND } from '../../../machine/command.ts'
import { QUEUE_COMMAND, QUEUE_QUERY } from '../../../machine/queue/command.ts'
import {
  decodeInspect,
  decodePeek,
  decodeQueues,
  decodeStats,
  encodeContent,
  encodeDelete,
  encodeFlowHead,
  encodeInspect,
  encodeLargeHead,
  encodeMessageId,
  encodeMove,
  encodePause,
  encodePeek,
  encodePurge,
  encodeQueueQuery,
  encodeQueues,
  encodeRedrive,
  encodeSend,
  type PeekedMessage,
  type SendCommand,
} from '../../../machine/queue/encode.ts'
import { writeConsumersRequest } from '../../../wire/delivery.ts'
import { OPERATION } from '../../../wire/request.ts'
import type {
  CallOptions,
  ConsumeOptions,
  Delivered,
  Fence,
  InspectedMessage,
  NamedQueue,
  OutgoingFlow,
  OutgoingMessage,
  QueueFacet,
  QueueStats,
  RedriveFilter,
  ScheduleRule,
  ScheduleStatus,
  Sent,
} from '../../contract.ts'
import { checkUnused } from '../../in-use.ts'
import { ASK, Bodies, commandVerb, type Done, leaderVerb, ruledVerb } from '../body.ts'
import { EffectParts, type EffectPorts } from '../effects.ts'
import { type LargeName, LargePayloads, type LargePorts } from '../large.ts'
import { fenceOf } from '../lease/fence.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import type { RulePorts } from '../rules.ts'
import { Spread } from '../spread.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'
import { merge, readConsumers } from './consumer-status.ts'
import { Consumption } from './consumption.ts'
import { Flows } from './flows.ts'
import { Results } from './results.ts'
import { QueueRuleBook, type RuledQueue } from './rules.ts'
import { NativeSchedules } from './schedule.ts'

const PAUSE = commandVerb(QUEUE_COMMAND.pause)
const PURGE = commandVerb(QUEUE_COMMAND.purge)
const DELETE = commandVerb(QUEUE_COMMAND.queueDelete)
const REDRIVE = commandVerb(QUEUE_COMMAND.redrive)
const REVIVE = commandVerb(QUEUE_COMMAND.revive)
const MOVE = commandVerb(QUEUE_COMMAND.move)
const REMOVE = commandVerb(QUEUE_COMMAND.remove)
const FENCED = commandVerb(COMMAND.transaction)
const CONSUMERS = leaderVerb(OPERATION.consumers, readConsumers)

const PAGE_LIMIT = 1000
/** Messages that one command purges or redrives. */
const SLICE = 5000
/** So many messages that are sent one after the other go to one shard, or fewer where that would be a good part of what it takes. */
const MOST_ALONE = 64
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 500
/** What a sender that waits for room leaves to its last try. */
const LAST_TRY_MS = 50

type FencedOptions = CallOptions & { readonly fence?: Fence }

/** A message that is sent; its payload may be in its shard already. */
interface Outgoing {
  readonly message: OutgoingMessage
  readonly large?: LargeName
  /** Of what is there. */
  readonly shard?: number
}

interface Slices {
  readonly shard: number
  readonly count: number
  readonly encode: (writer: ByteWriter, most: number) => void
}

export class NativeQueues implements QueueFacet {
  readonly #router: Router
  readonly #ports: WatchPorts
  readonly #bodies: Bodies
  readonly #rules: QueueRuleBook
  readonly #sendVerb: Verb<Sent>
  readonly #sendLargeVerb: Verb<Sent>
  readonly #effects: EffectParts
  readonly #flows: Flows
  readonly #results: Results
  readonly #schedules: NativeSchedules
  readonly #large: LargePayloads
  /** Where messages without a key go. */
  readonly #spread: Spread

  constructor(router: Router, ports: RulePorts & LargePorts, prepareTopic: EffectPorts['prepareTopic']) {
    const bodies = new Bodies()
    this.#schedules = new NativeSchedules(router, bodies)
    this.#router = router
    this.#ports = ports
    this.#bodies = bodies
    this.#spread = new Spread(ports.scheduler)
    this.#rules = new QueueRuleBook(router, ports, bodies)
    const unruled = (name: string): void => this.#rules.renew(name)
    this.#sendVerb = sendVerb(ruledVerb(QUEUE_COMMAND.send, unruled))
    this.#sendLargeVerb = sendVerb(ruledVerb(QUEUE_COMMAND.sendLarge, unruled))
    this.#effects = new EffectParts({
      router,
      prepare: (queue, options) => this.#rules.prepare(queue, options),
      prepareTopic,
      shardOfMessage: (queue, message) => this.#shardOf(queue, message),
      encodeMessage: (writer, queue, message) => encodeSend(writer, sendCommand(queue, message)),
    })
    this.#large = new LargePayloads(router, bodies, ports)
    this.#results = new Results(router, ports)
    this.#flows = new Flows({
      router,
      bodies,
      effects: this.#effects,
      prepare: (queue, options) => this.#rules.prepare(queue, options),
      encodeFlow(writer, queue, { name, children, message }) {
        encodeFlowHead(writer, queue.name, name, children.length)
        encodeContent(writer, sendCommand(queue, message))
      },
    })
  }

  async sendFlow(flow: OutgoingFlow, options: CallOptions): Promise<Sent> {
    return sentOf(await this.#flows.send(flow, options))
  }

  async children(queue: string, id: string, options: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#flows.children(queue, await this.#place(id, options), options)
  }

  async result(queue: string, id: string, options: CallOptions): Promise<Uint8Array | undefined> {
    const inspect = (call: CallOptions) => this.inspect(queue, id, call)
    return this.#results.wait({ ...(await this.#place(id, options)), queue, id, inspect }, options)
  }

  send(queue: NamedQueue, message: OutgoingMessage, options: CallOptions & { readonly fence?: Fence }): Promise<Sent> {
    return this.#rules.isKnown(queue)
      ? this.#send(queue, message, options)
      : this.#rules.prepare(queue, options).then((ruled) => this.#send(ruled, message, options))
  }

  consume(queue: NamedQueue, options: ConsumeOptions): AsyncIterable<Delivered> {
    const parts = {
      router: this.#router,
      ports: this.#ports,
      bodies: this.#bodies,
      effects: this.#effects,
      large: this.#large,
      // Somebody who only receives would not hear that the queue was deleted meanwhile.
      prepare: () => {
        this.#rules.renew(queue.name)
        return this.#rules.prepare(queue, { timeout: Number.POSITIVE_INFINITY })
      },
    }
    return { [Symbol.asyncIterator]: () => new Consumption(queue.name, options, parts).feed }
  }

  async stats(queue: string, options: CallOptions): Promise<QueueStats> {
    const query = this.#bodies.write((writer) => encodeQueueQuery(writer, QUEUE_QUERY.stats, queue))
    const who = this.#bodies.write((writer) => writeConsumersRequest(writer, { queue }))
    const [answers, consumers] = await Promise.all([
      this.#everywhere(ASK, query, options),
      this.#everywhere(CONSUMERS, who, options),
    ])
    const all = answers.map(decodeStats)
    const sum = (of: (stats: (typeof all)[number]) => number): number =>
      all.reduce((total, each) => total + of(each), 0)
    const oldest = Math.min(...all.map((each) => each.oldest || Number.POSITIVE_INFINITY))
    return {
      waiting: sum((each) => each.waiting),
      delayed: sum((each) => each.delayed),
      leased: sum((each) => each.leased),
      dead: sum((each) => each.dead),
      isPaused: all.some((each) => each.isPaused),
      oldestWaitingMs: Number.isFinite(oldest) ? Math.max(0, this.#ports.clock.wallTime() - oldest / 1000) : 0,
      consumers: merge(consumers.flat()),
    }
  }

  async *peek(
    queue: string,
    state: 'waiting' | 'delayed' | 'dead',
    { limit, ...options }: CallOptions & { readonly limit: number },
  ): AsyncIterable<InspectedMessage> {
    const groups = await this.#router.whenReady(options)
    let left = limit
    for (let shard = 0; shard < groups.length; shard++) {
      for (let after = 0; left > 0; ) {
        const page = { after, limit: Math.min(left, PAGE_LIMIT) }
        const value = this.#bodies.write((writer) => encodePeek(writer, queue, state, page))
        const messages = decodePeek(await this.#router.submit(new Operation(ASK, { shard, value }), options))
        for (const message of messages) yield present(message, shard)
        left -= messages.length
        const last = messages.at(-1)
        if (last === undefined) break
        after = last.id
      }
    }
  }

  async inspect(queue: string, id: string, options: CallOptions): Promise<InspectedMessage | undefined> {
    const { shard, number } = await this.#place(id, options)
    const value = this.#bodies.write((writer) => encodeInspect(writer, queue, number))
    const found = decodeInspect(await this.#router.submit(new Operation(ASK, { shard, value }), options))
    return found === undefined ? undefined : present(found, shard)
  }

  async move(queue: string, id: string, { dueAt }: { readonly dueAt: number }, options: CallOptions): Promise<boolean> {
    const { shard, number } = await this.#place(id, options)
    const due = Math.max(0, Math.round(dueAt * 1000))
    const value = this.#bodies.write((writer) => encodeMove(writer, { queue, id: number }, '', due))
    const { status } = await this.#router.submit(new Operation(MOVE, { shard, value }), options)
    return status === 'ok'
  }

  remove(queue: string, id: string, options: CallOptions): Promise<boolean> {
    return this.#onMessage(REMOVE, queue, id, options)
  }

  async pause(queue: string, isPaused: boolean, options: CallOptions): Promise<void> {
    const value = this.#bodies.write((writer) => encodePause(writer, queue, isPaused))
    await this.#everywhere(PAUSE, value, options)
  }

  async purge(queue: string, what: 'waiting' | 'dead' | 'all', options: CallOptions): Promise<number> {
    const query = this.#bodies.write((writer) => encodeQueueQuery(writer, QUEUE_QUERY.stats, queue))
    const answers = await this.#everywhere(ASK, query, options)
    const purged = await Promise.all(
      answers.map((answer, shard) => {
        const { waiting, delayed, leased, dead } = decodeStats(answer)
        const living = what === 'dead' ? 0 : waiting + delayed + leased
        const count = living + (what === 'waiting' ? 0 : dead)
        const encode = (writer: ByteWriter, most: number): void => encodePurge(writer, queue, what, most)
        return this.#inSlices(PURGE, { shard, count, encode }, options)
      }),
    )
    return purged.reduce((total, count) => total + count, 0)
  }

  async delete(queue: string, options: CallOptions): Promise<number> {
    const { consumers } = await this.stats(queue, options)
    const schedules = (await this.schedules(options)).filter((schedule) => schedule.queue === queue)
    checkUnused(`queue '${queue}'`, { consumers: consumers.length, schedules: schedules.length })
    const shards = await this.#router.whenReady(options)
    const encode = (writer: ByteWriter, most: number): void => encodeDelete(writer, queue, most)
    const slices = shards.map((_, shard) => ({ shard, count: Number.POSITIVE_INFINITY, encode }))
    const deleted = await Promise.all(slices.map((slice) => this.#inSlices(DELETE, slice, options)))
    this.#rules.forget(queue)
    return deleted.reduce((total, count) => total + count, 0)
  }

  /** Shard by shard, so that there are never more than the limit. */
  async redrive(queue: string, filter: RedriveFilter, options: CallOptions): Promise<number> {
    if ('ids' in filter) return this.#revive(queue, filter.ids, options)
    const groups = await this.#router.whenReady(options)
    const { limit, reason = '' } = filter
    const encode = (writer: ByteWriter, most: number): void => encodeRedrive(writer, queue, most, reason)
    let count = 0
    for (let shard = 0; shard < groups.length && count < limit; shard++) {
      count += await this.#inSlices(REDRIVE, { shard, count: limit - count, encode }, options)
    }
    return count
  }

  async queues(options: CallOptions): Promise<readonly NamedQueue[]> {
    const groups = await this.#router.whenReady(options)
    const names = new Set<string>()
    for (let shard = 0; shard < groups.length; shard++) {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const from: string = after
        const value = this.#bodies.write((writer) => encodeQueues(writer, from, PAGE_LIMIT))
        const page = decodeQueues(await this.#router.submit(new Operation(ASK, { shard, value }), options))
        for (const name of page) names.add(name)
        after = page.at(-1)
      }
    }
    return [...names].sort().map((name) => ({ name }))
  }

  async schedule(queue: NamedQueue, id: string, rule: ScheduleRule, options: CallOptions): Promise<void> {
    if ('cron' in rule.rule) checkCron(rule.rule.cron, rule.rule.timeZone)
    await this.#schedules.set(await this.#rules.prepare(queue, options), id, rule, options)
  }

  unschedule(queue: string, id: string, options: CallOptions): Promise<boolean> {
    return this.#schedules.remove(queue, id, options)
  }

  pauseSchedule(
    name: { readonly queue: string; readonly id: string },
    isPaused: boolean,
    options: CallOptions,
  ): Promise<boolean> {
    return this.#schedules.pause(name, isPaused, options)
  }

  schedules(options: CallOptions): Promise<readonly ScheduleStatus[]> {
    return this.#schedules.all(options)
  }

  async #revive(queue: string, ids: readonly string[], options: CallOptions): Promise<number> {
    const ends = await Promise.all(ids.map((id) => this.#onMessage(REVIVE, queue, id, options)))
    return ends.filter((end) => end).length
  }

  async #onMessage(verb: Verb<Done>, queue: string, id: string, options: CallOptions): Promise<boolean> {
    const { shard, number } = await this.#place(id, options)
    const value = this.#bodies.write((writer) => encodeMessageId(writer, queue, number))
    const { status } = await this.#router.submit(new Operation(verb, { shard, value }), options)
    return status === 'ok'
  }

  /** Repeats a command until it has come to a count or finds nothing more: one for all would hold up the shard. */
  async #inSlices(verb: Verb<Done>, { shard, count, encode }: Slices, options: CallOptions): Promise<number> {
    let total = 0
    while (total < count) {
      const most = Math.min(count - total, SLICE)
      const value = this.#bodies.write((writer) => encode(writer, most))
      const { revision } = await this.#router.submit(new Operation(verb, { shard, value }), options)
      total += revision
      if (revision < most) break
    }
    return total
  }

  #send(queue: RuledQueue, message: OutgoingMessage, options: CallOptions & { readonly fence?: Fence }): Promise<Sent> {
    const isLarge = this.#large.isLarge(message)
    if (!isLarge && queue.rules.overflow !== 'block') return this.#submit(queue, message, options)
    return isLarge ? this.#sendLarge(queue, message, options) : this.#sendWithPatience(queue, { message }, options)
  }

  #submit(
    queue: RuledQueue,
    message: OutgoingMessage,
    options: CallOptions & { readonly fence?: Fence },
  ): Promise<Sent> {
    if (options.fence !== undefined) return this.#submitBeside(options.fence, queue, { message }, options)
    const shard = this.#shardOf(queue, message)
    encodeSend(this.#bodies.begin(), sendCommand(queue, message))
    return this.#router.submit(new Operation(this.#sendVerb, { shard, value: this.#bodies.end() }), options)
  }

  async #submitBeside(fence: Fence, queue: RuledQueue, outgoing: Outgoing, options: CallOptions): Promise<Sent> {
    const shard = outgoing.shard ?? this.#shardOf(queue, outgoing.message)
    const kind = outgoing.large === undefined ? QUEUE_COMMAND.send : QUEUE_COMMAND.sendLarge
    const encode = (writer: ByteWriter): void => encodeOutgoing(writer, queue, outgoing)
    const value = this.#bodies.transaction([fenceOf(this.#router, fence, shard), { kind, encode }])
    return sentOf(await this.#router.submit(new Operation(FENCED, { shard, value }), options))
  }

  #sendLarge(queue: RuledQueue, whole: OutgoingMessage, { fence, ...options }: FencedOptions): Promise<Sent> {
    const shard = this.#shardOf(queue, whole)
    const fenced = fence === undefined ? {} : { fence }
    return this.#large.send(whole, { queue: queue.name, shard }, options, (message, large, left) => {
      const outgoing = { message, large, shard }
      return queue.rules.overflow === 'block'
        ? this.#sendWithPatience(queue, outgoing, { ...left, ...fenced })
        : this.#submitOutgoing(queue, outgoing, { ...left, ...fenced })
    })
  }

  #submitOutgoing(queue: RuledQueue, outgoing: Outgoing, options: FencedOptions): Promise<Sent> {
    const { message, large, shard = -1 } = outgoing
    if (large === undefined) return this.#submit(queue, message, options)
    if (options.fence !== undefined) return this.#submitBeside(options.fence, queue, outgoing, options)
    const value = this.#bodies.write((writer) => encodeOutgoing(writer, queue, outgoing))
    return this.#router.submit(new Operation(this.#sendLargeVerb, { shard, value }), options)
  }

  /** Sends again whenever the queue had no room. */
  async #sendWithPatience(queue: RuledQueue, outgoing: Outgoing, options: FencedOptions): Promise<Sent> {
    const { clock, scheduler } = this.#ports
    const deadline = clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await this.#submitOutgoing(queue, outgoing, { ...options, timeout: Math.max(0, deadline - clock.now()) })
      } catch (error) {
        if (!isTroupeError(error, 'FULL')) throw error
        if (clock.now() + LAST_TRY_MS >= deadline) throw noRoomError(queue.name, error)
      }
      const again = Math.min(clock.now() + pause, deadline - LAST_TRY_MS)
      await new Promise<void>((resolve) => scheduler.at(again, resolve))
      options.signal?.throwIfAborted()
    }
  }

  #shardOf(queue: RuledQueue, message: OutgoingMessage): number {
    if (queue.rules.single) return this.#router.shardOf(queue.name, '')
    if (message.key !== '') return this.#router.shardOf(queue.name, message.key)
    if (message.deduplication !== undefined) return this.#router.shardOf(queue.name, message.deduplication.id)
    return this.#spread.among(this.#router.shards.length, Math.min(MOST_ALONE, queue.rules.limit / MOST_ALONE))
  }

  async #everywhere<Answer>(verb: Verb<Answer>, value: Uint8Array, options: CallOptions): Promise<Answer[]> {
    const groups = await this.#router.whenReady(options)
    return Promise.all(groups.map((_, shard) => this.#router.submit(new Operation(verb, { shard, value }), options)))
  }

  async #place(id: string, options: CallOptions): Promise<{ readonly shard: number; readonly number: number }> {
    const [, shard, number] = MESSAGE_ID.exec(id) ?? []
    const groups = await this.#router.whenReady(options)
    const place = { shard: Number(shard), number: Number(number) }
    if (number === undefined || place.shard >= groups.length || !Number.isSafeInteger(place.number)) {
      throw invalidArgument(`'${id.slice(0, 64)}' is no id of a message`)
    }
    return place
  }
}

const MESSAGE_ID = /^(\d{1,5})\.(\d{1,16})$/

function sendVerb(command: Verb<Done>): Verb<Sent> {
  const { operation, isWrite } = command
  // A send is answered without an object in between.
  return {
    operation,
    isWrite,
    encode: (writer, asked) => command.encode(writer, asked as unknown as Operation<Done>),
    decode: (bytes, asked) => sentOf(command.decode(bytes, asked as unknown as Operation<Done>)),
  }
}

function sentOf({ status, revision, shard, receipt }: Done): Sent {
  return { id: `${shard}.${revision}`, isDuplicate: status === 'duplicate', receipt }
}

function encodeOutgoing(writer: ByteWriter, queue: NamedQueue, { message, large }: Outgoing): void {
  const command = sendCommand(queue, message)
  if (large === undefined) {
    encodeSend(writer, command)
    return
  }
  encodeLargeHead(writer, queue.name, large.upload, large.bytes)
  encodeContent(writer, command)
}

function noRoomError(queue: string, cause: unknown): TroupeError {
  return new TroupeError('TIMEOUT', `there was no room in queue '${queue}' in time, and nothing was sent`, { cause })
}

function sendCommand(queue: NamedQueue, message: OutgoingMessage): SendCommand {
  const { key, delay, ttl, priority, deduplication, headers, payload } = message
  const isDueRelative = typeof delay === 'number'
  const due = Math.round((isDueRelative ? delay : delay.at) * 1000)
  return {
    queue: queue.name,
    key,
    priority,
    due: Math.max(due, 0),
    isDueRelative: isDueRelative && due > 0,
    expires: Number.isFinite(ttl) ? Math.max(1, Math.round(ttl * 1000)) : 0,
    isExpiresRelative: Number.isFinite(ttl),
    deduplication: deduplication?.id ?? '',
    mode: deduplication?.mode ?? 'drop',
    windowMs: Number.isFinite(deduplication?.window) ? Math.ceil(deduplication?.window ?? 0) : 0,
    headers: encodeHeaders(headers),
    payload,
  }
}

function present({ id, time, due, headers, ...message }: PeekedMessage, shard: number): InspectedMessage {
  return {
    ...message,
    id: `${shard}.${id}`,
    headers: decodeHeaders(headers),
    sentAt: time / 1000,
    dueAt: due / 1000,
  }
}
