/** A strategy says which shard a key belongs to: the same on every node and in every client. */

import type { ShardId } from '../base/identity.ts'

/** Shards are numbered from 0 to `shards - 1`. */
export interface ShardingStrategy {
  readonly shards: number
  shardOf(map: string, key: string): ShardId
  /** The shards that can hold keys in [from, until) of a map, in ascending order; an `until` of `''` means to the end. */
  shardsOf(map: string, from: string, until: string): readonly ShardId[]
}
