import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTroupeError } from '../../../src/base/error.ts'
import type { NodeId, ShardId } from '../../../src/base/identity.ts'
import { createShardMap, decodeShardMap, encodeShardMap, placementOf } from '../../../src/sharding/shard-map.ts'

const nodes = ['a', 'b', 'c'] as NodeId[]

describe('a shard map', () => {
  test('gives each shard a group of its own, and none the meta group', () => {
    const map = createShardMap(16, nodes)
    expect(map.shards).toEqual(Array.from({ length: 16 }, (_, shard) => shard + 1))
    expect(placementOf(map, 3 as ShardId).replicas).toHaveLength(3)
  })

  test('reads as it was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 }), (shards, count) => {
        const map = createShardMap(shards, nodes.slice(0, count))
        expect(decodeShardMap(encodeShardMap(map))).toEqual(map)
      }),
    )
  })

  test('meets damaged bytes with DATA_DAMAGED or another map', () => {
    const bytes = encodeShardMap(createShardMap(4, nodes))
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(9), (at, value, cut) => {
        const damaged = bytes.slice(0, bytes.length - cut)
        if (at < damaged.length) damaged[at] = value
        expect(['read', 'DATA_DAMAGED']).toContain(outcomeOf(damaged))
      }),
    )
  })
})

function outcomeOf(bytes: Uint8Array): string {
  try {
    const map = decodeShardMap(bytes)
    for (let shard = 0; shard < map.shards.length; shard++) placementOf(map, shard as ShardId)
    return 'read'
  } catch (error) {
    return isTroupeError(error) ? error.code : String(error)
  }
}
