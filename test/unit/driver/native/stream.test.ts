import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TroupeError } from '../../../../src/base/error.ts'
import type { Change, ScannedEntry } from '../../../../src/driver/contract.ts'
import { Cursor, readCursor } from '../../../../src/driver/native/stream/cursor.ts'
import { OPERATION } from '../../../../src/wire/request.ts'
import { text, World } from './world.ts'

const WHOLE = { from: '', until: '' }
const FORWARD = { reverse: false, limit: Number.POSITIVE_INFINITY }

async function take(watch: AsyncIterator<Change>, count: number): Promise<Change[]> {
  const taken: Change[] = []
  while (taken.length < count) taken.push((await watch.next()).value)
  return taken
}

async function keysOf(entries: AsyncIterable<ScannedEntry>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

const rejectionOf = (promise: Promise<unknown>): Promise<TroupeError> =>
  promise.then(
    () => {
      throw new Error('resolved')
    },
    (error: TroupeError) => error,
  )

describe('a scan', () => {
  test('merges many pages of all shards in order, either way', async () => {
    const world = new World({ shards: 3 })
    const { keyValue } = world.driver()
    const keys = Array.from({ length: 5000 }, (_, at) => `key-${String(at).padStart(5, '0')}`)
    await world.time.until(Promise.all(keys.map((key) => keyValue.set('m', key, text(key), {}))))
    expect(await world.time.until(keysOf(keyValue.scan('m', WHOLE, FORWARD)))).toEqual(keys)
    const backwards = keysOf(keyValue.scan('m', WHOLE, { ...FORWARD, reverse: true }))
    expect(await world.time.until(backwards)).toEqual(keys.toReversed())
    const some = keysOf(
      keyValue.scan('m', { from: keys[100] ?? '', until: keys[3000] ?? '' }, { ...FORWARD, limit: 7 }),
    )
    expect(await world.time.until(some)).toEqual(keys.slice(100, 107))
  })

  test('of local answers needs no leader', async () => {
    const world = new World()
    const { keyValue } = world.driver()
    await world.time.until(keyValue.set('m', 'a', text('1'), {}))
    world.leaders = world.leaders.map(() => '')
    expect(await world.time.until(keysOf(keyValue.scan('m', WHOLE, { ...FORWARD, read: 'local' })))).toEqual(['a'])
  })

  test('that is left while pages are under way leaves no rejection behind', async () => {
    const world = new World()
    world.conduct = () => 'not-leader'
    const controller = new AbortController()
    const entries = world.driver().keyValue.scan('m', WHOLE, { ...FORWARD, signal: controller.signal })
    const first = rejectionOf(entries[Symbol.asyncIterator]().next())
    await world.time.advance(50)
    controller.abort(new Error('enough'))
    expect((await world.time.until(first)).message).toBe('enough')
  })
})

describe('a watch', () => {
  test('goes on at another node, without gap or repetition, when nodes move it, cut it or die', async () => {
    for (const fault of ['move', 'cut', 'crash'] as const) {
      const world = new World({ nodes: 3, direct: true, shards: 3 })
      const { keyValue } = world.driver()
      const watch = keyValue.watch('m', WHOLE, {})[Symbol.asyncIterator]()
      const seen = take(watch, 300)
      for (let round = 0; round < 10; round++) {
        await world.time.advance(20)
        const keys = Array.from({ length: 30 }, (_, at) => `${round}-${at}`)
        await world.time.until(Promise.all(keys.map((key) => keyValue.set('m', key, text(key), {}))))
        const engine = world.engines[round % 3]
        for (const other of world.engines) other.isUp = true
        engine?.[fault]()
        world.elect(`n${((round + 1) % 3) + 1}`)
      }
      const changes = await world.time.until(seen)
      const keys = changes.map(({ key }) => key)
      expect(new Set(keys).size).toBe(300)
      await world.time.until(Promise.resolve(watch.return?.()))
      await world.time.settle()
      expect(world.watches.size).toBe(0)
    }
  })

  test('stands in all shards before its first change is shown', async () => {
    const world = new World({ shards: 4 })
    const { keyValue } = world.driver()
    await world.time.until(keyValue.get('m', 'a', {}))
    world.conduct = (_, { operation, group }) =>
      operation === OPERATION.watch && group === 4 ? 'not-leader' : 'answer'
    let isShown = false
    const watch = keyValue.watch('m', WHOLE, {})[Symbol.asyncIterator]()
    const first = watch.next().then((result) => {
      isShown = true
      return result
    })
    const keys = Array.from({ length: 50 }, (_, at) => `${at}`)
    await world.time.until(Promise.all(keys.map((key) => keyValue.set('m', key, text('1'), {}))))
    expect(isShown).toBe(false)
    world.conduct = () => 'answer'
    expect((await world.time.until(first)).done).toBe(false)
  })

  test('receives no more than its room while its consumer is slow, and everything in the end', async () => {
    const world = new World({ shards: 1 })
    const { keyValue } = world.driver()
    const watch = keyValue.watch('m', WHOLE, {})[Symbol.asyncIterator]()
    const first = watch.next()
    const value = new Uint8Array(64 * 1024)
    for (let at = 0; at < 60; at++) await world.time.until(keyValue.set('m', `${at}`, value, {}))
    const credit = [...world.watches][0]?.credit ?? Number.NaN
    expect(credit).toBeGreaterThan(-128 * 1024)
    expect(credit).toBeLessThanOrEqual(0)
    const rest = await world.time.until(take(watch, 59))
    expect([(await first).value, ...rest].map(({ key }) => key)).toEqual(Array.from({ length: 60 }, (_, at) => `${at}`))
  })

  test('ends with COMPACTED, after what had arrived, when it is too far behind', async () => {
    const world = new World({ shards: 1 })
    const { keyValue } = world.driver()
    const { revision } = await world.time.until(keyValue.set('m', 'a', text('1'), {}))
    const chunks = [...(world.shards[0]?.freeze().chunks() ?? [])].map((chunk) => chunk.slice())
    world.shards[0]?.restore(chunks)
    const watch = keyValue.watch('m', WHOLE, { from: revision - 1n })[Symbol.asyncIterator]()
    expect(await world.time.until(rejectionOf(watch.next()))).toMatchObject({
      code: 'COMPACTED',
      details: { shard: 0 },
    })
    expect((await watch.next()).done).toBe(true)
  })

  test('begun before the topology is known stands once it is', async () => {
    const world = new World()
    world.epoch = 0
    const { keyValue } = world.driver()
    const watch = keyValue.watch('m', WHOLE, { from: 0n })[Symbol.asyncIterator]()
    const first = watch.next()
    await world.time.advance(20_000)
    world.epoch = 1
    world.engines[0]?.publish()
    await world.time.until(keyValue.set('m', 'a', text('1'), {}))
    expect((await world.time.until(first)).value.key).toBe('a')
  })

  test('whose cursor is of a cluster with other shards is refused', async () => {
    const world = new World({ shards: 4 })
    const { keyValue } = world.driver()
    for (const from of ['w1.1.2', 'w1', '', 'w1.1.2.3.zzzzzzzzzzz', 'w2.1.2.3.4', `w1${'.1'.repeat(100_000)}`]) {
      const watch = keyValue.watch('m', WHOLE, { from })[Symbol.asyncIterator]()
      expect((await world.time.until(rejectionOf(watch.next()))).code).toBe('INVALID_ARGUMENT')
    }
  })
})

describe('a cursor', () => {
  test('reads back as the positions it was made of', () => {
    const positions = fc.array(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 64 })
    fc.assert(
      fc.property(positions, (all) => {
        expect(readCursor(new Cursor(all).toString())).toEqual(all)
      }),
    )
  })
})
