/** A placement chooses which nodes hold the replicas of each shard, so that little moves when a node comes or goes. */

import { hashText } from '../base/hash.ts'
import type { NodeId } from '../base/identity.ts'

/**
 * For each shard, `count` nodes in order of preference, the first of which should lead. Replicas by rendezvous hashing
 * (Thaler and Ravishankar, 1998); leaders are then spread so that no node leads two more than another where its replicas
 * allow.
 */
export function place(shards: number, nodes: readonly NodeId[], count: number): readonly (readonly NodeId[])[] {
  const led = new Map<NodeId, number>(nodes.map((node) => [node, 0]))
  return Array.from({ length: shards }, (_, shard) => {
    const replicas = ranked(shard, nodes).slice(0, count)
    const leader = replicas.reduce((best, node) => ((led.get(node) ?? 0) < (led.get(best) ?? 0) ? node : best))
    led.set(leader, (led.get(leader) ?? 0) + 1)
    return [leader, ...replicas.filter((node) => node !== leader)]
  })
}

function ranked(shard: number, nodes: readonly NodeId[]): NodeId[] {
  const scored = nodes.map((node) => ({ node, score: hashText(`${shard} ${node}`) }))
  return scored.sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1)).map(({ node }) => node)
}
