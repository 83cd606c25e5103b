/** The simulated network connects every pair of nodes, and does to their frames what networks do. */

import { required } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Network, PeerHandler } from '../../host/port.ts'
import type { Trace } from '../trace.ts'
import type { Computer } from './computer.ts'
import type { EventQueue } from './event-queue.ts'
import { Link, type LinkQuality } from './link.ts'

/** How soon a lost connection is noticed, at most: at once when the other side says so, much later when nothing comes at all. */
const NOTICE_MS = { told: 5, silent: 8000 }
/** Whoever has heard nothing for so long gives a connection up. */
const SILENCE_MS: Millis = 10_000
/** Between two attempts to connect. */
const RETRY_MS: readonly [Millis, Millis] = [20, 500]

/** One end of the connection of a pair. */
interface End {
  readonly node: NodeId
  /** The connection that this end believes to have; 0 for none. */
  connection: number
}

interface Pair {
  readonly ends: readonly [End, End]
  /** The connection that really stands; 0 for none. */
  connection: number
  /** Whether an attempt is on its way. */
  isDialling: boolean
}

export interface NetworkPorts {
  readonly queue: EventQueue
  readonly random: SeededRandom
  readonly trace: Trace
}

export class SimulatedNetwork {
  readonly #ports: NetworkPorts
  /** What all links do to frames from now on. */
  quality: LinkQuality
  readonly #stations = new Map<NodeId, Station>()
  readonly #pairs = new Map<string, Pair>()
  readonly #links = new Map<string, Link>()
  #connections = 0
  #observe: (from: NodeId, to: NodeId, frame: Uint8Array) => void = () => {}

  constructor(quality: LinkQuality, ports: NetworkPorts) {
    this.quality = quality
    this.#ports = ports
  }

  /** Sees every frame that leaves a node. */
  onSend(observe: (from: NodeId, to: NodeId, frame: Uint8Array) => void): void {
    this.#observe = observe
  }

  /** Gives a node that starts its port. The address that others dial is `<node>:7400`. */
  join(node: NodeId, computer: Computer, generation: number): Network {
    const station = new Station(this, { node, computer, generation })
    this.#stations.set(node, station)
    return station
  }

  /** Frames from one node to another no longer arrive, until `heal`. */
  cut(from: NodeId, to: NodeId): void {
    const link = this.#link(from, to)
    if (link.isCut) return
    link.isCut = true
    const pair = this.#pair(from, to)
    if (pair.connection === 0) return
    const { queue, random } = this.#ports
    // For many reasons half of them end sooner.
    if (random.next() < 0.5) this.#giveUp(pair, queue.now() + SILENCE_MS, () => link.isCut)
    else this.#giveUp(pair, this.#soon([0, NOTICE_MS.silent]), () => link.isCut)
  }

  /** Nothing comes from a node that stands still. */
  paused(node: NodeId): void {
    const computer = this.#stations.get(node)?.computer
    const pauses = computer?.pauses
    const lasts = (): boolean => computer?.isPaused === true && computer.pauses === pauses
    for (const pair of this.#pairs.values()) {
      const isOurs = pair.connection !== 0 && pair.ends.some((end) => end.node === node)
      if (isOurs) this.#giveUp(pair, this.#ports.queue.now() + SILENCE_MS, lasts)
    }
  }

  heal(from: NodeId, to: NodeId): void {
    this.#link(from, to).heal()
  }

  /** Only so many bytes pass from one node to another in a millisecond; undefined as many as there are. */
  slowDown(from: NodeId, to: NodeId, bytesPerMs: number | undefined): void {
    this.#link(from, to).slowDown(bytesPerMs)
  }

  /** @internal what a station asks for */
  dial(from: NodeId, address: string): void {
    const to = address.slice(0, address.lastIndexOf(':')) as NodeId
    if (to !== from) this.#attempt(this.#pair(from, to))
  }

  /** @internal */
  send(from: NodeId, to: NodeId, frame: Uint8Array): boolean {
    const pair = this.#pair(from, to)
    const { connection } = endOf(pair, from)
    if (connection === 0) return false
    this.#observe(from, to, frame)
    return this.#link(from, to).send(frame, () => {
      const station = this.#stations.get(to)
      if (endOf(pair, to).connection !== connection) return
      this.#ports.trace.record(`${from} > ${to}`, frame)
      station?.handler?.frame(from, frame)
    })
  }

  /** @internal */
  hangUp(from: NodeId, to: NodeId): void {
    const pair = this.#pair(from, to)
    if (pair.connection === 0) return
    this.#lose(pair, NOTICE_MS.told)
  }

  /** @internal */
  leave(station: Station): void {
    const { node } = station
    if (this.#stations.get(node) !== station) return
    this.#stations.delete(node)
    for (const pair of this.#pairs.values()) {
      if (pair.ends.every((end) => end.node !== node)) continue
      endOf(pair, node).connection = 0
      if (pair.connection !== 0) this.#lose(pair, this.#isCut(pair) ? NOTICE_MS.silent : NOTICE_MS.told)
    }
  }

  #giveUp(pair: Pair, at: Millis, isSilent: () => boolean): void {
    const { connection } = pair
    this.#ports.queue.at(at, () => {
      if (isSilent() && pair.connection === connection) this.#lose(pair, NOTICE_MS.silent)
    })
  }

  #lose(pair: Pair, noticeMs: Millis): void {
    const { connection } = pair
    pair.connection = 0
    for (const end of pair.ends) {
      const station = this.#stations.get(end.node)
      if (end.connection !== connection || station === undefined) continue
      station.computer.atTrue(this.#soon([0, noticeMs]), () => {
        if (end.connection === connection) this.#noticeLoss(pair, end, station)
      })
    }
    this.#attempt(pair)
  }

  #noticeLoss(pair: Pair, end: End, station: Station): void {
    end.connection = 0
    const peer = otherEnd(pair, end).node
    this.#ports.trace.record(`${end.node} lost ${peer}`)
    station.handler?.disconnected(peer)
  }

  /** Connects when both sides run and both directions are open, else tries again for as long as one of them wants it. */
  #attempt(pair: Pair): void {
    if (pair.isDialling || pair.connection !== 0) return
    pair.isDialling = true
    this.#ports.queue.at(this.#soon(RETRY_MS), () => {
      pair.isDialling = false
      const [a, b] = pair.ends.map((end) => this.#stations.get(end.node))
      if (!(a?.wants(pair.ends[1].node) || b?.wants(pair.ends[0].node))) return
      const isOpen = a !== undefined && b !== undefined && !a.computer.isPaused && !b.computer.isPaused
      if (isOpen && !this.#isCut(pair)) this.#connect(pair)
      else this.#attempt(pair)
    })
  }

  #connect(pair: Pair): void {
    const connection = ++this.#connections
    pair.connection = connection
    const [acceptor, dialler] = pair.ends
    this.#link(acceptor.node, dialler.node).reset()
    this.#link(dialler.node, acceptor.node).reset()
    this.#stand(pair, acceptor, 0)
    this.#stand(pair, dialler, this.quality.delayMs[0])
  }

  /** The handshake ends at one side before it ends at the other. */
  #stand(pair: Pair, end: End, delay: Millis): void {
    const { connection } = pair
    const peer = otherEnd(pair, end).node
    const station = this.#stations.get(end.node)
    const generation = this.#stations.get(peer)?.generation
    if (station === undefined || generation === undefined) return
    station.computer.atTrue(this.#ports.queue.now() + delay, () => {
      if (pair.connection !== connection) return
      if (end.connection !== 0) this.#noticeLoss(pair, end, station)
      end.connection = connection
      this.#ports.trace.record(`${end.node} connected to ${peer}`)
      station.handler?.connected(peer, generation)
    })
  }

  #isCut(pair: Pair): boolean {
    const [a, b] = pair.ends
    return this.#link(a.node, b.node).isCut || this.#link(b.node, a.node).isCut
  }

  #pair(a: NodeId, b: NodeId): Pair {
    const key = a < b ? `${a} ${b}` : `${b} ${a}`
    const known = this.#pairs.get(key)
    if (known !== undefined) return known
    const end = (node: NodeId): End => ({ node, connection: 0 })
    const pair: Pair = { ends: a < b ? [end(a), end(b)] : [end(b), end(a)], connection: 0, isDialling: false }
    this.#pairs.set(key, pair)
    return pair
  }

  #link(from: NodeId, to: NodeId): Link {
    const key = `${from} ${to}`
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const { queue, random } = this.#ports
    const link = new Link({
      queue,
      random: random.fork(),
      quality: () => this.quality,
      sender: () => this.#stations.get(from)?.computer,
      receiver: () => this.#stations.get(to)?.computer,
    })
    this.#links.set(key, link)
    return link
  }

  #soon([least, most]: readonly [Millis, Millis]): Millis {
    return this.#ports.queue.now() + least + this.#ports.random.next() * (most - least)
  }
}

/** A node's port to the network. */
class Station implements Network {
  readonly node: NodeId
  readonly computer: Computer
  readonly generation: number
  handler: PeerHandler | undefined
  readonly #network: SimulatedNetwork
  readonly #wanted = new Set<string>()

  constructor(
    network: SimulatedNetwork,
    self: { readonly node: NodeId; readonly computer: Computer; readonly generation: number },
  ) {
    this.#network = network
    this.node = self.node
    this.computer = self.computer
    this.generation = self.generation
  }

  wants(node: NodeId): boolean {
    return this.#wanted.has(node)
  }

  onPeer(handler: PeerHandler): void {
    this.handler = handler
  }

  dial(addresses: readonly string[]): void {
    this.#wanted.clear()
    for (const address of addresses) {
      this.#wanted.add(address.slice(0, address.lastIndexOf(':')))
      this.#network.dial(this.node, address)
    }
  }

  send(to: NodeId, frame: Uint8Array): boolean {
    return this.#network.send(this.node, to, frame.slice())
  }

  disconnect(node: NodeId): void {
    this.#network.hangUp(this.node, node)
  }

  close(): void {
    this.#network.leave(this)
  }
}

function endOf(pair: Pair, node: NodeId): End {
  return required(
    pair.ends.find((end) => end.node === node),
    'an end of the pair',
  )
}

function otherEnd(pair: Pair, end: End): End {
  return end === pair.ends[0] ? pair.ends[1] : pair.ends[0]
}
