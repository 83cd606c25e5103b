/** A consumption takes messages from all shards of a queue, and moves its credit to the nodes where the messages are. */

import { ByteReader, type ByteWriter } from '../../../base/bytes.ts'
import { Heap } from '../../../base/heap.ts'
import { randomId } from '../../../base/random.ts'
import type { Millis, Timer } from '../../../base/time.ts'
import { readDelivery, readRevocation, writeConsumeRequest } from '../../../wire/delivery.ts'
import { OPERATION } from '../../../wire/request.ts'
import type { ConsumeOptions, Delivered } from '../../contract.ts'
import type { Bodies } from '../body.ts'
import type { EffectParts } from '../effects.ts'
import type { LargePayloads } from '../large.ts'
import type { Router } from '../route/router.ts'
import { Feed, type Spring } from '../stream/feed.ts'
import { ShardStream, type StreamHandler } from '../stream/shard-stream.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'
import { Allowance, type Member } from './allowance.ts'
import { DeliveredMessage, type Holder } from './delivered.ts'

/**
 * Credit that was given may be in use already by messages that are on their way, until the node says that they are
 * here, or for so long.
 */
const ON_ITS_WAY_MS: Millis = 100
/** A node keeps its credit for as long, although another has less: each move is two requests and an event. */
const TURN_MS: Millis = 100
/** Credit that comes back is passed on when it is as much, or all that was asked for, or a node has none. */
const WORTH_MOVING = 16
/** A consumer that has had this part of its credit in use at once is busy. */
const BUSY_PART = 4

export interface ConsumptionParts {
  readonly router: Router
  readonly ports: WatchPorts
  readonly bodies: Bodies
  readonly effects: EffectParts
  readonly large: LargePayloads
  /** Makes sure that the queue's rules are known. */
  prepare(): Promise<unknown>
}

/**
 * Each node has a part of the credit, for all shards that it leads; those that have more messages than credit say so,
 * and get what others do not use, in turn: all of it when there is much to do, so that a burst is delivered, settled
 * and perhaps sent on in one piece; half of it otherwise, so that a message finds credit wherever it comes. Credit on
 * its way between two nodes may be used by both, so that for a moment there are a few messages more. The parts are kept
 * shard by shard, as each stream brings its part along to whichever node it stands at: which that is need only be
 * guessed, to know between whom moving credit makes a difference.
 */
export class Consumption implements Spring {
  readonly feed: Feed<Delivered>
  readonly #queue: string
  readonly #options: ConsumeOptions
  readonly #parts: ConsumptionParts
  readonly #deadlines = new Heap<DeliveredMessage>()
  #timer: Timer | undefined
  #firesAt: Millis = Number.POSITIVE_INFINITY
  readonly id: number
  #shards: ShardConsumer[] = []
  /** By the node. */
  readonly #allowances = new Map<string, Allowance>()
  /** Those that want more, with the shard that said so. */
  readonly #hungry = new Map<Allowance, ShardConsumer>()
  /** Credit that no node has. */
  #spare = 0
  /** Credit that comes back when what is under way is settled. */
  #owed = 0
  /** The most that was in use at once since credit was moved last. */
  #most = 0
  /** Credit is shared again at the end of the turn. */
  #isSharing = false
  /** Runs while a node has not said what has become of its credit. */
  #patience: Timer | undefined
  #isEnded = false

  constructor(queue: string, options: ConsumeOptions, parts: ConsumptionParts) {
    this.#queue = queue
    this.#options = options
    this.#parts = parts
    this.feed = new Feed(parts.router, options.signal, this)
    this.id = randomId(parts.ports.random)
  }

  begin(): void {
    this.#options.draining?.addEventListener('abort', this.#drain, { once: true })
    const { router } = this.#parts
    const fail = (error: unknown): void => this.feed.fail(error)
    this.#parts.prepare().then(() => router.onReady((groups) => this.#spread(groups), fail), fail)
  }

  end(): void {
    this.#isEnded = true
    this.#options.draining?.removeEventListener('abort', this.#drain)
    this.#timer?.cancel()
    this.#patience?.cancel()
    for (const shard of this.#shards) shard.end()
  }

  delivered(message: DeliveredMessage): void {
    this.prolong(message, this.#parts.ports.clock.now() + message.leaseMs)
    this.feed.push(message)
  }

  /** The cluster's clock of a lease began earlier than ours, but what it decides is decided there. */
  prolong(message: DeliveredMessage, until: Millis): void {
    if (message.deadline === undefined) message.deadline = this.#deadlines.add(message, until)
    else this.#deadlines.update(message.deadline, until)
    this.#arm()
  }

  /** Its lease is over before its time. */
  revoked(message: DeliveredMessage): void {
    this.forget(message)
    this.#expel(message)
  }

  forget(message: DeliveredMessage): void {
    if (message.deadline !== undefined) this.#deadlines.remove(message.deadline)
    message.deadline = undefined
  }

  /** Where a stream of the group is about to stand, as far as is known. */
  allowanceOf(group: number): Allowance {
    const node = this.#parts.router.leaderOf(group)
    const known = this.#allowances.get(node)
    if (known !== undefined) return known
    const allowance = new Allowance(this.#parts.ports.clock.now())
    this.#allowances.set(node, allowance)
    return allowance
  }

  /** The shard's node has more than its credit. */
  hungry(shard: ShardConsumer): void {
    this.#hungry.set(shard.allowance, shard)
    this.#share()
  }

  /** The shard's node has less than its credit, for whoever has more. */
  sated({ allowance }: ShardConsumer): void {
    this.#hungry.delete(allowance)
    if (this.#hungry.size === 0 || allowance.idle <= 0) return
    this.#spare += allowance.giveIdle('half')
    this.#share()
  }

  /** Several messages have come. */
  used(): void {
    let inUse = 0
    for (const { unsettled } of this.#allowances.values()) inUse += unsettled
    this.#most = Math.max(this.#most, inUse)
  }

  /** What credit has brought to the shard is here: what it has left is not in use. */
  served(): void {
    if (this.#hungry.size > 0) this.#shareSoon()
  }

  /** A node whose turn is over gives half of what it has more than the poorest that wants more. */
  settling({ allowance }: ShardConsumer): void {
    if (this.#hungry.size === 0 || allowance.credit === 0) return
    const poorest = this.#poorest(allowance)
    if (poorest === undefined) return
    const excess = allowance.credit - poorest.credit
    if (excess < (poorest.credit === 0 ? 1 : 2)) return
    if (allowance.grantedAt + TURN_MS > this.#parts.ports.clock.now()) return
    this.#owed += allowance.owe(Math.ceil(excess / 2))
  }

  settled({ allowance }: ShardConsumer): void {
    if (allowance.pay()) {
      this.#owed--
      this.#spare++
    }
    if (this.#hungry.size === 0) return
    if (this.#spare === 0) {
      // Credit that a node wants itself goes to no other.
      if (!this.#hungry.has(allowance)) this.#shareSoon()
    } else if (this.#owed === 0 || this.#spare >= WORTH_MOVING || this.#poorest()?.credit === 0) this.#shareSoon()
  }

  /** What a shard had is not coming back. */
  lost(shard: ShardConsumer, messages: ReadonlySet<DeliveredMessage>): void {
    const { allowance } = shard
    if (this.#hungry.get(allowance) === shard) this.#hungry.delete(allowance)
    for (; allowance.isInsolvent && allowance.pay(); this.#owed--) this.#spare++
    this.feed.drop((message) => messages.has(message as DeliveredMessage))
    for (const message of messages) {
      this.forget(message)
      message.lose()
    }
    this.#share()
  }

  readonly #drain = (): void => {
    for (const shard of this.#shards) shard.grant(-shard.credit)
  }

  get #isDraining(): boolean {
    return this.#options.draining?.aborted === true
  }

  #spread(groups: readonly number[]): void {
    if (this.#isEnded) return
    const { consumer } = this.#options
    const credit = this.#isDraining ? 0 : this.#options.credit
    const each = Math.floor(credit / groups.length)
    this.#spare = credit - each * groups.length
    this.#shards = groups.map((group, shard) => {
      const place = { shard, group, queue: this.#queue, consumer, credit: each }
      return new ShardConsumer(place, this.#parts, this)
    })
    for (const shard of this.#shards) shard.begin()
  }

  #share(): void {
    while (this.#hungry.size > 0 && !this.#isEnded && !this.#isDraining) {
      const poorest = this.#poorest()
      if (poorest === undefined) return
      const found = this.#spare > 0 ? this.#takeSpare() : this.#takeIdle()
      if (found === 0) return
      poorest.grantedAt = this.#parts.ports.clock.now()
      const shard = this.#hungry.get(poorest)
      this.#hungry.delete(poorest)
      shard?.grant(found)
    }
  }

  /** The one with the least credit of those that want more, and of those who has waited for longest. */
  #poorest(except?: Allowance): Allowance | undefined {
    let poorest: Allowance | undefined
    for (const allowance of this.#hungry.keys()) {
      if (allowance !== except && allowance.credit < (poorest?.credit ?? Number.POSITIVE_INFINITY)) poorest = allowance
    }
    return poorest
  }

  /** Much is settled in one turn, and moved together. */
  #shareSoon(): void {
    if (this.#isSharing) return
    this.#isSharing = true
    this.#parts.ports.scheduler.defer(() => {
      this.#isSharing = false
      this.#share()
    })
  }

  #takeSpare(): number {
    const share = Math.ceil(this.#spare / this.#hungry.size)
    this.#spare -= share
    return share
  }

  /** From all that do not want more, of what they do not use. */
  #takeIdle(): number {
    const since = this.#parts.ports.clock.now() - ON_ITS_WAY_MS
    let found = 0
    let credit = 0
    for (const allowance of this.#allowances.values()) credit += allowance.credit
    const part = this.#most * BUSY_PART >= credit ? 'all' : 'half'
    for (const allowance of this.#allowances.values()) {
      if (this.#hungry.has(allowance)) continue
      if (allowance.granting === 0 || allowance.grantedAt <= since) found += allowance.giveIdle(part)
      else this.#askAgain()
    }
    if (found > 0) this.#most = 0
    return found
  }

  /** A node that hangs does not say what has become of its credit. */
  #askAgain(): void {
    const { clock, scheduler } = this.#parts.ports
    this.#patience ??= scheduler.at(clock.now() + ON_ITS_WAY_MS, () => {
      this.#patience = undefined
      this.#share()
    })
  }

  #expel(message: DeliveredMessage): void {
    this.feed.drop((other) => other === message)
    message.expire()
  }

  #arm(): void {
    const at = this.#deadlines.lowest
    if (at >= this.#firesAt || this.#isEnded) return
    this.#timer?.cancel()
    this.#firesAt = at
    this.#timer = this.#parts.ports.scheduler.at(at, () => this.#expire())
  }

  #expire(): void {
    const now = this.#parts.ports.clock.now()
    this.#firesAt = Number.POSITIVE_INFINITY
    while (this.#deadlines.lowest <= now) {
      const message = this.#deadlines.take()
      if (message === undefined) break
      message.deadline = undefined
      this.#expel(message)
    }
    this.#arm()
  }
}

interface ConsumerPlace {
  readonly shard: number
  readonly group: number
  readonly queue: string
  readonly consumer: string
  readonly credit: number
}

/** The part of a consumption that one shard serves. */
class ShardConsumer implements StreamHandler, Holder, Member {
  readonly router: Router
  readonly bodies: Bodies
  readonly effects: EffectParts
  readonly large: LargePayloads
  readonly queue: string
  readonly shard: number
  readonly #place: ConsumerPlace
  readonly #parts: ConsumptionParts
  readonly #consumption: Consumption
  readonly #stream: ShardStream
  #messages = new Set<DeliveredMessage>()
  /** How often it has been given credit for which its node has not said that all has come. */
  #granting = 0
  credit: number
  allowance: Allowance

  constructor(place: ConsumerPlace, parts: ConsumptionParts, consumption: Consumption) {
    this.router = parts.router
    this.bodies = parts.bodies
    this.effects = parts.effects
    this.large = parts.large
    this.queue = place.queue
    this.shard = place.shard
    this.credit = place.credit
    this.#place = place
    this.#parts = parts
    this.#consumption = consumption
    const at = { operation: OPERATION.consume, group: place.group }
    this.#stream = new ShardStream(at, parts.router, parts.ports, this)
    this.allowance = consumption.allowanceOf(place.group)
    this.allowance.join(this)
  }

  get unsettled(): number {
    return this.#messages.size
  }

  begin(): void {
    this.#stream.begin()
  }

  grant(credit: number): void {
    this.credit += credit
    this.allowance.credit += credit
    if (this.#stream.credit(credit) && credit > 0) this.#expect(1)
  }

  end(): void {
    this.#stream.end()
    this.#loseAll()
  }

  encode(writer: ByteWriter): void {
    this.#follow()
    this.#expect(1)
    const { queue, consumer } = this.#place
    writeConsumeRequest(writer, { queue, consumer, consumption: this.#consumption.id, credit: this.credit })
  }

  event(bytes: Uint8Array): void {
    if (bytes.length === 0) this.#consumption.hungry(this)
    else if (bytes.length === 1) this.#consumption.sated(this)
    else if (bytes.length === 2) this.#served()
    else this.#take(bytes)
  }

  #served(): void {
    this.#expect(-1)
    this.#consumption.served()
  }

  #take(bytes: Uint8Array): void {
    const reader = new ByteReader(bytes)
    while (reader.remaining > 0) {
      const revoked = readRevocation(reader)
      if (revoked !== undefined) {
        this.#revoked(revoked)
        continue
      }
      const message = new DeliveredMessage(this, readDelivery(reader))
      this.#messages.add(message)
      this.allowance.unsettled++
      this.#consumption.delivered(message)
    }
    this.#consumption.used()
  }

  #revoked(token: number): void {
    for (const message of this.#messages) if (message.token === token) this.#consumption.revoked(message)
  }

  lost(): void {
    this.#loseAll()
  }

  now(): Millis {
    return this.#parts.ports.clock.now()
  }

  settling(): void {
    this.#consumption.settling(this)
  }

  settled(message: DeliveredMessage): void {
    this.#consumption.forget(message)
    if (this.#messages.delete(message)) this.allowance.unsettled--
    this.#consumption.settled(this)
  }

  prolonged(message: DeliveredMessage, until: Millis): void {
    this.#consumption.prolong(message, until)
  }

  /** The credit goes where the stream goes. */
  #follow(): void {
    this.allowance.leave(this)
    this.allowance = this.#consumption.allowanceOf(this.#place.group)
    this.allowance.join(this)
  }

  #expect(grants: number): void {
    this.#granting += grants
    this.allowance.granting += grants
  }

  #loseAll(): void {
    this.#expect(-this.#granting)
    const lost = this.#messages
    this.#messages = new Set()
    this.allowance.unsettled -= lost.size
    this.#consumption.lost(this, lost)
  }
}
