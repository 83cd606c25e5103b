import { expect, test } from 'vitest'
import { configuring, House, sending } from './operations.ts'

/** A million messages, in entries of a hundred. */
function million(house: House, content: Parameters<typeof sending>[1]): void {
  const batch = Array.from({ length: 100 }, () => sending('x', content))
  for (let sent = 0; sent < 1_000_000; sent += batch.length) house.do(...batch)
}

test('with a million messages of low priority, ten of high priority are next, and the low ones keep their share', {
  timeout: 60_000,
}, () => {
  const house = new House()
  house.ok(configuring({ limit: 2_000_000 }))
  million(house, {})
  for (let n = 0; n < 10; n++) house.send('high', { priority: 9 })
  expect(house.holdAll(10)).toEqual(Array.from({ length: 10 }, () => 'high'))
  for (let n = 0; n < 1000; n++) house.send('high', { priority: 9 })
  const low = house.holdAll(1000).filter((payload) => payload === 'x').length
  expect(low).toBeGreaterThanOrEqual(10)
})

test('what falls due at once, however much it is, is done in parts that follow each other', () => {
  const house = new House()
  const delayed = Array.from({ length: 12_000 }, () => sending('x', { due: 1_000_000 }))
  house.do(...delayed)
  house.pass(1000)
  const counts = [house.stats().delayed]
  while (house.shard.dueAt <= house.ms * 1000) {
    house.do()
    counts.push(house.stats().delayed)
  }
  expect(counts).toEqual([7000, 2000, 0])
  expect(house.copy().shard.digest()).toBe(house.shard.digest())
})

test.each([
  ['key', {}],
  ['none', {}],
  ['none', { A: 10 }],
] as const)(
  'a tenant with ten messages is done within some deliveries beside one with a million (order %s, weights %j)',
  { timeout: 60_000 },
  (order, keyWeights) => {
    const house = new House()
    house.ok(configuring({ order, keyWeights, limit: 2_000_000 }))
    million(house, { key: 'A' })
    for (let n = 0; n < 10; n++) house.send('B', { key: 'B' })
    const begin = performance.now()
    const worked = house.work(10 * (1 + ('A' in keyWeights ? keyWeights.A : 1)))
    expect(performance.now() - begin).toBeLessThan(1000)
    expect(worked.filter((payload) => payload === 'B')).toHaveLength(10)
  },
)

test('a million messages stay where they are when the limits of their keys change', { timeout: 60_000 }, () => {
  const house = new House()
  house.ok(configuring({ limit: 2_000_000 }))
  million(house, { key: 'A' })
  const begin = performance.now()
  for (let keyConcurrency = 1; keyConcurrency <= 1000; keyConcurrency++) {
    house.ok(configuring({ limit: 2_000_000, order: 'none', keyConcurrency }))
  }
  // To put them in line again takes 100 ms and more each time.
  expect(performance.now() - begin).toBeLessThan(10_000)
  expect(house.holdAll(2000)).toHaveLength(1000)
})
