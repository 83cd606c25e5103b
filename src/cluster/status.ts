/** The status of a cluster as one node sees it, for people and for drivers. */

import { ByteWriter } from '../base/bytes.ts'
import { type GroupId, META_GROUP } from '../base/identity.ts'
import { type TopologyGroup, writeTopology } from '../wire/topology.ts'
import type { Groups } from './groups.ts'
import type { Leaders } from './leaders.ts'
import type { NodeLiveness } from './liveness.ts'
import type { NodeSettings } from './settings.ts'

export interface NodeView {
  readonly settings: Pick<NodeSettings, 'cluster' | 'node' | 'durability'>
  /** Where each member was last known to listen. */
  readonly addresses: ReadonlyMap<string, string>
  /** How often each member has started, as far as it has said. */
  readonly generations: ReadonlyMap<string, number>
  readonly mended: number
  readonly groups: Groups
  readonly leaders: Leaders
  readonly liveness: NodeLiveness
}

export interface NodeStatus {
  readonly cluster: string
  readonly answeredBy: string
  /** What all members have agreed that they can execute: it rises when the last one has been upgraded. */
  readonly level: number
  /** Pieces of large payloads that the answering node's disk had damaged, and that came back from another replica. */
  readonly mendedPieces: number
  readonly members: readonly {
    readonly node: string
    readonly address: string
    readonly state: 'up' | 'down'
    readonly generation: number
  }[]
  readonly groups: readonly {
    readonly group: number
    readonly shard: number | 'meta'
    readonly leader: string | undefined
    readonly term: number
    readonly replicas: readonly string[]
    readonly commitIndex: number
    readonly appliedIndex: number
    readonly lastIndex: number
  }[]
}

export function statusOf(view: NodeView): NodeStatus {
  const { settings, groups, liveness } = view
  const members = groups.members.map((node) => ({
    node,
    address: view.addresses.get(node) ?? '',
    state: node === settings.node || liveness.isConnected(node) ? ('up' as const) : ('down' as const),
    generation: view.generations.get(node) ?? 0,
  }))
  return {
    cluster: settings.cluster,
    answeredBy: settings.node,
    level: groups.level,
    mendedPieces: view.mended,
    members,
    groups: groupIds(groups).map((id) => groupStatus(view, id)),
  }
}

/** The bytes of a `REPLY.topology`. */
export function topologyOf(view: NodeView): Uint8Array {
  const { settings, groups } = view
  const writer = new ByteWriter(1024)
  writeTopology(writer, {
    cluster: settings.cluster,
    epoch: groups.shardMap?.epoch ?? 0,
    self: settings.node,
    nodes: groups.members.map((node) => ({ node, address: view.addresses.get(node) ?? '' })),
    groups: groupIds(groups).map((id) => groupTopology(view, id)),
    shards: groups.shardMap?.shards ?? [],
    durability: settings.durability,
  })
  return writer.take()
}

function groupIds(groups: Groups): readonly GroupId[] {
  return groups.members.length === 0 ? [] : [META_GROUP, ...(groups.shardMap?.groups ?? []).map(({ group }) => group)]
}

function groupTopology({ groups, leaders }: NodeView, id: GroupId): TopologyGroup {
  const term = groups.get(id)?.core.term ?? 0
  return { group: id, replicas: groups.placed(id)?.replicas ?? [], leader: leaders.leaderOf(id) ?? '', term }
}

function groupStatus({ groups, leaders }: NodeView, id: GroupId): NodeStatus['groups'][number] {
  const group = groups.get(id)
  return {
    group: id,
    shard: id === META_GROUP ? 'meta' : (groups.shardMap?.shards.indexOf(id) ?? 0),
    leader: leaders.leaderOf(id),
    term: group?.core.term ?? 0,
    replicas: groups.placed(id)?.replicas ?? [],
    commitIndex: group?.core.commit ?? 0,
    appliedIndex: group?.applied.index ?? 0,
    lastIndex: group?.core.last.index ?? 0,
  }
}
