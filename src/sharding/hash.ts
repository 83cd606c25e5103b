/** Hash sharding spreads keys evenly, whatever they look like; a range of keys lies in every shard. */

import { assert } from '../base/assert.ts'
import { hashText } from '../base/hash.ts'
import type { ShardId } from '../base/identity.ts'
import type { ShardingStrategy } from './strategy.ts'

/**
 * The shard of a key is the MurmurHash3 of its placement, a zero character and `key`, modulo the number of shards. The
 * placement of `name@placement` is what follows the `@`, that of any other name the name itself: what shares a
 * placement has its equal keys in the same shard. This is part of the format: data is where it says, so it never
 * changes.
 */
export class HashSharding implements ShardingStrategy {
  readonly shards: number
  readonly #all: readonly ShardId[]

  constructor(shards: number) {
    assert(Number.isSafeInteger(shards) && shards > 0, 'there is at least one shard')
    this.shards = shards
    this.#all = Array.from({ length: shards }, (_, shard) => shard as ShardId)
  }

  shardOf(map: string, key: string): ShardId {
    return (hashText(`${placementOf(map)}\0${key}`) % this.shards) as ShardId
  }

  shardsOf(): readonly ShardId[] {
    return this.#all
  }
}

function placementOf(name: string): string {
  return name.slice(name.lastIndexOf('@') + 1)
}
