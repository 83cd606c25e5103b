/** The topology is what a driver needs to reach a key's leader: the nodes, the groups' replicas, and who leads now. */

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import { malformed } from '../base/bytes.ts'

export interface TopologyNode {
  readonly node: string
  /** `host:port`; `''` when it takes no connections. */
  readonly address: string
}

export interface TopologyGroup {
  readonly group: number
  readonly replicas: readonly string[]
  /** As far as the sender knows; `''` when nobody leads. */
  readonly leader: string
  readonly term: number
}

/** Shard `s` of the key space is owned by the group at place `s` of `shards`. */
export interface Topology {
  readonly cluster: string
  /** Grows with every change of ownership; a change of leader alone leaves it. 0 while the cluster is not formed. */
  readonly epoch: number
  /** The node that sends this. */
  readonly self: string
  readonly nodes: readonly TopologyNode[]
  readonly groups: readonly TopologyGroup[]
  readonly shards: readonly number[]
  readonly durability: 'disk' | 'os' | 'memory'
}

const DURABILITIES = ['disk', 'os', 'memory'] as const
const COUNT_LIMIT = 65_536

export function writeTopology(writer: ByteWriter, topology: Topology): void {
  writer.text(topology.cluster)
  writer.u53(topology.epoch)
  writer.text(topology.self)
  writer.u8(DURABILITIES.indexOf(topology.durability))
  writer.u32(topology.nodes.length)
  for (const node of topology.nodes) {
    writer.text(node.node)
    writer.text(node.address)
  }
  writer.u32(topology.groups.length)
  for (const group of topology.groups) {
    writer.u32(group.group)
    writer.text(group.leader)
    writer.u53(group.term)
    writer.u32(group.replicas.length)
    for (const replica of group.replicas) writer.text(replica)
  }
  writer.u32(topology.shards.length)
  for (const group of topology.shards) writer.u32(group)
}

export function readTopology(reader: ByteReader): Topology {
  const cluster = reader.text()
  const epoch = reader.u53()
  const self = reader.text()
  const durability = DURABILITIES[reader.u8()]
  if (durability === undefined) throw malformed('a topology has an unknown durability')
  const nodes = list(reader, () => ({ node: reader.text(), address: reader.text() }))
  const groups = list(reader, () => ({
    group: reader.u32(),
    leader: reader.text(),
    term: reader.u53(),
    replicas: list(reader, () => reader.text()),
  }))
  return { cluster, epoch, self, durability, nodes, groups, shards: list(reader, () => reader.u32()) }
}

function list<Item>(reader: ByteReader, read: () => Item): Item[] {
  const count = reader.u32()
  if (count > COUNT_LIMIT || count > reader.remaining) throw malformed('a list is longer than its frame')
  const items: Item[] = []
  for (let at = 0; at < count; at++) items.push(read())
  return items
}
