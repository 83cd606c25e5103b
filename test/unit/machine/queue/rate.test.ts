import { expect, test } from 'vitest'
import { configuring, House } from './operations.ts'

test('the rates of keys, too, begin with one message under a new leader, also of keys that were not seen before', () => {
  const house = new House()
  house.ok(configuring({ order: 'none', keyRate: 2, keyRatePeriodMs: 1000 }))
  for (const key of ['a', 'a', 'a', 'b', 'b', 'b']) house.send(key, { key })
  const { queues } = house.shard.view
  queues.lead(house.ms * 1000)
  expect(house.work().sort()).toEqual(['a', 'b'])
  house.ms += 499
  expect(house.work()).toEqual([])
  house.ms += 1
  expect(house.work().sort()).toEqual(['a', 'b'])
})
