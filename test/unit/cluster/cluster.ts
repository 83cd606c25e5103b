/** A cluster for tests: nodes without disks on one virtual clock, and an application at one of them. */

import { crc32 } from 'node:zlib'
import type { NodeId } from '../../../src/base/identity.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import type { Millis } from '../../../src/base/time.ts'
import { ClusterNode } from '../../../src/cluster/node.ts'
import { type CompactionLimits, DEFAULT_COMPACTION } from '../../../src/cluster/snapshot/snapshotter.ts'
import type { Driver } from '../../../src/driver/contract.ts'
import { nativeDriver } from '../../../src/driver/native/native.ts'
import { MemoryLog } from '../../../src/host/log/memory-log.ts'
import type { SnapshotStore } from '../../../src/host/log-device.ts'
import { MemoryPieceStores } from '../../../src/host/piece-files.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '../../../src/protocol/raft/config.ts'
import { Trace } from '../../../src/simulation/trace.ts'
import { connectChannels, type SimulatedChannel } from '../../../src/simulation/world/client-channel.ts'
import { Computer } from '../../../src/simulation/world/computer.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'
import type { LinkQuality } from '../../../src/simulation/world/link.ts'
import { SimulatedNetwork } from '../../../src/simulation/world/network.ts'

const QUALITY: LinkQuality = { mode: 'stream', loss: 0, duplicate: 0, delayMs: [0.2, 0.4], tail: 0, tailMs: 0 }

const NO_SNAPSHOTS: SnapshotStore = {
  newest: () => undefined,
  begin: () => {
    throw new Error('no snapshots here')
  },
}

interface ClusterOptions {
  /** Of each node. */
  readonly snapshots?: () => SnapshotStore
  /** One way between nodes. */
  readonly delayMs?: Millis
  readonly compaction?: CompactionLimits
}

interface Place {
  readonly computer: Computer
  readonly channels: SimulatedChannel[]
  isCutOff: boolean
  /** Whether the next frame that comes is lost. */
  loses: () => boolean
  receivedBytes: number
}

export class TestCluster {
  readonly queue = new EventQueue()
  readonly random = new SeededRandom(7)
  readonly trace = new Trace(this.queue)
  readonly network: SimulatedNetwork
  readonly nodes: ClusterNode[] = []
  readonly computers: Computer[] = []
  readonly failures: unknown[] = []
  readonly #places = new Map<Driver, Place>()
  /** Of the logs of all nodes; on a disk, each is one write and one sync. */
  commits = 0

  readonly #options: ClusterOptions

  constructor(names: readonly string[], shards = 4, options: ClusterOptions = {}) {
    this.#options = options
    const { delayMs = 0.3 } = options
    const quality = { ...QUALITY, delayMs: [delayMs * 0.7, delayMs * 1.3] as const }
    this.network = new SimulatedNetwork(quality, { queue: this.queue, random: this.random, trace: this.trace })
    for (const name of names) this.#start(name, names, shards)
  }

  #start(name: string, names: readonly string[], shards: number): void {
    const computer = new Computer(this.queue, name)
    const { snapshots = () => NO_SNAPSHOTS, compaction = DEFAULT_COMPACTION } = this.#options
    const node = new ClusterNode(
      {
        clock: computer,
        scheduler: computer,
        random: this.random.fork(),
        network: this.network.join(name as NodeId, computer, 1),
        log: this.#countedLog(),
        snapshots: snapshots(),
        pieces: new MemoryPieceStores(),
        charter: { read: () => undefined, replace: (_, done) => done(undefined) },
        fatal: (error) => this.failures.push(error),
        observe: () => {},
      },
      {
        node: name as NodeId,
        directory: `directory of ${name}`,
        generation: 1,
        cluster: 'test',
        address: `${name}:7400`,
        join: names.map((other) => `${other}:7400`),
        shards,
        durability: 'memory',
        hashSecret: { low: this.nodes.length, high: 0 },
        timing: DEFAULT_TIMING,
        limits: DEFAULT_LIMITS,
        compaction,
      },
    )
    this.nodes.push(node)
    this.computers.push(computer)
    node.start()
  }

  #countedLog(): MemoryLog {
    const log = new MemoryLog({ checksum: crc32 as never })
    const commit = log.commit.bind(log)
    log.commit = (done) => {
      this.commits++
      commit(done)
    }
    return log
  }

  /** An application on a computer of its own, connected to the first node only or to all. */
  application(direct: boolean): Driver {
    const computer = new Computer(this.queue, 'application')
    const place: Place = { computer, channels: [], isCutOff: false, loses: () => false, receivedBytes: 0 }
    const ports = { queue: this.queue, random: this.random, trace: this.trace }
    const driver = nativeDriver({
      clock: computer,
      scheduler: computer,
      random: this.random.fork(),
      direct,
      seeds: ['n1:7400'],
      connect: (address) => {
        const at = this.nodes.findIndex(({ settings }) => settings.address === address)
        if (place.isCutOff || this.computers[at]?.isOff) return Promise.reject(new Error('cut off'))
        const [near, far] = connectChannels([computer, this.computers[at] as Computer], () => QUALITY, ports)
        place.channels.push(near)
        const onFrame = near.onFrame.bind(near)
        near.onFrame = (received) =>
          onFrame((frame) => {
            place.receivedBytes += frame.length
            if (!place.loses()) received(frame)
          })
        this.nodes[at]?.accept(far)
        return Promise.resolve(near)
      },
    })
    this.#places.set(driver, place)
    return driver
  }

  /** The computer that the application of this driver runs on: to be paused or switched off. */
  computerOf(driver: Driver): Computer {
    return this.#place(driver).computer
  }

  /** What has come to this driver over all its channels. */
  receivedBytes(driver: Driver): number {
    return this.#place(driver).receivedBytes
  }

  /** From now on frames to this driver come to nothing whenever `loses` says so. */
  loseAnswers(driver: Driver, loses: () => boolean): void {
    this.#place(driver).loses = loses
  }

  /** The connections of this driver break; it makes new ones. */
  disconnect(driver: Driver): void {
    for (const channel of this.#place(driver).channels.splice(0)) channel.close()
  }

  /** No node can be reached by this driver from now on. */
  cutOff(driver: Driver): void {
    this.#place(driver).isCutOff = true
    this.disconnect(driver)
  }

  /** The application of this driver is no more: the nodes notice, and it no longer can. */
  kill(driver: Driver): void {
    this.computerOf(driver).powerOff()
    this.cutOff(driver)
  }

  /** A node is no more; without a disk, it is so for good. */
  crash(node: string): void {
    const at = this.nodes.findIndex(({ settings }) => settings.node === node)
    this.computers[at]?.powerOff()
    this.nodes[at]?.stop()
  }

  #place(driver: Driver): Place {
    const place = this.#places.get(driver)
    if (place === undefined) throw new Error('this driver is of another cluster')
    return place
  }

  /** Lets virtual time pass, and promises settle. */
  async run(ms: number): Promise<void> {
    const until = this.queue.now() + ms
    while (this.queue.step(until)) await new Promise((resolve) => setImmediate(resolve))
    if (this.failures.length > 0) throw this.failures[0]
  }
}
