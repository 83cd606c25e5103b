/** Hash sharding spreads the keys of a map evenly over the shards, whatever the keys look like. */

import { hashText } from '../base/hash.ts'

/** The shard of a key: MurmurHash3 of the key, seeded by the hash of the map's name, modulo the number of shards. Never changes. */
export function shardOf(map: string, key: string, shards: number): number {
  return hashText(key, hashText(map)) % shards
}
