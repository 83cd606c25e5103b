/** The shard map says which group owns each shard and which nodes hold its replicas; every change has a later epoch. */

import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { type GroupId, isNodeId, type NodeId } from '../base/identity.ts'
import { place } from './placement.ts'

/** The replicas of a group; the first is the one that should lead. */
interface Ownership {
  readonly group: GroupId
  readonly replicas: readonly NodeId[]
}

const FORMAT = 1
const SHARDS_LIMIT = 65_536
const REPLICAS = 3

/**
 * Invariant: each shard has exactly one owner, and each owner is one of `groups`.
 */
export class ShardMap {
  readonly epoch: number
  /** The group that owns shard `s`, at place `s`. */
  readonly owners: readonly GroupId[]
  readonly #replicas: ReadonlyMap<GroupId, readonly NodeId[]>

  constructor(epoch: number, ownerships: readonly Ownership[]) {
    this.epoch = epoch
    this.owners = ownerships.map(({ group }) => group)
    this.#replicas = new Map(ownerships.map(({ group, replicas }) => [group, replicas]))
  }

  get groups(): readonly GroupId[] {
    return [...this.#replicas.keys()]
  }

  /** The one that should lead first; empty for a group that owns nothing. */
  replicasOf(group: GroupId): readonly NodeId[] {
    return this.#replicas.get(group) ?? []
  }

  encode(): Uint8Array {
    const writer = new ByteWriter()
    writer.u8(FORMAT)
    writer.u53(this.epoch)
    writer.u32(this.owners.length)
    for (const owner of this.owners) {
      const replicas = this.replicasOf(owner)
      writer.u32(owner)
      writer.u8(replicas.length)
      for (const replica of replicas) writer.text(replica)
    }
    return writer.take()
  }

  /** Throws `DATA_DAMAGED` for bytes that are no shard map. */
  static decode(bytes: Uint8Array): ShardMap {
    const reader = new ByteReader(bytes)
    if (reader.u8() !== FORMAT) throw malformed('a shard map of an unknown format')
    const epoch = reader.u53()
    const count = reader.u32()
    if (count > SHARDS_LIMIT) throw malformed('a shard map with too many shards')
    const ownerships: Ownership[] = []
    for (let shard = 0; shard < count; shard++) {
      const group = reader.u32() as GroupId
      const replicas: NodeId[] = []
      for (let left = reader.u8(); left > 0; left--) replicas.push(readNode(reader))
      ownerships.push({ group, replicas })
    }
    return new ShardMap(epoch, ownerships)
  }
}

/** The map that a cluster begins with: group `s + 1` owns shard `s`, with three replicas where there are three nodes. */
export function firstShardMap(shards: number, nodes: readonly NodeId[]): ShardMap {
  const count = nodes.length < REPLICAS ? 1 : REPLICAS
  const placed = place(shards, nodes, count)
  return new ShardMap(
    1,
    placed.map((replicas, shard) => ({ group: (shard + 1) as GroupId, replicas })),
  )
}

function readNode(reader: ByteReader): NodeId {
  const node = reader.text(64)
  if (!isNodeId(node)) throw malformed('a shard map names something that is no node')
  return node
}
