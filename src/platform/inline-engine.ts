/** An inline engine runs on the event loop of whoever starts it: an engine's own thread, or a process that computes nothing else. */

import { clearInterval, setInterval } from 'node:timers'
import type { NodeId } from '../base/identity.ts'
import { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { ClusterNode, type NodeEvent } from '../cluster/node.ts'
import type { NodeSettings } from '../cluster/settings.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '../protocol/raft/config.ts'
import { type Address, formatAddress } from '../runtime/address.ts'
import type { Channel } from '../wire/channel.ts'
import { directChannels } from '../wire/direct-channel.ts'
import { RealClock, RealScheduler } from './clock.ts'
import { DeadBuffers } from './dead-buffers.ts'
import type { Engine, EngineSettings } from './engine.ts'
import { randomSecret, randomSeed } from './random.ts'
import { openStorage, type Storage } from './storage.ts'
import { TcpNetwork } from './tcp-network.ts'
import { warn } from './warning.ts'

/** The name of a cluster that was given none. */
const DEFAULT_CLUSTER = 'troupe'

/**
 * Starts an engine here.
 *
 * @param ownsProcess nobody else uses this process: then it takes less memory
 *
 * Rejects, and leaves nothing open, with `ADDRESS_IN_USE`, `ADDRESS_INVALID`, `DIRECTORY_IN_USE`, `DIRECTORY_UNUSABLE`,
 * `WRONG_CLUSTER`, `DATA_DAMAGED`, `VERSION_SKEW` or `DISK_FAILED`.
 */
export async function startInlineEngine(settings: EngineSettings, ownsProcess = false): Promise<InlineEngine> {
  const network = await TcpNetwork.bind({
    listen: optionalAddress(settings.listen),
    advertise: optionalAddress(settings.advertise),
    secret: settings.secret === undefined ? undefined : new TextEncoder().encode(settings.secret),
    random: new SeededRandom(randomSeed()),
    refused: (address, error) => warn(`no connection to the node at ${address}: ${error.message}`, error.code),
    deadBuffers: ownsProcess ? new DeadBuffers() : undefined,
  })
  let storage: Storage | undefined
  try {
    const cluster = settings.cluster ?? DEFAULT_CLUSTER
    storage = await openStorage({ ...settings, cluster, ownsProcess, notice: (text) => warn(text, 'TORN_TAIL') })
    return new InlineEngine(settings, network, storage)
  } catch (error) {
    network.close()
    await storage?.close()
    throw error
  }
}

export class InlineEngine implements Engine {
  readonly node: string
  readonly cluster: string
  readonly address: string
  readonly #node: ClusterNode
  readonly #storage: Storage
  readonly #scheduler: RealScheduler
  readonly #failure = new AbortController()
  /** The scheduler's timers keep no process alive, but a node that is not closed does. */
  readonly #alive: NodeJS.Timeout
  #hasMended = false
  #hasForgotten = false
  /** Why each node was turned away last. */
  readonly #strangers = new Map<NodeId, string>()
  /** Who has sent what cannot be. */
  readonly #liars = new Set<NodeId>()
  #closed: Promise<void> | undefined

  constructor(settings: EngineSettings, network: TcpNetwork, storage: Storage) {
    const clock = new RealClock()
    this.#scheduler = new RealScheduler(clock)
    this.#storage = storage
    this.node = storage.identity.node
    this.cluster = storage.identity.cluster
    this.address = network.address ?? ''
    const { log, snapshots, pieces, charter, identity } = storage
    const ports = {
      clock,
      scheduler: this.#scheduler,
      random: new SeededRandom(randomSeed()),
      network,
      log,
      snapshots,
      pieces,
      charter,
    }
    this.#node = new ClusterNode(
      { ...ports, fatal: (error) => this.#failure.abort(error), observe: (event) => this.#observe(event) },
      nodeSettings(settings, storage, this.address),
    )
    network.onClient((channel) => this.#node.accept(channel))
    this.#node.start()
    network.start(identity)
    this.#alive = setInterval(() => {}, 2 ** 30)
  }

  get failed(): AbortSignal {
    return this.#failure.signal
  }

  connect(): Channel {
    const [near, far] = directChannels(this.#scheduler)
    this.accept(far)
    return near
  }

  /** Serves the application at the other end of this channel. */
  accept(channel: Channel): void {
    this.#node.accept(channel)
  }

  drain(timeout: Millis): Promise<void> {
    return new Promise((resolve) => this.#node.drain(timeout, resolve))
  }

  #observe(event: NodeEvent): void {
    if (event.type === 'mended' && !this.#hasMended) {
      this.#hasMended = true
      const message = 'the disk has damaged a piece of a large payload; it came back from'
      warn(`${message} the node ${event.from}. Look at the disk; status counts what else is mended.`, 'DATA_DAMAGED')
    }
    if (event.type === 'raft' && event.event.type === 'forgot' && !this.#hasForgotten) {
      this.#hasForgotten = true
      const { confirmed, last } = event.event
      const message = `this node has confirmed entry ${confirmed} of group ${event.group} once, and its log ends at ${last}`
      warn(
        `${message}: its disk has lost data, or its directory was put back from a copy that is too old.`,
        'DATA_DAMAGED',
      )
    }
    if (event.type === 'malformed' && !this.#liars.has(event.node)) {
      this.#liars.add(event.node)
      const message = `the node ${event.node} sent what cannot be, and its connection was closed: ${event.error.message}.`
      warn(`${message} Look at its memory and its disk, and at who else has the secret.`, 'DATA_DAMAGED')
    }
    if (event.type !== 'stranger' || this.#strangers.get(event.node) === event.reason) return
    this.#strangers.set(event.node, event.reason)
    warn(`the node ${event.node} is turned away: ${event.reason}`, 'WRONG_CLUSTER')
  }

  close(): Promise<void> {
    clearInterval(this.#alive)
    this.#node.stop()
    this.#closed ??= this.#storage.close()
    return this.#closed
  }
}

function nodeSettings(settings: EngineSettings, { identity }: Storage, address: string): NodeSettings {
  const { electionTimeoutMs, heartbeatMs, join, shards, durability } = settings
  return {
    ...identity,
    address,
    join: join.map(formatAddress),
    shards,
    durability,
    hashSecret: randomSecret(),
    timing: { ...DEFAULT_TIMING, electionTimeoutMs, heartbeatMs },
    limits: DEFAULT_LIMITS,
  }
}

function optionalAddress(address: Address | undefined): string | undefined {
  return address === undefined ? undefined : formatAddress(address)
}
