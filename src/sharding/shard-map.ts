/** A shard map says which group owns each shard and where its replicas are; each version of it has an epoch. */

import { required } from '../base/assert.ts'
import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { type GroupId, isNodeId, META_GROUP, type NodeId, type ShardId } from '../base/identity.ts'
import { type Placed, place } from './placement.ts'

/**
 * Invariant: every shard's group is among `groups`.
 * Invariant: groups are in ascending order, without duplicates; each has a replica, and its leader is one of them.
 */
export interface ShardMap {
  /** Grows with every change; who knows a newer one redirects who acts on an older one. */
  readonly epoch: number
  /** The group that owns each shard, by the shard's number. */
  readonly shards: readonly GroupId[]
  readonly groups: readonly Placed[]
}

const VERSION = 1
const MOST_SHARDS = 65_536
const MOST_REPLICAS = 16
const NODE_ID_BYTES = 64

/** The map of a new cluster: each shard a group of its own, numbered from 1. */
export function createShardMap(shards: number, nodes: readonly NodeId[]): ShardMap {
  const groups = Array.from({ length: shards }, (_, shard) => (META_GROUP + 1 + shard) as GroupId)
  return { epoch: 1, shards: groups, groups: place(groups, nodes) }
}

/** Where a shard lives. */
export function placementOf(map: ShardMap, shard: ShardId): Placed {
  const group = required(map.shards[shard], `shard ${shard}`)
  return required(
    map.groups.find((placed) => placed.group === group),
    `group ${group}`,
  )
}

export function encodeShardMap(map: ShardMap): Uint8Array {
  const writer = new ByteWriter()
  writer.u8(VERSION)
  writer.u53(map.epoch)
  writer.u32(map.groups.length)
  for (const { group, replicas, leader } of map.groups) {
    writer.u32(group)
    writer.u8(replicas.length)
    for (const node of replicas) writer.text(node)
    writer.u8(replicas.indexOf(leader))
  }
  writer.u32(map.shards.length)
  for (const group of map.shards) writer.u32(group)
  return writer.copy()
}

/** Throws `DATA_DAMAGED` when the bytes are no shard map. */
export function decodeShardMap(bytes: Uint8Array): ShardMap {
  const reader = new ByteReader(bytes)
  if (reader.u8() !== VERSION) throw malformed('no such version of a shard map')
  const epoch = reader.u53()
  const groups: Placed[] = []
  for (let left = boundedCount(reader, MOST_SHARDS); left > 0; left--) {
    const placed = decodePlaced(reader)
    if (placed.group <= (groups.at(-1)?.group ?? -1)) throw malformed('groups are out of order')
    groups.push(placed)
  }
  const known = new Set(groups.map(({ group }) => group))
  const shards: GroupId[] = []
  for (let left = boundedCount(reader, MOST_SHARDS); left > 0; left--) {
    const group = reader.u32() as GroupId
    if (!known.has(group)) throw malformed('a shard belongs to no group')
    shards.push(group)
  }
  if (reader.remaining > 0) throw malformed('a shard map is longer than its content')
  return { epoch, shards, groups }
}

function decodePlaced(reader: ByteReader): Placed {
  const group = reader.u32() as GroupId
  const replicas: NodeId[] = []
  for (let left = reader.u8(); left > 0; left--) {
    const node = reader.text(NODE_ID_BYTES)
    if (!isNodeId(node) || replicas.includes(node) || replicas.length >= MOST_REPLICAS)
      throw malformed('no such replica')
    replicas.push(node)
  }
  const leader = replicas[reader.u8()]
  if (leader === undefined) throw malformed('a leader is no replica')
  return { group, replicas, leader }
}

function boundedCount(reader: ByteReader, limit: number): number {
  const count = reader.u32()
  if (count > limit) throw malformed(`${count} is over the limit of ${limit}`)
  return count
}
