/** A router takes each operation to a node that can answer it, and to another when that node could not. */

import { invalidArgument } from '../../../base/argument.ts'
import { ByteReader } from '../../../base/bytes.ts'
import { isTroupeError, type TroupeError } from '../../../base/error.ts'
import type { Random } from '../../../base/random.ts'
import { type Clock, DEFAULT_TIMEOUT_MS, type Millis, type Scheduler } from '../../../base/time.ts'
import { HashSharding } from '../../../sharding/hash.ts'
import type { ShardingStrategy } from '../../../sharding/strategy.ts'
import { REPLY, type Reply } from '../../../wire/request.ts'
import type { Topology, TopologyGroup } from '../../../wire/topology.ts'
import type { CallOptions } from '../../contract.ts'
import { Aborts } from './aborts.ts'
import { Deadlines } from './deadlines.ts'
import {
  abortError,
  closedError,
  closeError,
  overloadedError,
  readRefusal,
  timeoutError,
  unknownOutcome,
} from './failure.ts'
import { Lane } from './lane.ts'
import type { Link, LinkHandler } from './link.ts'
import { type Connect, Links } from './links.ts'
import { ANY_NODE, NotYet, Operation, type Verb } from './operation.ts'

/** How many operations may be under way, and how many bytes they may occupy. */
const OPERATIONS_LIMIT = 65_536
const BYTES_LIMIT = 64 * 1024 * 1024
/** How often in a row one node may point to another before a pause is made. */
const HOPS_LIMIT = 3
/** How long a driver that closes waits for the cluster to take back what it held. */
const FAREWELL_MS: Millis = 1000
/** Refusals of one node that another node need not share. */
const NODE_REFUSALS = ['CLOSED', 'UNREACHABLE'] as const

/** Waits for the topology alone: nothing is sent. */
const READY: Verb<readonly number[]> = {
  operation: 0,
  isWrite: false,
  encode(): void {},
  decode: () => [],
}

export interface RouterOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  readonly connect: Connect
  readonly seeds: readonly string[]
  readonly direct: boolean
  /** Aborts with the reason when the engine has ended by itself. */
  readonly failed?: AbortSignal | undefined
}

/** Told once when the driver closes. */
export interface Subscriber {
  driverClosed(error: TroupeError): void
}

export class Router implements LinkHandler {
  readonly subscribers: Set<Subscriber> = new Set()
  /** For whoever waits for something else than an operation. */
  readonly aborts: Aborts<() => void> = new Aborts((aborted) => aborted())
  readonly #options: RouterOptions
  readonly #deadlines: Deadlines
  readonly #aborts = new Aborts<Operation<unknown>>((operation) => this.#reject(operation, abortError(operation)))
  readonly #links: Links
  readonly #lanes = new Map<number, Lane>()
  /** Operations that cannot be placed before a node has told the topology. */
  readonly #waiting = new Set<Operation<unknown>>()
  #lanesByShard: readonly Lane[] = []
  #sharding: ShardingStrategy | undefined
  #topology: Topology | undefined
  #count = 0
  #bytes = 0
  #isClosed = false
  /** Nothing is carried any more. */
  #isShut = false
  #shut: () => void = () => {}
  #closing: Promise<void> | undefined

  constructor(options: RouterOptions) {
    this.#options = options
    this.#links = new Links({ ...options, handler: this })
    this.#deadlines = new Deadlines(options.clock, options.scheduler, (operation) => {
      this.#doubt()
      this.#reject(operation, timeoutError(operation, this.#links))
    })
    this.#dial()
  }

  /** The groups of the shards in their order; empty until a node has told. */
  get shards(): readonly number[] {
    return this.#topology?.shards ?? []
  }

  /** The shard of a key; -1 until the shards are known. */
  shardOf(map: string, key: string): number {
    return this.#sharding?.shardOf(map, key) ?? -1
  }

  get closedError(): TroupeError {
    return closedError(this.#options.failed?.reason)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  submit<Answer>(operation: Operation<Answer>, options: CallOptions): Promise<Answer> {
    return new Promise((resolve, reject) => {
      operation.resolve = resolve
      operation.reject = reject
      this.#admit(operation, options)
    })
  }

  /** Like `shards`, once they are known. */
  whenReady(options: CallOptions): Promise<readonly number[]> {
    return this.submit(new Operation(READY, {}), options)
  }

  /** Calls `ready` as soon as the shards are known, before anything is sent that was asked for after this call. */
  onReady(ready: (groups: readonly number[]) => void, failed: (error: unknown) => void): void {
    const operation = new Operation(READY, {})
    operation.resolve = ready
    operation.reject = failed
    this.#admit(operation, { timeout: Number.POSITIVE_INFINITY })
  }

  /** Who leads the group, as far as is known; `''` when nobody is known to. */
  leaderOf(group: number): string {
    return this.#lanes.get(group)?.leader ?? ''
  }

  /** A link by which the group's leader, or a node that knows it, is reached now. */
  linkTo(group: number): Link | undefined {
    const link = this.#lanes.get(group)?.openLink
    if (link === undefined) this.#doubt()
    return link ?? this.#links.any()
  }

  /** Resolves once the writes that are under way now have ended, however they end. */
  async settled(): Promise<void> {
    const writes = this.#deadlines.operations().filter(({ verb }) => verb.isWrite)
    await Promise.all(writes.map(ended))
  }

  /** Whatever is under way ends at once, but for what gives back leases: that has a second for its answers. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => this.#close(resolve))
    return this.#closing
  }

  #close(closed: () => void): void {
    const { clock, scheduler } = this.#options
    this.#isClosed = true
    for (const operation of this.#deadlines.operations()) {
      if (operation.verb.isFarewell !== true)
        this.#reject(operation, closeError(operation, this.#options.failed?.reason))
    }
    for (const subscriber of this.subscribers) subscriber.driverClosed(this.closedError)
    const timer = scheduler.at(clock.now() + FAREWELL_MS, () => this.#shut())
    this.#shut = () => {
      this.#shut = () => {}
      timer.cancel()
      this.#isShut = true
      for (const operation of this.#deadlines.operations())
        this.#reject(operation, closeError(operation, this.#options.failed?.reason))
      this.#deadlines.stop()
      for (const lane of this.#lanes.values()) lane.pause?.cancel()
      this.#links.close()
      closed()
    }
    if (this.#count === 0 || !this.#links.isConnected) this.#shut()
  }

  answered(operation: Operation<unknown>, bytes: Uint8Array): void {
    let answer: unknown
    try {
      answer = operation.verb.decode(bytes, operation)
    } catch (error) {
      this.#answeredBadly(operation, error)
      return
    }
    operation.source?.answered()
    this.#lanes.get(operation.group)?.answered()
    this.#settle(operation, answer)
  }

  turnedDown(link: Link, operation: Operation<unknown>, reply: Reply): void {
    if (reply.status === REPLY.notLeader) {
      const leader = new ByteReader(reply.bytes).text()
      detach(operation)
      this.#redirect(link, operation, leader)
      return
    }
    const refusal = reply.status === REPLY.refused ? readRefusal(reply.bytes) : undefined
    detach(operation)
    if (refusal === undefined) operation.isExposed = true
    const isFinal = refusal !== undefined && !operation.mayHaveHappened
    if (isFinal && !isTroupeError(refusal, ...NODE_REFUSALS)) this.#reject(operation, refusal)
    else this.#park(operation, this.#laneOf(operation.group))
  }

  topology(link: Link, topology: Topology): void {
    if (this.#topology !== undefined && this.#topology.cluster !== topology.cluster) {
      link.close()
      return
    }
    const twin = this.#links.byNode(topology.self)
    link.node = topology.self
    if (twin !== undefined && twin !== link) {
      link.close()
      return
    }
    if (topology.shards.length > 0 && topology.epoch >= (this.#topology?.epoch ?? 0)) this.#adopt(topology)
    if (this.#topology === undefined) for (const operation of this.#waiting) operation.isLeaderless = true
    else this.#resend(topology.groups.filter((group) => this.#learn(group)))
    this.#dial()
    this.#resume()
  }

  closed(link: Link, operations: readonly Operation<unknown>[]): void {
    this.#links.closed(link)
    if (this.#isShut) return
    for (const lane of this.#lanes.values()) if (lane.link === link) lane.link = undefined
    for (const operation of operations) this.#park(operation, this.#laneOf(operation.group))
    this.#dial()
  }

  #admit(operation: Operation<unknown>, { signal, timeout = DEFAULT_TIMEOUT_MS }: CallOptions): void {
    if (signal?.aborted === true) operation.reject(signal.reason)
    else if (this.#isShut || (this.#isClosed && operation.verb.isFarewell !== true)) operation.reject(this.closedError)
    else if (!(timeout >= 0)) operation.reject(invalidArgument('`timeout` is a number of milliseconds, at least 0'))
    else if (this.#count >= OPERATIONS_LIMIT) operation.reject(overloadedError(`${OPERATIONS_LIMIT} operations`))
    else if (this.#bytes + operation.bytes > BYTES_LIMIT) operation.reject(overloadedError(`${BYTES_LIMIT} bytes`))
    else {
      this.#count++
      this.#bytes += operation.bytes
      this.#deadlines.add(operation, timeout)
      operation.signal = signal
      if (signal !== undefined) this.#aborts.add(operation, signal)
      this.#place(operation)
    }
  }

  /** Finds the group of an operation that comes for the first time. */
  #place(operation: Operation<unknown>): void {
    if (operation.group === ANY_NODE) {
      this.#dispatch(operation, this.#laneOf(ANY_NODE))
      return
    }
    if (operation.group >= 0 && this.#sharding !== undefined) {
      operation.shard = this.shards.indexOf(operation.group)
      if (operation.shard < 0) {
        this.#reject(operation, invalidArgument(`there is no group ${operation.group} in this cluster`))
        return
      }
    }
    const lane = this.#laneFor(operation)
    if (lane === undefined) {
      operation.isLeaderless = this.#links.open.some(({ node }) => node !== '')
      wait(operation, this.#waiting)
    } else if (operation.verb === READY) this.#settle(operation, this.shards)
    else {
      operation.group = lane.group
      operation.receipt = lane.receipt
      this.#dispatch(operation, lane)
    }
  }

  #laneFor(operation: Operation<unknown>): Lane | undefined {
    if (this.#sharding === undefined) return undefined
    if (operation.shard < 0) operation.shard = this.#sharding.shardOf(operation.map, operation.key)
    return this.#lanesByShard[operation.shard]
  }

  #dispatch(operation: Operation<unknown>, lane: Lane): void {
    const isLocal = operation.maxAge >= 0
    const link = isLocal ? this.#replica(lane) : (lane.openLink ?? this.#links.any())
    if (link === undefined || link.isCongested || (lane.pause !== undefined && !isLocal)) {
      this.#park(operation, lane)
      return
    }
    if (operation.verb.isWrite && operation.source === undefined) lane.enlist(operation, this.#options.random)
    if (operation.source !== undefined) operation.acknowledged = operation.source.acknowledged
    link.send(operation)
  }

  #replica(lane: Lane): Link | undefined {
    const hosts = this.#links.open.find(({ node }) => lane.replicas.includes(node))
    return hosts ?? this.#links.any()
  }

  /** The operation waits for the end of the lane's pause, or for a link or a leader if one comes sooner. */
  #park(operation: Operation<unknown>, lane: Lane): void {
    wait(operation, lane.parked)
    if (lane.pause !== undefined || this.#links.open.length === 0) return
    const { clock, scheduler, random } = this.#options
    lane.pause = scheduler.at(clock.now() + lane.nextPause(random), () => this.#unpark(lane))
  }

  #unpark(lane: Lane): void {
    lane.pause?.cancel()
    lane.pause = undefined
    for (const operation of takeAll(lane.parked)) {
      operation.hops = 0
      this.#dispatch(operation, lane)
    }
  }

  /** A node that does not lead the group says who does, as far as it knows. */
  #redirect(link: Link, operation: Operation<unknown>, leader: string): void {
    const lane = this.#laneOf(operation.group)
    if (leader === '') {
      operation.isLeaderless = true
      this.#doubt()
    }
    if (lane.link === link) lane.link = undefined
    const next = this.#options.direct && leader !== link.node ? this.#links.byNode(leader) : undefined
    if (next === undefined || operation.hops >= HOPS_LIMIT) {
      this.#park(operation, lane)
      return
    }
    operation.hops++
    lane.link = next
    this.#dispatch(operation, lane)
  }

  /** The answer is none, or says that the operation did not and will not happen this time. */
  #answeredBadly(operation: Operation<unknown>, error: unknown): void {
    if (isTroupeError(error, 'DATA_DAMAGED')) throw error
    if (!(error instanceof NotYet)) {
      operation.source?.answered()
      this.#finish(operation)
      operation.reject(error)
      return
    }
    detach(operation)
    const lane = this.#laneOf(operation.group)
    if (!error.isExpired) {
      this.#park(operation, lane)
      return
    }
    if (operation.source !== undefined) operation.source.isRetired = true
    if (operation.isExposed) {
      this.#reject(operation, unknownOutcome(operation, 'the session expired meanwhile', undefined))
      return
    }
    operation.source = undefined
    this.#dispatch(operation, lane)
  }

  #settle(operation: Operation<unknown>, answer: unknown): void {
    this.#finish(operation)
    operation.resolve(answer)
  }

  /** Ends an operation without an answer. */
  #reject(operation: Operation<unknown>, error: unknown): void {
    // Its reply must be kept for whoever asks what became of it, so its sequence stays unacknowledged for ever.
    const isUnknown = operation.mayHaveHappened
    if (isUnknown && operation.source !== undefined) operation.source.isRetired = true
    this.#finish(operation, isUnknown)
    operation.reject(error)
  }

  #finish(operation: Operation<unknown>, isUnknown = false): void {
    detach(operation)
    operation.parked?.delete(operation)
    operation.parked = undefined
    this.#deadlines.remove(operation)
    this.#count--
    this.#bytes -= operation.bytes
    if (operation.signal !== undefined) this.#aborts.remove(operation, operation.signal)
    if (!isUnknown) operation.source?.settle(operation.sequence)
    if (this.#isClosed && this.#count === 0) this.#shut()
  }

  #laneOf(group: number): Lane {
    const known = this.#lanes.get(group)
    if (known !== undefined) return known
    const durability = this.#topology?.durability ?? 'memory'
    const lane = new Lane(group, { guarantee: 'linearizable', shard: this.shards.indexOf(group), ageMs: 0, durability })
    this.#lanes.set(group, lane)
    return lane
  }

  #adopt(topology: Topology): void {
    this.#topology = topology
    this.#sharding = new HashSharding(topology.shards.length)
    this.#lanesByShard = topology.shards.map((group) => this.#laneOf(group))
  }

  /** News of a group's leader; whether there is a new one. */
  #learn(group: TopologyGroup): boolean {
    const lane = this.#laneOf(group.group)
    if (group.term < lane.term) return false
    const isNew = group.term > lane.term && group.leader !== ''
    lane.term = group.leader === '' ? lane.term : group.term
    lane.replicas = group.replicas
    lane.leader = group.leader
    lane.link = this.#options.direct ? this.#links.byNode(group.leader) : undefined
    if (lane.leader !== '' && lane.pause !== undefined) this.#unpark(lane)
    return isNew
  }

  /** What is under way to an earlier leader is sent to the new one too, for the earlier one may never answer. */
  #resend(groups: readonly TopologyGroup[]): void {
    const renewed = new Set(groups.map(({ group }) => group))
    if (renewed.size === 0) return
    for (const link of this.#links.open) link.move(renewed)
    for (const operation of this.#links.open.flatMap((link) => link.operations())) {
      const lane = this.#laneOf(operation.group)
      if (operation.maxAge >= 0 || !renewed.has(operation.group)) continue
      operation.isExposed = true
      detach(operation)
      this.#dispatch(operation, lane)
    }
  }

  /** Places what waited for the topology or for any link. */
  #resume(): void {
    for (const operation of takeAll(this.#waiting)) this.#place(operation)
    for (const lane of this.#lanes.values()) {
      lane.link ??= this.#options.direct ? this.#links.byNode(lane.leader) : undefined
      if (lane.pause === undefined && lane.parked.size > 0) this.#unpark(lane)
    }
  }

  /** Leaders are talked to directly; without any link, everybody who was ever heard of is tried. */
  #dial(): void {
    const { direct, seeds } = this.#options
    const wanted = new Set(this.#links.open.length === 0 || !direct ? seeds : [])
    const leaders = new Set([...this.#lanes.values()].map(({ leader }) => leader))
    for (const { node, address } of direct ? (this.#topology?.nodes ?? []) : []) {
      const isNeeded = leaders.has(node) || this.#links.open.length === 0
      if (address !== '' && isNeeded && this.#links.byNode(node) === undefined) wanted.add(address)
    }
    this.#links.want(wanted)
  }

  /** Whoever we talk to may be cut off from the others, or hang: one node more is tried each time. */
  #doubt(): void {
    const { direct, seeds, random } = this.#options
    if (!direct || this.#isClosed) return
    const nodes = this.#topology?.nodes.filter(({ node }) => this.#links.byNode(node) === undefined)
    const addresses = nodes?.map(({ address }) => address).filter((address) => address !== '') ?? seeds
    const address = addresses[random.below(addresses.length)]
    if (address !== undefined) this.#links.try(address)
  }
}

/** The copy that is under way will not be waited for. */
function detach(operation: Operation<unknown>): void {
  operation.link?.forget(operation.requestId)
  operation.link = undefined
}

/** Listens in on how an operation ends. */
function ended(operation: Operation<unknown>): Promise<void> {
  const { resolve, reject } = operation
  return new Promise((done) => {
    operation.resolve = (answer) => {
      resolve(answer)
      done()
    }
    operation.reject = (error) => {
      reject(error)
      done()
    }
  })
}

function wait(operation: Operation<unknown>, queue: Set<Operation<unknown>>): void {
  queue.add(operation)
  operation.parked = queue
}

function takeAll(queue: Set<Operation<unknown>>): readonly Operation<unknown>[] {
  const all = [...queue]
  queue.clear()
  for (const operation of all) operation.parked = undefined
  return all
}
