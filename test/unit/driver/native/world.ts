/** A world for the native driver: virtual time, and engines that answer from real machines but can be told to misbehave. */

import { ByteReader, ByteWriter } from '../../../../src/base/bytes.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../../../src/base/time.ts'
import type { Driver } from '../../../../src/driver/contract.ts'
import { nativeDriver } from '../../../../src/driver/native/native.ts'
import { BatchWriter } from '../../../../src/machine/batch.ts'
import { LEVEL } from '../../../../src/machine/level.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import type { Channel } from '../../../../src/wire/channel.ts'
import {
  FRAME,
  OPERATION,
  REPLY,
  type Request,
  readRequest,
  readWatchRequest,
  type WatchEvent,
  type WatchRequest,
  writeReply,
  writeWatchEvent,
} from '../../../../src/wire/request.ts'
import { type Topology, writeTopology } from '../../../../src/wire/topology.ts'

interface Due {
  readonly at: Millis
  readonly order: number
  readonly task: () => void
}

export class VirtualTime implements Clock, Scheduler {
  #now: Millis = 0
  #timers: Due[] = []
  #deferred: (() => void)[] = []
  #order = 0
  #reads = 0

  now(): Millis {
    return this.#now
  }

  /** Moves whenever it is read, so that what happens later in any shard has a later revision. */
  wallTime(): Millis {
    this.#reads++
    return 1_700_000_000_000 + this.#now + this.#reads
  }

  at(at: Millis, task: () => void): Timer {
    const timer = { at, order: this.#order++, task }
    this.#timers.push(timer)
    const cancel = (): void => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
    return { cancel }
  }

  defer(task: () => void): void {
    this.#deferred.push(task)
  }

  /** Runs whatever is due now, and what follows from it. */
  async settle(): Promise<void> {
    do {
      for (const task of this.#deferred.splice(0)) task()
      await new Promise<void>((resolve) => setImmediate(resolve))
    } while (this.#deferred.length > 0)
  }

  /** Lets time pass, from timer to timer. */
  async advance(by: Millis): Promise<void> {
    const end = this.#now + by
    await this.settle()
    for (let due = this.#due(end); due !== undefined; due = this.#due(end)) {
      this.#now = Math.max(this.#now, due.at)
      this.#timers = this.#timers.filter((other) => other !== due)
      due.task()
      await this.settle()
    }
    this.#now = end
  }

  /** Time passes, and nothing runs meanwhile: the process was suspended. */
  sleep(by: Millis): void {
    this.#now += by
  }

  /** Lets time pass until the promise settles, at most a virtual minute. */
  async until<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settled = (): void => {
      isSettled = true
    }
    promise.then(settled, settled)
    await this.settle()
    for (const end = this.#now + 60_000; !isSettled && this.#now < end; ) await this.advance(1)
    if (!isSettled) throw new Error('the promise is still pending after a virtual minute')
    return await promise
  }

  #due(end: Millis): Due | undefined {
    const due = this.#timers.filter(({ at }) => at <= end)
    return due.sort((a, b) => a.at - b.at || a.order - b.order)[0]
  }
}

/** Two ends of a channel; frames arrive at the end of the turn. */
export class DirectChannel implements Channel {
  peer: DirectChannel | undefined
  isOpen = true
  /** Frames are refused while this is set, as when a budget is spent. */
  isFull = false
  frames = 0
  readonly #time: VirtualTime
  #onFrame: (frame: Uint8Array) => void = () => {}
  #onClose: (reason: Error | undefined) => void = () => {}

  constructor(time: VirtualTime) {
    this.#time = time
  }

  static pair(time: VirtualTime): [DirectChannel, DirectChannel] {
    const [left, right] = [new DirectChannel(time), new DirectChannel(time)]
    left.peer = right
    right.peer = left
    return [left, right]
  }

  send(frame: Uint8Array): boolean {
    if (!this.isOpen || this.isFull) return false
    this.frames++
    const { peer } = this
    this.#time.defer(() => peer?.isOpen && peer.#onFrame(frame))
    return true
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    this.#onFrame = handler
  }

  onClose(handler: (reason: Error | undefined) => void): void {
    this.#onClose = handler
  }

  close(): void {
    for (const end of [this, this.peer]) {
      if (end?.isOpen !== true) continue
      end.isOpen = false
      this.#time.defer(() => end.#onClose(end === this ? undefined : new Error('connection lost')))
    }
  }
}

/** What an engine does with a request: execute and answer, one of the two, neither, or say something else. */
export type Conduct = 'answer' | 'execute-silently' | 'ignore' | 'not-leader' | 'leader-lost' | 'refuse'

interface Watch {
  readonly engine: Engine
  readonly channel: DirectChannel
  readonly id: number
  readonly group: number
  readonly request: WatchRequest
  revision: number
  credit: number
}

export interface WorldOptions {
  readonly nodes?: number
  readonly shards?: number
  readonly seed?: number
  readonly direct?: boolean
  /** Of the entries of the log; default the present one. */
  readonly level?: number
}

/** All engines share one machine for each shard, as if replication were perfect. */
export class World {
  readonly time = new VirtualTime()
  readonly random: SeededRandom
  readonly engines: readonly Engine[]
  readonly shards: readonly Shard[]
  readonly direct: boolean
  readonly #level: number
  /** Decides about each command, query and watch. */
  conduct: (engine: Engine, request: Request) => Conduct = () => 'answer'
  epoch = 1
  term = 1
  /** Node that leads each group; `''` for nobody. */
  leaders: string[]
  executed = 0
  readonly watches = new Set<Watch>()

  constructor({ nodes = 1, shards = 4, seed = 1, direct = false, level = LEVEL }: WorldOptions = {}) {
    this.random = new SeededRandom(seed)
    this.direct = direct
    this.#level = level
    this.shards = Array.from({ length: shards }, () => new Shard())
    this.engines = Array.from({ length: nodes }, (_, at) => new Engine(this, `n${at + 1}`))
    this.leaders = this.shards.map((_, at) => `n${(at % nodes) + 1}`)
  }

  driver(warn?: (message: string) => void): Driver {
    const { time, direct } = this
    const seeds = direct ? this.engines.map(({ address }) => address) : ['']
    const connect = async (address: string): Promise<Channel> => {
      const engine = this.engines.find((candidate) => candidate.address === address || address === '')
      if (engine?.isUp !== true) throw new Error(`connection refused by ${address}`)
      return engine.accept()
    }
    return nativeDriver({ clock: time, scheduler: time, random: this.random.fork(), connect, seeds, direct, warn })
  }

  /** Groups have the numbers of their shards and one more, as 0 is the meta group. */
  topology(self: string): Topology {
    const replicas = this.engines.map(({ node }) => node)
    return {
      cluster: 'test',
      epoch: this.epoch,
      self,
      durability: 'memory',
      nodes: this.engines.map(({ node, address }) => ({ node, address })),
      groups: this.leaders.map((leader, at) => ({ group: at + 1, leader, term: this.term, replicas })),
      shards: this.epoch === 0 ? [] : this.shards.map((_, at) => at + 1),
    }
  }

  /** Another node leads every group; those that are up and not in `except` tell their drivers. */
  elect(leader: string, except: readonly string[] = []): void {
    this.term++
    this.leaders = this.leaders.map(() => leader)
    for (const engine of this.engines) if (!except.includes(engine.node)) engine.publish()
  }

  execute(group: number, command: Uint8Array): Uint8Array {
    const batch = new BatchWriter()
    batch.add(command)
    let answer: Uint8Array = new Uint8Array(0)
    this.executed++
    this.machine(group).apply(batch.finish(this.time.wallTime() * 1000, this.#level), (_, reply) => {
      answer = reply.slice()
    })
    for (const watch of this.watches) if (watch.group === group) watch.engine.serve(watch)
    return answer
  }

  machine(group: number): Shard {
    const shard = this.shards[group - 1]
    if (shard === undefined) throw new Error(`no group ${group}`)
    return shard
  }
}

export class Engine {
  readonly node: string
  readonly world: World
  isUp = true
  /** Age of its replicas for local reads. */
  age: Millis = 7
  channels: DirectChannel[] = []

  constructor(world: World, node: string) {
    this.world = world
    this.node = node
  }

  get address(): string {
    return `${this.node}.test:1`
  }

  accept(): Channel {
    const [near, far] = DirectChannel.pair(this.world.time)
    this.channels.push(far)
    far.onFrame((frame) => {
      const reader = new ByteReader(frame)
      if (reader.u8() !== FRAME.requests) throw new Error('no requests')
      while (reader.remaining > 0) this.#request(far, readRequest(reader))
    })
    far.onClose(() => this.#forget(far))
    return near
  }

  /** Cuts all connections; until `isUp` is set again nobody can connect. */
  crash(): void {
    this.isUp = false
    this.cut()
  }

  cut(): void {
    for (const channel of this.channels) channel.close()
  }

  publish(): void {
    for (const channel of this.channels) if (this.isUp) this.#sendTopology(channel)
  }

  serve(watch: Watch): void {
    while (watch.credit > 0) {
      const found = this.world.machine(watch.group).changes.after(watch.revision, watch.request, watch.credit)
      watch.revision = found.through
      if (found.count === 0) return
      watch.credit -= found.changes.length
      this.#event(watch, { type: 'changes', through: found.through, changes: found.changes })
    }
  }

  /** Ends all watches that stand here. */
  move(): void {
    for (const watch of this.world.watches) {
      if (watch.engine !== this) continue
      this.#event(watch, { type: 'moved', through: watch.revision, changes: new Uint8Array(0) })
      this.world.watches.delete(watch)
    }
  }

  #request(channel: DirectChannel, request: Request): void {
    if (!this.isUp) return
    const { operation, id, bytes } = request
    if (operation === OPERATION.topology) this.#sendTopology(channel)
    else if (operation === OPERATION.status) this.#reply(channel, id, REPLY.status, text(statusText(this.node)))
    else if (operation === OPERATION.credit || operation === OPERATION.end) this.#adjust(channel, request)
    else {
      const conduct = this.world.conduct(this, request)
      if (conduct === 'not-leader') this.#reply(channel, id, REPLY.notLeader, blob(''))
      else if (conduct === 'leader-lost') this.#reply(channel, id, REPLY.leaderLost, new Uint8Array(0))
      else if (conduct === 'refuse') this.#reply(channel, id, REPLY.refused, blob('OVERLOADED', 'too much'))
      else if (conduct === 'ignore') return
      else if (operation === OPERATION.watch) this.#watch(channel, request)
      else this.#answer(channel, { ...request, bytes: bytes.slice() }, conduct === 'answer')
    }
  }

  #answer(channel: DirectChannel, { id, operation, group, bytes }: Request, isHeard: boolean): void {
    const leader = this.world.leaders[group - 1] ?? ''
    if (operation === OPERATION.localQuery) {
      const writer = new ByteWriter()
      writer.f64(this.age)
      writer.raw(this.world.machine(group).query(bytes.subarray(8)))
      this.#reply(channel, id, REPLY.answered, writer.copy())
      return
    }
    const forwards = !this.world.direct && leader !== ''
    if (leader !== this.node && !forwards) {
      this.#reply(channel, id, REPLY.notLeader, blob(leader))
      return
    }
    const isCommand = operation === OPERATION.command
    const answer = isCommand ? this.world.execute(group, bytes) : this.world.machine(group).query(bytes)
    if (isHeard) this.#reply(channel, id, REPLY.answered, answer)
  }

  #watch(channel: DirectChannel, { id, group, bytes }: Request): void {
    const request = readWatchRequest(new ByteReader(bytes))
    const machine = this.world.machine(group)
    const revision = request.revision === 0 ? machine.revision : request.revision
    const watch: Watch = { engine: this, channel, id, group, request, revision, credit: request.creditBytes }
    const { compacted } = machine.changes.after(revision, request, 0)
    const type = compacted ? 'compacted' : 'standing'
    this.#event(watch, { type, through: revision, changes: new Uint8Array(0) })
    if (compacted) return
    this.world.watches.add(watch)
    this.serve(watch)
  }

  #adjust(channel: DirectChannel, { operation, bytes }: Request): void {
    const reader = new ByteReader(bytes)
    const id = reader.u32()
    for (const watch of this.world.watches) {
      if (watch.channel !== channel || watch.id !== id) continue
      if (operation === OPERATION.end) this.world.watches.delete(watch)
      else {
        watch.credit += reader.u32()
        this.serve(watch)
      }
    }
  }

  #event(watch: Watch, event: WatchEvent): void {
    const writer = new ByteWriter()
    writeWatchEvent(writer, event)
    this.#reply(watch.channel, watch.id, REPLY.watchEvent, writer.copy())
  }

  #sendTopology(channel: DirectChannel): void {
    const writer = new ByteWriter()
    writeTopology(writer, this.world.topology(this.node))
    this.#reply(channel, 0, REPLY.topology, writer.copy())
  }

  #reply(channel: DirectChannel, id: number, status: number, bytes: Uint8Array): void {
    const writer = new ByteWriter()
    writer.u8(FRAME.replies)
    writeReply(writer, id, status, bytes)
    channel.send(writer.copy())
  }

  #forget(channel: DirectChannel): void {
    this.channels = this.channels.filter((other) => other !== channel)
    for (const watch of this.world.watches) if (watch.channel === channel) this.world.watches.delete(watch)
  }
}

export function text(content: string): Uint8Array {
  return new TextEncoder().encode(content)
}

function blob(...texts: string[]): Uint8Array {
  const writer = new ByteWriter()
  for (const content of texts) writer.text(content)
  return writer.copy()
}

function statusText(node: string): string {
  return JSON.stringify({ cluster: 'test', answeredBy: node, level: 2, mendedPieces: 0, members: [], groups: [] })
}
