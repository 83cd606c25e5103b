/** A placement says which nodes hold a group's replicas, and which of them should lead. */

import { assert, required } from '../base/assert.ts'
import { hashNumber, hashText } from '../base/hash.ts'
import type { GroupId, NodeId } from '../base/identity.ts'

export interface Placed {
  readonly group: GroupId
  /** In order of preference; the first ones stay when nodes join. */
  readonly replicas: readonly NodeId[]
  /** Who should lead: one of the replicas. */
  readonly leader: NodeId
}

const FULL_REPLICAS = 3
/** Seed of the hashes that rank nodes; part of the format. */
const RENDEZVOUS = 0x7e0a9e11

/** Three where there are three nodes, otherwise one: two replicas are lost sooner than one, and survive no more. */
export function replicaCount(nodes: number): number {
  return nodes >= FULL_REPLICAS ? FULL_REPLICAS : 1
}

/**
 * Places every group on `nodes` (unique, at least one). Pure: equal arguments give equal placements on every node, in
 * whatever order they come.
 *
 * Replicas are chosen by rendezvous hashing (Thaler and Ravishankar 1998): a node that joins takes only the replicas it
 * now ranks among the first for, one that leaves gives up only its own. Leaders are spread so that no two nodes differ
 * by more than one wherever the replicas allow it.
 */
export function place(groups: readonly GroupId[], nodes: readonly NodeId[]): readonly Placed[] {
  assert(nodes.length > 0 && new Set(nodes).size === nodes.length, 'nodes are unique, and there is one')
  const count = replicaCount(nodes.length)
  const placed = groups.map((group) => draftOf(group, rank(group, nodes).slice(0, count)))
  const load = new Map(nodes.map((node) => [node, 0]))
  for (const group of placed) assignLeastLoaded(group, load)
  for (const node of [...nodes].sort()) while (relieve(node, placed, load));
  return placed
}

/** A placement while its leaders are being spread. */
interface Draft {
  readonly group: GroupId
  readonly replicas: readonly NodeId[]
  leader: NodeId
}

function draftOf(group: GroupId, replicas: readonly NodeId[]): Draft {
  return { group, replicas, leader: required(replicas[0], 'a replica') }
}

/** Nodes by the hash of node and group, the highest first. */
function rank(group: GroupId, nodes: readonly NodeId[]): readonly NodeId[] {
  const scored = nodes.map((node) => ({ node, score: hashText(node, hashNumber(group, RENDEZVOUS)) }))
  scored.sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1))
  return scored.map(({ node }) => node)
}

function assignLeastLoaded(draft: Draft, load: Map<NodeId, number>): void {
  for (const node of draft.replicas) if (loadOf(load, node) < loadOf(load, draft.leader)) draft.leader = node
  load.set(draft.leader, loadOf(load, draft.leader) + 1)
}

/**
 * Takes one lead away from `from` when a node with at least two fewer can be reached by handing leads on from node to
 * node (an augmenting path; each makes the spread more even, so it ends). False when there is none.
 */
function relieve(from: NodeId, drafts: readonly Draft[], load: Map<NodeId, number>): boolean {
  const handedBy = new Map<NodeId, Draft | undefined>([[from, undefined]])
  for (const node of handedBy.keys()) {
    if (loadOf(load, node) + 2 <= loadOf(load, from)) {
      handOn(node, handedBy)
      load.set(node, loadOf(load, node) + 1)
      load.set(from, loadOf(load, from) - 1)
      return true
    }
    for (const draft of drafts) {
      if (draft.leader !== node) continue
      for (const replica of draft.replicas) if (!handedBy.has(replica)) handedBy.set(replica, draft)
    }
  }
  return false
}

/** Walks the path back from its end: each node on it takes the lead of the group that leads to it. */
function handOn(end: NodeId, handedBy: ReadonlyMap<NodeId, Draft | undefined>): void {
  let node = end
  for (let draft = handedBy.get(node); draft !== undefined; draft = handedBy.get(node)) {
    const before = draft.leader
    draft.leader = node
    node = before
  }
}

function loadOf(load: ReadonlyMap<NodeId, number>, node: NodeId): number {
  return load.get(node) ?? 0
}
