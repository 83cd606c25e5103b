/** A leadership is what a replica knows only while it leads: its peers, its reads and its deadlines. */

import type { NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { LogIndex } from '../core.ts'
import type { Progress } from './progress.ts'
import { LeaderReads } from './read.ts'

/** A handover under way: proposals are refused until it ends. */
export interface Transfer {
  readonly to: NodeId
  readonly deadline: Millis
}

export class Leadership {
  readonly peers: readonly Progress[]
  readonly reads: LeaderReads = new LeaderReads()
  /** The entry that opened the term: once it is committed, the commit index is current. */
  readonly opening: LogIndex
  transfer: Transfer | undefined
  /** When to repeat what was not confirmed; Infinity while everybody has confirmed everything. */
  heartbeatAt: Millis = Infinity
  /** When to make sure that a majority is still there. */
  quorumAt: Millis
  readonly #byNode: ReadonlyMap<NodeId, Progress>

  constructor(peers: readonly Progress[], opening: LogIndex, quorumAt: Millis) {
    this.peers = peers
    this.#byNode = new Map(peers.map((peer) => [peer.node, peer]))
    this.opening = opening
    this.quorumAt = quorumAt
  }

  peer(node: NodeId): Progress | undefined {
    return this.#byNode.get(node)
  }
}
