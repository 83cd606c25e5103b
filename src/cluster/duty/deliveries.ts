/** The deliveries of a shard: its leader hands the messages of queues to consumers, each under a lease that is known only here. */

import { ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { Heap } from '../../base/heap.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../base/time.ts'
import {
  COMMAND,
  COMMAND_HEAD_BYTES,
  type CommandHead,
  encodeHead,
  isCommitted,
  NO_SESSION,
  readHead,
  STATUS,
} from '../../machine/command.ts'
import type { HeldMessage, QueueView } from '../../machine/leader-view.ts'
import { QUEUE_COMMAND } from '../../machine/queue/command.ts'
import {
  type ConsumeRequest,
  type ConsumersRequest,
  type ExtendRequest,
  readSettleRequest,
} from '../../wire/delivery.ts'
import { REPLY } from '../../wire/request.ts'
import type { LeaderTime } from '../leader-time.ts'
import type { ReplyTarget, Source } from '../source.ts'
import type { Allowance } from './allowance.ts'
import { Consumer, type Lease } from './consumer.ts'
import { Settlement } from './settlement.ts'
import { DueTimer } from './timers.ts'

export interface DeliveryPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly time: LeaderTime
  /** Whether this replica leads and has executed everything that was decided before it did. */
  isActive(): boolean
  queues(): QueueView
  term(): number
  /** What was sent leaves soon. */
  touch(): void
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

const LEASE_LIMIT_MS: Millis = 86_400_000
/** A lapse that could not be proposed is tried again after this. */
const LAPSE_AGAIN_MS: Millis = 100
const CONSUMERS_LIMIT = 10_000
const TERM = 2 ** 32
const ENVELOPE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }

/** A queue with its consumers, who take turns. */
interface Line {
  readonly queue: string
  readonly consumers: Consumer[]
  turn: number
  isDirty: boolean
  /** Set while only a rate is in the way. */
  readonly opening: DueTimer
}

/**
 * Invariant: a message is held in the machine's view exactly while a lease for it is in `#leases`.
 * Invariant: a lease is among the deadlines unless a settlement of it is under way.
 */
export class Deliveries {
  readonly #ports: DeliveryPorts
  readonly #lines = new Map<string, Line>()
  /** By the count in their tokens, in the order in which they began. */
  readonly #leases = new Map<number, Lease>()
  readonly #deadlines = new Heap<Lease>()
  readonly #settledBy = (settlement: Settlement<Lease>, status: number, machineStatus: number): void =>
    this.#settled(settlement, status, machineStatus)
  /** Filled again for every settlement. */
  readonly #head: CommandHead = { kind: 0, session: 0, sequence: 0, acknowledged: 0 }
  #dirty: Line[] = []
  /** Allowances in which room was made. */
  readonly #freed = new Set<Allowance>()
  #version = -1
  #isLeading = false
  #count = 0
  #countTerm = 0
  #consumers = 0
  #timer: Timer | undefined
  #firesAt: Millis = Number.POSITIVE_INFINITY
  #restsUntil: Millis = 0
  #rest: Timer | undefined

  constructor(ports: DeliveryPorts) {
    this.#ports = ports
  }

  open(source: Source, id: number, request: ConsumeRequest): void {
    if (this.#consumers >= CONSUMERS_LIMIT) {
      source.reply(id, REPLY.ended, textOf('OVERLOADED'))
      return
    }
    this.#consumers++
    const line = this.#line(request.queue)
    const now = this.#ports.clock.now()
    const consumer = new Consumer(source, { id, request, now }, () => this.#serve(line))
    line.consumers.push(consumer)
    this.#serve(line)
    consumer.allowance.pass()
    consumer.served()
  }

  /** Lets a consumer have more messages at once, or fewer. */
  credit(source: Source, id: number, messages: number): void {
    for (const line of this.#lines.values()) {
      const consumer = line.consumers.find((candidate) => candidate.source === source && candidate.id === id)
      if (consumer === undefined) continue
      consumer.polled(this.#ports.clock.now())
      consumer.credit(messages)
      this.#serve(line)
      consumer.allowance.pass()
      if (messages > 0) consumer.served()
      return
    }
  }

  close(source: Source, id: number): void {
    this.#drop((consumer) => consumer.source === source && consumer.id === id)
  }

  /** Whoever was there is gone: what it had is for others at once. */
  sourceClosed(source: Source): void {
    this.#drop((consumer) => consumer.source === source)
  }

  /**
   * Takes a command that ends deliveries. One whose tokens do not all stand is refused through the log, so that the
   * session answers a copy of what has been executed as it was answered then.
   */
  settle(source: Source, id: number, bytes: Uint8Array): void {
    const { tokens, command } = readSettleRequest(new ByteReader(bytes))
    if (command.length < COMMAND_HEAD_BYTES) throw malformed('a settlement has a command')
    const head = this.#head
    readHead(new ByteReader(command), head)
    const leases: Lease[] = []
    for (const token of tokens) {
      const lease = this.#lease(token)
      const under = lease?.settlement
      const isCopy = under !== undefined && under.session === head.session && under.sequence === head.sequence
      if (lease === undefined || (under !== undefined && !(isCopy && head.session !== NO_SESSION))) {
        this.#ports.propose(source, id, refuse(command))
        return
      }
      leases.push(lease)
    }
    const now = this.#ports.clock.now()
    for (const lease of leases) lease.consumer.polled(now)
    if (head.kind === QUEUE_COMMAND.progress) {
      this.#ports.propose(source, id, command)
      return
    }
    this.#end(new Settlement(leases, head, source, this.#settledBy), id, command)
  }

  /** Prolongs leases; all of them or none. */
  extend(source: Source, id: number, { tokens, leaseMs }: ExtendRequest): void {
    const leases = tokens.map((token) => this.#lease(token))
    const doStand = leases.every((lease) => lease !== undefined && lease.settlement === undefined)
    const now = this.#ports.clock.now()
    for (const lease of doStand ? leases : []) {
      if (lease === undefined) continue
      lease.until = now + Math.min(leaseMs, LEASE_LIMIT_MS)
      lease.consumer.polled(now)
      this.#limit(lease, lease.until)
    }
    const reply = new ByteWriter(9)
    reply.u8(doStand ? STATUS.ok : STATUS.fenced)
    reply.u53(0)
    source.reply(id, REPLY.answered, reply.take())
  }

  /** Who consumes a queue here, as JSON text. */
  consumers({ queue }: ConsumersRequest): Uint8Array {
    const now = this.#ports.clock.now()
    const oldest = new Map<Consumer, Lease>()
    for (const lease of this.#leases.values()) if (!oldest.has(lease.consumer)) oldest.set(lease.consumer, lease)
    const consumers = this.#lines.get(queue)?.consumers ?? []
    const facts = consumers.map((consumer) => consumer.facts(now, oldest.get(consumer)))
    return new TextEncoder().encode(JSON.stringify(facts))
  }

  /** Something is in hand. */
  get isHolding(): boolean {
    return this.#leases.size > 0
  }

  /** Nothing more is handed out until then, so that what is in hand can be settled before somebody else leads. */
  rest(until: Millis): void {
    this.#restsUntil = until
    this.#rest?.cancel()
    this.#rest = this.#ports.scheduler.at(until, () => {
      for (const line of this.#lines.values()) this.#serve(line)
      this.#pass()
      this.#ports.touch()
    })
  }

  /** Hands out what the entries that were just applied have made available. */
  advance(): void {
    if (this.#leads() && this.#lines.size > 0) this.#advance()
    this.#pass()
  }

  /** What is handed out counts towards rates from here on. */
  #leads(): boolean {
    if (!this.#ports.isActive()) return false
    if (!this.#isLeading) this.#ports.queues().lead(this.#ports.time.now())
    this.#isLeading = true
    return true
  }

  #advance(): void {
    const queues = this.#ports.queues()
    const revoked = queues.takeRevoked()
    if (revoked.length > 0) this.#revoke(new Set(revoked))
    const { version } = queues
    if (version !== this.#version) {
      this.#version = version
      for (const line of this.#lines.values()) this.#serve(line)
    } else if (this.#dirty.length > 0) {
      for (const line of this.#dirty) this.#serve(line)
    }
    this.#dirty.length = 0
  }

  /** This replica no longer leads: the next leader delivers again, under tokens of its own. */
  move(): void {
    this.#isLeading = false
    this.#ports.queues().unholdAll()
    for (const { consumers, opening } of this.#lines.values()) {
      opening.set(Number.POSITIVE_INFINITY)
      for (const consumer of consumers) {
        consumer.abandon()
        this.#freed.add(consumer.allowance)
        consumer.source.reply(consumer.id, REPLY.ended, textOf('moved'))
      }
    }
    for (const lease of this.#leases.values()) if (lease.deadline !== undefined) this.#deadlines.remove(lease.deadline)
    this.#restsUntil = 0
    this.#rest?.cancel()
    this.#lines.clear()
    this.#leases.clear()
    this.#dirty = []
    this.#consumers = 0
    this.#version = -1
    this.#timer?.cancel()
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
    this.#pass()
  }

  #line(queue: string): Line {
    const known = this.#lines.get(queue)
    if (known !== undefined) return known
    const opening = new DueTimer(this.#ports, () => {
      this.#serve(line)
      this.#ports.touch()
    })
    const line: Line = { queue, consumers: [], turn: 0, isDirty: false, opening }
    this.#lines.set(queue, line)
    return line
  }

  #serve(line: Line): void {
    line.isDirty = false
    if (!this.#leads() || this.#ports.clock.now() < this.#restsUntil) return
    const view = this.#ports.queues()
    const now = this.#ports.time.now()
    const since = this.#ports.clock.now()
    let consumer = nextWithRoom(line)
    for (; consumer !== undefined; consumer = nextWithRoom(line)) {
      const message = view.hold(line.queue, now)
      if (message === undefined) break
      this.#deliver(consumer, message, since)
    }
    if (consumer === undefined && wantsMore(line) && view.isReady(line.queue, now))
      for (const each of line.consumers) each.allowance.wait(each)
    for (const consumer of line.consumers) consumer.flush()
    line.opening.set(wantsMore(line) ? view.nextAt(line.queue, now) : Number.POSITIVE_INFINITY)
    this.#arm()
  }

  #deliver(consumer: Consumer, message: HeldMessage, since: Millis): void {
    const lease: Lease = {
      token: this.#nextToken(),
      consumer,
      message: message.id,
      attempt: message.attempts + 1,
      bytes: message.body.length,
      since,
      until: since + message.leaseMs,
      deadline: undefined,
      settlement: undefined,
    }
    this.#leases.set(countOf(lease.token), lease)
    lease.deadline = this.#deadlines.add(lease, lease.until)
    consumer.begin(lease, message)
  }

  #lease(token: number): Lease | undefined {
    const lease = this.#leases.get(countOf(token))
    return lease?.token === token ? lease : undefined
  }

  #nextToken(): number {
    const term = this.#ports.term()
    if (term !== this.#countTerm && this.#leases.size === 0) {
      this.#countTerm = term
      this.#count = 0
    }
    this.#count++
    return term * TERM + this.#count
  }

  /** From now on the settlement decides what becomes of the leases. */
  #end(settlement: Settlement<Lease>, id: number, command: Uint8Array): void {
    for (const lease of settlement.leases) {
      lease.settlement = settlement
      if (lease.deadline !== undefined) this.#deadlines.remove(lease.deadline)
      lease.deadline = undefined
    }
    this.#ports.propose(settlement, id, command)
  }

  #settled({ leases, isLapse }: Settlement<Lease>, status: number, machineStatus: number): void {
    const isOver = status === REPLY.answered && (isLapse || isCommitted(machineStatus))
    for (const lease of leases) {
      // Another copy may have ended it, or it was forgotten with the leadership.
      if (this.#lease(lease.token) !== lease) continue
      lease.settlement = undefined
      if (isOver || lease.consumer.isClosed) this.#release(lease)
      else this.#limit(lease, isLapse ? this.#ports.clock.now() + LAPSE_AGAIN_MS : lease.until)
    }
    if (status !== REPLY.answered) this.advance()
  }

  /** The message is gone, or free for the next consumer. */
  #release(lease: Lease): void {
    const { consumer } = lease
    this.#leases.delete(countOf(lease.token))
    if (lease.deadline !== undefined) this.#deadlines.remove(lease.deadline)
    consumer.end(lease)
    this.#freed.add(consumer.allowance)
    this.#ports.queues().unhold(consumer.queue, lease.message)
    const line = this.#lines.get(consumer.queue)
    if (line === undefined || line.isDirty) return
    line.isDirty = true
    this.#dirty.push(line)
  }

  /** Whoever has one of these messages is told that it is theirs no more; what is about to be settled hears it as its answer. */
  #revoke(messages: ReadonlySet<number>): void {
    const told = new Set<Consumer>()
    for (const lease of this.#leases.values()) {
      if (lease.settlement !== undefined || !messages.has(lease.message)) continue
      lease.consumer.revoke(lease.token)
      told.add(lease.consumer)
      this.#release(lease)
    }
    for (const consumer of told) consumer.flush()
  }

  #limit(lease: Lease, deadline: Millis): void {
    if (lease.deadline === undefined) lease.deadline = this.#deadlines.add(lease, deadline)
    else this.#deadlines.update(lease.deadline, deadline)
    this.#arm()
  }

  #arm(): void {
    const at = this.#deadlines.lowest
    if (at >= this.#firesAt) return
    this.#timer?.cancel()
    this.#firesAt = at
    this.#timer = this.#ports.scheduler.at(at, () => this.#lapse())
  }

  /** A lease that has run out is over once the log says so: until then nobody else has the message. */
  #lapse(): void {
    const now = this.#ports.clock.now()
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
    while (this.#deadlines.lowest <= now) {
      const lease = this.#deadlines.take()
      if (lease === undefined) break
      const writer = new ByteWriter()
      encodeHead(writer, QUEUE_COMMAND.lapse, ENVELOPE)
      writer.text(lease.consumer.queue)
      writer.u53(lease.message)
      writer.u32(lease.attempt - 1)
      lease.deadline = undefined
      this.#end(new Settlement<Lease>([lease], ENVELOPE, undefined, this.#settledBy), 0, writer.take())
    }
    this.#arm()
  }

  #drop(isMeant: (consumer: Consumer) => boolean): void {
    for (const line of this.#lines.values()) {
      const dropped = line.consumers.filter(isMeant)
      if (dropped.length === 0) continue
      const kept = line.consumers.filter((consumer) => !isMeant(consumer))
      line.consumers.splice(0, line.consumers.length, ...kept)
      this.#consumers -= dropped.length
      this.#forsake(dropped)
      if (kept.length > 0) this.#serve(line)
      else this.#forget(line)
    }
    this.#pass()
  }

  /** The room that was made goes to whichever of the node's shards waits for it. */
  #pass(): void {
    if (this.#freed.size === 0) return
    for (const allowance of this.#freed) {
      this.#freed.delete(allowance)
      allowance.pass()
    }
  }

  /** What is about to be settled stays held until the log has decided. */
  #forsake(consumers: readonly Consumer[]): void {
    for (const consumer of consumers) consumer.close()
    for (const lease of this.#leases.values()) {
      if (lease.consumer.isClosed && lease.settlement === undefined) this.#release(lease)
    }
  }

  #forget(line: Line): void {
    line.opening.set(Number.POSITIVE_INFINITY)
    this.#lines.delete(line.queue)
    this.#dirty = this.#dirty.filter((other) => other !== line)
  }
}

/** Its lower 32 bits. */
function countOf(token: number): number {
  return token >>> 0
}

function nextWithRoom(line: Line): Consumer | undefined {
  const { consumers } = line
  for (let tried = 0; tried < consumers.length; tried++) {
    line.turn = (line.turn + 1) % consumers.length
    const consumer = consumers[line.turn]
    if (consumer?.hasRoom === true) return consumer
  }
  return undefined
}

/** Whether somebody has room, or does not wait for it yet. */
function wantsMore(line: Line): boolean {
  return line.consumers.some((consumer) => !consumer.allowance.isWaiting(consumer))
}

/** The same head, so that a session answers it as it would answer the command, or settles it as refused. */
function refuse(command: Uint8Array): Uint8Array {
  const refused = command.slice(0, COMMAND_HEAD_BYTES)
  refused[0] = COMMAND.refuse
  return refused
}

function textOf(reason: string): Uint8Array {
  const writer = new ByteWriter(16)
  writer.text(reason)
  return writer.take()
}
