/**
 * The liveness of nodes: when each was last heard, kept alive by a small heartbeat for each pair of nodes instead of
 * one for each group.
 */

import type { NodeId } from '../base/identity.ts'
import type { Clock, Millis, Scheduler, Timer } from '../base/time.ts'
import type { Liveness } from '../protocol/core.ts'

/** How often a node makes sure that each peer hears of it. */
const NODE_HEARTBEAT_MS: Millis = 100
/** Whoever was silent for longer hangs, is cut off, or is very busy. */
const SILENCE_MS: Millis = 3 * NODE_HEARTBEAT_MS

interface Peer {
  lastHeard: Millis
  hasSpoken: boolean
}

export class NodeLiveness implements Liveness {
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #beat: (peer: NodeId) => void
  readonly #peers = new Map<NodeId, Peer>()
  #timer: Timer | undefined

  /** `beat` sends a peer anything at all; it is called when nothing else was sent for a while. */
  constructor(ports: { readonly clock: Clock; readonly scheduler: Scheduler }, beat: (peer: NodeId) => void) {
    this.#clock = ports.clock
    this.#scheduler = ports.scheduler
    this.#beat = beat
  }

  lastHeard(node: NodeId): Millis {
    return this.#peers.get(node)?.lastHeard ?? Number.NEGATIVE_INFINITY
  }

  connected(node: NodeId): void {
    this.#peers.set(node, { lastHeard: this.#clock.now(), hasSpoken: false })
    if (this.#timer === undefined) this.#tick()
  }

  disconnected(node: NodeId): void {
    this.#peers.delete(node)
  }

  heard(node: NodeId): void {
    const peer = this.#peers.get(node)
    if (peer !== undefined) peer.lastHeard = this.#clock.now()
  }

  /** Something was sent to this peer, which serves as a heartbeat. */
  spoke(node: NodeId): void {
    const peer = this.#peers.get(node)
    if (peer !== undefined) peer.hasSpoken = true
  }

  isConnected(node: NodeId): boolean {
    return this.#peers.has(node)
  }

  /** Connected, and not silent. */
  isHeard(node: NodeId): boolean {
    return this.#clock.now() - this.lastHeard(node) <= SILENCE_MS
  }

  stop(): void {
    this.#timer?.cancel()
    this.#peers.clear()
  }

  #tick(): void {
    this.#timer = undefined
    if (this.#peers.size === 0) return
    for (const [node, peer] of this.#peers) {
      if (!peer.hasSpoken) this.#beat(node)
      peer.hasSpoken = false
    }
    this.#timer = this.#scheduler.at(this.#clock.now() + NODE_HEARTBEAT_MS, () => this.#tick())
  }
}
