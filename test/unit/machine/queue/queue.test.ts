import { describe, expect, test } from 'vitest'
import {
  acknowledging,
  configuring,
  House,
  lapsing,
  pausing,
  rejecting,
  releasing,
  retrying,
  sending,
} from './operations.ts'

describe('a queue', () => {
  test('gives each message to one consumer, oldest first, until it is acknowledged', () => {
    const house = new House()
    house.send('a')
    house.send('b')
    const first = house.hold()
    expect(first?.payload).toBe('a')
    expect(house.hold()?.payload).toBe('b')
    expect(house.hold()).toBeUndefined()
    expect(house.do(acknowledging(first?.id ?? 0))[0]?.status).toBe('ok')
    expect(house.do(acknowledging(first?.id ?? 0))[0]?.status).toBe('absent')
    expect(house.stats()).toMatchObject({ waiting: 0, leased: 1, dead: 0 })
  })

  test('makes a delayed message wait for its time, and no other for it', () => {
    const house = new House()
    house.send('late', { key: 'k', due: 30_000_000 })
    house.send('early', { key: 'k' })
    expect(house.work()).toEqual(['early'])
    expect(house.shard.dueAt).toBe(house.ms * 1000 + 30_000_000)
    house.pass(29_999)
    expect(house.stats()).toMatchObject({ waiting: 0, delayed: 1 })
    expect(house.hold()).toBeUndefined()
    house.pass(1)
    expect(house.work()).toEqual(['late'])
  })

  test('has a key wait for its failed message only while it is kept, whenever that is decided', () => {
    const house = new House()
    for (const payload of ['a1', 'a2', 'a3']) house.send(payload, { key: 'a' })
    house.ok(retrying(house.hold()?.id ?? 0, 1000))
    expect(house.hold()).toBeUndefined()
    house.ok(configuring({ order: 'none' }))
    expect(house.hold()?.payload).toBe('a2')
    house.ok(configuring({}))
    house.shard.view.queues.unholdAll()
    expect(house.hold()).toBeUndefined()
    house.pass(1000)
    expect(house.work()).toEqual(['a1', 'a2', 'a3'])
  })

  test('delivers again what came back, and counts', () => {
    const house = new House()
    const id = house.send('a')
    expect(house.hold()).toMatchObject({ id, attempts: 0 })
    house.ok(retrying(id, 1000, 'broken'))
    expect(house.hold()).toBeUndefined()
    house.pass(1000)
    expect(house.hold()).toMatchObject({ id, attempts: 1 })
    house.ok(releasing(id))
    expect(house.hold()).toMatchObject({ id, attempts: 1 })
    house.ok(lapsing(id, 1))
    expect(house.do(lapsing(id, 1))[0]?.status).toBe('conflict')
    expect(house.hold()).toMatchObject({ id, attempts: 2 })
  })

  test('keeps the order of a key through a retry, while other keys go on', () => {
    const house = new House()
    for (const payload of ['A', 'B', 'C']) house.send(payload, { key: 'k' })
    for (const payload of ['x', 'y']) house.send(payload, { key: 'other' })
    const first = house.hold()
    expect(first?.payload).toBe('A')
    house.ok(retrying(first?.id ?? 0, 5000))
    expect(house.work()).toEqual(['x', 'y'])
    house.pass(5000)
    expect(house.work()).toEqual(['A', 'B', 'C'])
  })

  test('puts a message that nobody wants back to where it was', () => {
    const house = new House()
    const ids = ['a', 'b', 'c', 'd'].map((payload) => house.send(payload))
    house.holdAll(3)
    for (const id of [ids[1], ids[0], ids[2]]) house.unhold(id ?? 0)
    expect(house.holdAll()).toEqual(['a', 'b', 'c', 'd'])
    house.shard.view.queues.unholdAll()
    expect(house.work()).toEqual(['a', 'b', 'c', 'd'])
  })

  test('gives nothing while it is paused', () => {
    const house = new House()
    house.send('a')
    house.ok(pausing(true))
    expect(house.hold()).toBeUndefined()
    house.ok(pausing(false))
    expect(house.hold()?.payload).toBe('a')
  })

  test('goes on from a snapshot as if nothing had been', () => {
    const house = new House()
    house.ok(configuring({ maxAttempts: 2, deadKeepMs: 60_000 }))
    for (let n = 0; n < 3; n++) house.send(`k${n}`, { key: 'k', headers: Uint8Array.of(1, 2), priority: n })
    house.send('later', { due: 1_000_000, expires: 9_000_000, deduplication: 'd', windowMs: 100_000 })
    const id = house.hold()?.id ?? 0
    house.ok(retrying(id, 100, 'first'))
    const other = house.send('other')
    house.ok(rejecting(other, 'no'))
    const copy = house.copy()
    expect(copy.shard.digest()).toBe(house.shard.digest())
    for (const one of [house, copy]) {
      expect(one.do(sending('again', { deduplication: 'd' }))[0]?.status).toBe('duplicate')
      one.pass(1000)
    }
    expect(copy.shard.digest()).toBe(house.shard.digest())
    expect(copy.work()).toEqual(house.work())
    expect(copy.shard.digest()).toBe(house.shard.digest())
    expect(copy.shard.dueAt).toBe(house.shard.dueAt)
  })
})
