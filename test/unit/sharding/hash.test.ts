import { describe, expect, test } from 'vitest'
import { HashSharding } from '../../../src/sharding/hash.ts'

describe('HashSharding', () => {
  const sharding = new HashSharding(16)

  test('puts keys where it always did, because the data is there', () => {
    const keys = ['ann', 'bob', '', 'größe', '🙂', 'a key that is longer than the rest of them']
    expect(keys.map((key) => sharding.shardOf('users', key))).toMatchInlineSnapshot(`
      [
        10,
        6,
        9,
        0,
        8,
        0,
      ]
    `)
  })

  test('spreads keys evenly', () => {
    const counts = Array.from({ length: 16 }, () => 0)
    for (let key = 0; key < 16_000; key++) {
      const shard = sharding.shardOf('users', `user-${key}`)
      counts[shard] = (counts[shard] ?? 0) + 1
    }
    expect(Math.min(...counts)).toBeGreaterThan(850)
    expect(Math.max(...counts)).toBeLessThan(1150)
  })

  test('tells apart a map and a key however they are joined', () => {
    const wide = new HashSharding(1_000_003)
    expect(wide.shardOf('ab', 'c')).not.toBe(wide.shardOf('a', 'bc'))
  })

  test('looks for a range in every shard', () => {
    expect(sharding.shardsOf()).toEqual(Array.from({ length: 16 }, (_, shard) => shard))
  })
})
