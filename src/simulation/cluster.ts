/** A simulated cluster is the engine as it runs in production, on virtual computers, disks and a virtual network. */

import { TroupeError } from '../base/error.ts'
import { hashText } from '../base/hash.ts'
import type { NodeId } from '../base/identity.ts'
import { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { ClusterNode, type NodeEvent } from '../cluster/node.ts'
import { DEFAULT_COMPACTION } from '../cluster/snapshot/snapshotter.ts'
import type { NodeStatus } from '../cluster/status.ts'
import type { Driver } from '../driver/contract.ts'
import { nativeDriver } from '../driver/native/native.ts'
import { LEVEL, type Level } from '../machine/level.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '../protocol/raft/config.ts'
import type { Channel } from '../wire/channel.ts'
import { Invariants } from './check/invariants.ts'
import type { Election } from './check/ledger.ts'
import { Coverage } from './coverage.ts'
import type { Victim } from './fault/nemesis.ts'
import type { Scenario } from './scenario.ts'
import { Trace } from './trace.ts'
import { connectChannels, type SimulatedChannel } from './world/client-channel.ts'
import { Computer } from './world/computer.ts'
import { EventQueue } from './world/event-queue.ts'
import { SimulatedNetwork } from './world/network.ts'
import { CLUSTER, type OpenStorage, Storage } from './world/storage.ts'
import type { WatchedLog } from './world/watched-log.ts'

/** Small, so that a payload is in many pieces, and no other workload has any. */
const SIZES = { whole: 200, piece: 100 }

/** One node through all its restarts. */
interface Site {
  readonly id: NodeId
  readonly number: number
  readonly storage: Storage
  readonly random: SeededRandom
  computer: Computer
  /** Of the version that is installed there. */
  level: Level
  /** What runs there now; undefined while it is down or starting. */
  running: { readonly node: ClusterNode; readonly log: WatchedLog } | undefined
}

export class SimulatedCluster implements Victim {
  readonly queue: EventQueue
  readonly trace: Trace
  readonly coverage: Coverage
  readonly network: SimulatedNetwork
  readonly scenario: Scenario
  /** The first thing that went wrong. */
  failure: unknown
  /** Called when a node runs, and when it does no longer. */
  onNode: { started(node: NodeId): void; stopped(node: NodeId): void } = { started() {}, stopped() {} }
  /**
   * Called before every step: an event anywhere (`node` is undefined), an operation of a node on its disk, a frame from
   * a node to another one. What crashes in here takes the step no more.
   */
  onStep: (node: NodeId | undefined) => void = () => {}
  readonly #random: SeededRandom
  readonly #invariants: Invariants
  readonly #sites = new Map<NodeId, Site>()
  readonly #owners = new Map<Computer, Site>()
  readonly #channels = new Set<{ readonly computer: Computer; readonly node: NodeId; readonly far: SimulatedChannel }>()
  readonly #microtasks = new MacrotaskTurn()

  constructor(scenario: Scenario, print?: (line: string) => void) {
    this.scenario = scenario
    this.#random = new SeededRandom(scenario.seed)
    this.queue = new EventQueue()
    this.trace = new Trace(this.queue, print)
    this.coverage = new Coverage()
    this.#invariants = new Invariants(this.coverage, this.queue)
    const { queue, trace } = this
    this.network = new SimulatedNetwork(scenario.network, { queue, trace, random: this.#random.fork() })
    this.network.onSend((from, to, frame) => {
      this.#step(this.#site(from))
      this.#guard(() => this.#invariants.sent(from, to, frame))
    })
    for (let number = 0; number < scenario.nodes; number++) this.#addSite(number)
  }

  get nodes(): readonly NodeId[] {
    return [...this.#sites.keys()]
  }

  get elections(): readonly Election[] {
    return this.#invariants.elections
  }

  start(): void {
    for (const node of this.nodes) this.restart(node)
  }

  /**
   * Lets virtual time pass until `until`, or until `isDone` holds or something fails. Between two events all promises
   * that can be settled are.
   */
  async run(until: Millis, isDone: () => boolean = () => false): Promise<void> {
    await this.#microtasks.pass()
    while (this.failure === undefined && !isDone() && this.#next(until)) {
      const owner = this.queue.lastOwner
      if (!(owner instanceof Computer)) continue
      const site = this.#owners.get(owner)
      if (site !== undefined) this.#guard(() => this.#invariants.check(site.id))
      if (owner.hasPromises) await this.#microtasks.pass()
    }
  }

  #next(until: Millis): boolean {
    this.onStep(undefined)
    try {
      return this.queue.step(until)
    } catch (error) {
      // Whatever else a node lets out ends its process, and the application's beside it.
      if (!(error instanceof PowerCut)) this.failure ??= error
      return true
    }
  }

  /** A node is about to do something that others can see. */
  #step(site: Site): void {
    this.onStep(site.id)
    if (site.computer.isOff) throw new PowerCut(`${site.id} has no power`)
  }

  /** A driver on a computer of its own: one node's, or with several nodes a client's that talks to each leader itself. */
  connect(computer: Computer, seeds: readonly NodeId[]): Driver {
    computer.hasPromises = true
    return nativeDriver({
      clock: computer,
      scheduler: computer,
      random: this.#random.fork(),
      connect: (address) => this.#dial(computer, address),
      seeds: seeds.map(addressOf),
      direct: seeds.length > 1,
      sizes: SIZES,
    })
  }

  /** The computer of an application has lost its power: the nodes notice, and it no longer can. */
  abandon(computer: Computer): void {
    computer.powerOff()
    for (const channel of this.#channels) {
      if (channel.computer !== computer) continue
      channel.far.break()
      this.#channels.delete(channel)
    }
  }

  /** An independent generator, for what runs on the cluster. */
  fork(): SeededRandom {
    return this.#random.fork()
  }

  /** Compares the states of all replicas that run. */
  checkDigests(): void {
    this.#guard(() => this.#invariants.checkDigests())
  }

  /** Ends everything. */
  close(): void {
    for (const site of this.#sites.values()) site.computer.powerOff()
    this.#microtasks.close()
  }

  isRunning(node: NodeId): boolean {
    return this.#site(node).running !== undefined
  }

  leader(): NodeId | undefined {
    for (const { id, running } of this.#sites.values()) {
      for (const group of running?.node.groups.values() ?? []) if (group.id > 0 && group.isLeader) return id
    }
    return undefined
  }

  /** The node starts with a version of this level from now on. */
  install(node: NodeId, level: Level): void {
    this.#site(node).level = level
  }

  /** The cluster as a node sees it; undefined while it does not run. */
  status(node: NodeId): NodeStatus | undefined {
    return this.#site(node).running?.node.status()
  }

  crash(node: NodeId, torn?: 'readable' | 'unreadable'): void {
    const site = this.#site(node)
    if (site.computer.isOff) return
    if (site.running === undefined) this.coverage.reached('start-interrupted')
    this.#crash(site, torn)
  }

  #crash(site: Site, torn?: 'readable' | 'unreadable'): void {
    const node = site.id
    this.trace.record(`crash ${node}`)
    this.#invariants.stopped(node)
    site.computer.powerOff()
    // What it still does to its disk is not synced, and may be lost.
    site.running?.node.stop()
    site.storage.crash(torn)
    site.running = undefined
    this.onNode.stopped(node)
    for (const channel of this.#channels) {
      if (channel.node !== node) continue
      channel.far.close()
      this.#channels.delete(channel)
    }
  }

  restart(node: NodeId): void {
    const site = this.#site(node)
    if (!site.computer.isOff) return
    this.trace.record(`start ${node}`)
    site.computer = new Computer(this.queue, node, this.scenario.clockRates[site.number])
    this.#owners.set(site.computer, site)
    const { computer } = site
    computer.hasPromises = true
    computer.defer(() => {
      site.storage
        .open(site.id, computer, () => this.#step(site))
        .then(
          (storage) => {
            computer.hasPromises = false
            if (!computer.isOff) this.#guard(() => this.#begin(site, storage))
          },
          (error: unknown) => this.#stopped(site, error),
        )
    })
  }

  pause(node: NodeId): void {
    this.#site(node).computer.pause()
    this.network.paused(node)
  }

  resume(node: NodeId): void {
    this.#site(node).computer.resume()
  }

  stepClock(node: NodeId, by: Millis): void {
    this.#site(node).computer.stepWall(by)
  }

  slowDisk(node: NodeId, byMs: Millis): void {
    this.#site(node).storage.slowDown(byMs)
  }

  failDisk(node: NodeId): void {
    this.#site(node).storage.failNext()
  }

  fillDisk(node: NodeId, roomBytes: number): void {
    this.#site(node).storage.leaveRoom(roomBytes)
  }

  mendDisk(node: NodeId): void {
    this.#site(node).storage.mend()
  }

  damage(node: NodeId, isChosen: (file: string) => boolean): number {
    this.#invariants.damaged(node)
    return this.#site(node).storage.damage(isChosen)
  }

  cut(from: NodeId, to: NodeId): void {
    this.network.cut(from, to)
  }

  heal(from: NodeId, to: NodeId): void {
    this.network.heal(from, to)
  }

  slowLink(from: NodeId, to: NodeId, bytesPerMs: number | undefined): void {
    this.network.slowDown(from, to, bytesPerMs)
  }

  #addSite(number: number): void {
    const id = `n${number + 1}` as NodeId
    const computer = new Computer(this.queue, id)
    computer.powerOff()
    const storage = new Storage(this.scenario, this.#random.fork(), this.coverage)
    this.#sites.set(id, {
      id,
      number,
      storage,
      random: this.#random.fork(),
      computer,
      level: LEVEL,
      running: undefined,
    })
  }

  #begin(site: Site, storage: OpenStorage): void {
    const { id, computer } = site
    const { generation } = storage
    const network = this.network.join(id, computer, generation)
    const ports = {
      ...storage,
      clock: computer,
      scheduler: computer,
      random: site.random.fork(),
      network,
      fatal: (error: unknown) => this.#stopped(site, error),
      observe: (event: NodeEvent) => {
        // Here nobody lies, and nothing is damaged on the way.
        if (event.type === 'malformed') this.failure ??= event.error
        if (event.type === 'raft' && event.event.type === 'forgot')
          this.failure ??= `${id} has lost what it had confirmed in group ${event.group}`
        if (event.type === 'disconnected') this.coverage.reached('connection-lost')
        if (event.type === 'mended') this.coverage.reached('piece-mended')
        if (event.type === 'raft' && event.event.type === 'truncated') this.coverage.reached('tail-truncated')
      },
    }
    const node = new ClusterNode(ports, {
      node: id,
      directory: `directory-of-${id}`,
      generation,
      cluster: CLUSTER,
      address: addressOf(id),
      join: this.nodes.length > 1 ? this.nodes.map(addressOf) : [],
      shards: this.scenario.shards,
      durability: 'disk',
      hashSecret: { low: hashText(id), high: generation },
      level: site.level,
      timing: DEFAULT_TIMING,
      limits: { ...DEFAULT_LIMITS, appendBytes: this.scenario.appendBytes },
      compaction: { ...DEFAULT_COMPACTION, bytesBetween: this.scenario.logBytes / 2 },
    })
    site.running = { node, log: storage.log }
    this.#invariants.started({ id, node, log: storage.log })
    node.start()
    this.onNode.started(id)
  }

  /** A node ends by itself only when its disk fails. */
  #stopped(site: Site, error: unknown): void {
    if (error instanceof PowerCut) return
    if (!(error instanceof TroupeError && error.code === 'DISK_FAILED')) {
      this.failure ??= error
      return
    }
    this.coverage.reached('disk-failed')
    if (error.details.errno === 'ENOSPC') this.coverage.reached('disk-full')
    if (error.details.errno === 'EIO') this.coverage.reached('page-unreadable')
    if (!site.computer.isOff) this.#crash(site)
  }

  #dial(computer: Computer, address: string): Promise<Channel> {
    const site = this.#sites.get(address.slice(0, address.lastIndexOf(':')) as NodeId)
    return new Promise((resolve, reject) => {
      computer.at(computer.now() + 2 * this.scenario.network.delayMs[0], () => {
        if (site?.running === undefined || site.computer.isPaused) {
          reject(new TroupeError('UNREACHABLE', `nobody answers at ${address}`))
          return
        }
        const { queue, trace } = this
        const ports = { queue, trace, random: this.#random.fork() }
        const [near, far] = connectChannels([computer, site.computer], () => this.network.quality, ports)
        this.#channels.add({ computer, node: site.id, far })
        site.running.node.accept(far)
        resolve(near)
      })
    })
  }

  #site(node: NodeId): Site {
    const site = this.#sites.get(node)
    if (site === undefined) throw new RangeError(`there is no node ${node}`)
    return site
  }

  #guard(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.failure ??= error
    }
  }
}

/** Ends what a node is doing at the moment of its crash. */
class PowerCut extends Error {}

/** The event loop goes round once: by then every promise that can be settled is. */
class MacrotaskTurn {
  readonly #channel = new MessageChannel()
  #resolve: () => void = () => {}

  constructor() {
    this.#channel.port1.addEventListener('message', () => this.#resolve())
    this.#channel.port1.start()
  }

  pass(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve
      this.#channel.port2.postMessage(undefined)
    })
  }

  close(): void {
    this.#channel.port1.close()
  }
}

function addressOf(node: NodeId): string {
  return `${node}:7400`
}
