import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ValueCodec } from '../../../src/base/codec.ts'
import { TroupeError } from '../../../src/base/error.ts'
import type { MapDefinition, TroupeMap } from '../../../src/data/map.ts'
import { defineMap } from '../../../src/data/map.ts'
import { MapHandle } from '../../../src/data/map-handle.ts'
import type { StandardSchema } from '../../../src/data/schema.ts'
import type { Driver, KeyValueFacet } from '../../../src/driver/contract.ts'
import { memoryDriver } from '../../../src/driver/memory/memory.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'

const codec = new ValueCodec()
const ending = new AbortController().signal
const clock = { now: () => 0, wallTime: () => 0 }
const counted = defineMap<number>('counted')

function handleOf<Value, Input>(
  definition: MapDefinition<Value, Input>,
  driver: Driver = memoryDriver(),
  overrides: Partial<KeyValueFacet> = {},
): TroupeMap<Value, Input> {
  const { keyValue } = driver
  const store: KeyValueFacet = {
    get: keyValue.get.bind(keyValue),
    set: keyValue.set.bind(keyValue),
    delete: keyValue.delete.bind(keyValue),
    scan: keyValue.scan.bind(keyValue),
    watch: keyValue.watch.bind(keyValue),
    ...overrides,
  }
  return new MapHandle(definition, { store, codec, clock, scheduler: new EventQueue(), ending })
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = []
  for await (const item of items) collected.push(item)
  return collected
}

describe('values', () => {
  test('come back as they were written, whatever structured clone can carry', async () => {
    const map = handleOf(defineMap('any'))
    const values = [
      null,
      0,
      1n << 80n,
      '',
      'é😀',
      [1, [2]],
      { a: { b: [] } },
      new Date(7),
      new Map([[{ k: 1 }, new Set([1])]]),
    ]
    for (const value of values) {
      await map.set('key', value)
      expect((await map.get('key'))?.value).toEqual(value)
    }
  })

  test('are refused before anything is sent: undefined, what cannot be carried, what is too large', async () => {
    const map = handleOf(defineMap('any'))
    await expect(map.set('key', undefined)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(map.set('key', () => 1)).rejects.toMatchObject({ code: 'UNSERIALIZABLE' })
    await expect(map.set('key', Promise.resolve(1))).rejects.toMatchObject({ code: 'UNSERIALIZABLE' })
    await expect(map.set('key', new Uint8Array(1024 * 1024 + 1))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(await map.get('key')).toBeUndefined()
  })
})

describe('a call', () => {
  const map = handleOf(counted)
  const unknown = { retries: 3 } as object

  test('refuses options it does not know, by a rejection, or at once where it returns an iterable', async () => {
    const coded = { code: 'INVALID_ARGUMENT', message: expect.stringContaining("knows no option 'retries'") }
    await expect(map.get('a', unknown)).rejects.toMatchObject(coded)
    await expect(map.set('a', 1, unknown)).rejects.toMatchObject(coded)
    await expect(map.delete('a', unknown)).rejects.toMatchObject(coded)
    await expect(map.update('a', () => 1, unknown)).rejects.toMatchObject(coded)
    expect(() => map.scan(unknown)).toThrow(expect.objectContaining(coded))
    expect(() => map.watch(unknown)).toThrow(expect.objectContaining(coded))
    expect(() => map.watch({ range: { form: 'a' } as object })).toThrow("did you mean 'from'?")
  })

  test.each([
    ['timeout', { timeout: 0 }],
    ['timeout', { timeout: Number.NaN }],
    ['timeout', { timeout: 2 ** 31 }],
    ['timeout', { timeout: '5' as unknown as number }],
    ['signal', { signal: {} as AbortSignal }],
    ['read', { read: 'eventual' as 'local' }],
    ['read', { read: { maxStalenessMs: -1 } }],
  ])('refuses a %s that is none: %o', async (name, options) => {
    const coded = { code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) }
    await expect(map.get('a', options)).rejects.toMatchObject(coded)
  })

  test('refuses a condition that is no bigint', async () => {
    for (const ifRevision of [0, -1n, '1']) {
      const options = { ifRevision: ifRevision as bigint }
      await expect(map.set('a', 1, options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    }
  })

  test('whose signal has aborted already reaches no driver and rejects with the reason', async () => {
    const unreachable = (): never => expect.unreachable('the driver was called')
    const untouched = handleOf(counted, memoryDriver(), { get: unreachable, set: unreachable, delete: unreachable })
    const reason = new Error('too late')
    const options = { signal: AbortSignal.abort(reason) }
    await expect(untouched.get('a', options)).rejects.toBe(reason)
    await expect(untouched.set('a', 1, options)).rejects.toBe(reason)
    await expect(untouched.delete('a', options)).rejects.toBe(reason)
    await expect(untouched.update('a', () => 1, options)).rejects.toBe(reason)
  })
})

describe('a schema', () => {
  const User = z.object({ name: z.string().trim().min(1), visits: z.number().default(0) })
  const users = defineMap('users', { schema: User })

  test('stores what the schema makes of the value', async () => {
    const map = handleOf(users)
    await map.set('ann', { name: ' Ann ' })
    expect((await map.get('ann'))?.value).toEqual({ name: 'Ann', visits: 0 })
  })

  test('refuses a value that does not fit, with the place of every issue', async () => {
    const map = handleOf(users)
    const bad = { name: '', visits: 'many' } as unknown as { name: string }
    await expect(map.set('ann', bad)).rejects.toMatchObject({
      code: 'VALIDATION',
      details: { issues: [{ path: ['name'] }, { path: ['visits'] }] },
    })
    expect(await map.get('ann')).toBeUndefined()
  })

  test('refuses a stored value that no longer fits, in get, scan and watch, and names its key', async () => {
    const driver = memoryDriver()
    await driver.keyValue.set('users', 'old', codec.encode({ title: 'Dr' }), {})
    const map = handleOf(users, driver)
    const coded = { code: 'VALIDATION', message: expect.stringContaining("'old'") }
    await expect(map.get('old')).rejects.toMatchObject(coded)
    await expect(collect(map.scan())).rejects.toMatchObject(coded)
    await expect(collect(map.watch({ from: 0n }))).rejects.toMatchObject(coded)
  })

  test('may be asynchronous', async () => {
    const later: StandardSchema<string> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value) => (value === 'good' ? { value } : { issues: [{ message: 'not good' }] }),
      },
    }
    const map = handleOf(defineMap('later', { schema: later }))
    await map.set('a', 'good')
    expect((await map.get('a'))?.value).toBe('good')
    expect((await map.update('a', (value) => value ?? 'none')).value).toBe('good')
    expect((await collect(map.scan())).map(({ value }) => value)).toEqual(['good'])
    await expect(map.set('a', 'bad')).rejects.toMatchObject({ code: 'VALIDATION' })
  })
})

describe('update', () => {
  test('starts from undefined, goes on from what is there, and gives what it stored', async () => {
    const map = handleOf(counted)
    expect((await map.update('n', (n = 0) => n + 1)).value).toBe(1)
    const second = await map.update('n', async (n = 0) => n + 1)
    expect(second).toEqual({ ...(await map.get('n')), value: 2 })
  })

  test('of many at once each takes effect exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 20 }), async (amounts) => {
        const map = handleOf(counted)
        await Promise.all(amounts.map((amount) => map.update('n', (n = 0) => n + amount)))
        expect((await map.get('n'))?.value ?? 0).toBe(amounts.reduce((sum, amount) => sum + amount, 0))
      }),
    )
  })

  test('ends with what the function throws, and changes nothing', async () => {
    const map = handleOf(counted)
    await map.set('n', 1)
    const mine = new Error('mine')
    const attempt = map.update('n', () => {
      throw mine
    })
    await expect(attempt).rejects.toBe(mine)
    expect((await map.get('n'))?.value).toBe(1)
  })

  test('refuses a forgotten return, so that it can erase nothing', async () => {
    const map = handleOf(counted)
    await map.set('n', 1)
    const forgetful = (() => undefined) as unknown as () => number
    await expect(map.update('n', forgetful)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await map.get('n'))?.value).toBe(1)
  })

  test('ends with TIMEOUT when rivals win for as long as it may take, and says which conflict was the last', async () => {
    let now = 0
    const { keyValue } = memoryDriver()
    const parts = { store: keyValue, codec, scheduler: new EventQueue(), ending }
    const map = new MapHandle(counted, { ...parts, clock: { now: () => now, wallTime: () => 0 } })
    const attempt = map.update(
      'n',
      async () => {
        now += 400
        await keyValue.set('counted', 'n', codec.encode(-1), {})
        return 1
      },
      { timeout: 1000 },
    )
    await expect(attempt).rejects.toMatchObject({ code: 'TIMEOUT', cause: { code: 'CONFLICT' } })
    expect((await map.get('n'))?.value).toBe(-1)
  })

  test('does not go on when the outcome of its write is unknown', async () => {
    const unknown = new TroupeError('OUTCOME_UNKNOWN', 'no answer', { details: { operationId: '7' } })
    const map = handleOf(counted, memoryDriver(), { set: () => Promise.reject(unknown) })
    await expect(map.update('n', () => 1)).rejects.toBe(unknown)
  })
})

describe('scan', () => {
  const keys = ['a', 'b/1', 'b/2', 'b\u{10ffff}', 'c']
  async function filled(): Promise<TroupeMap<number>> {
    const map = handleOf(counted)
    for (const [at, key] of keys.entries()) await map.set(key, at)
    return map
  }

  test('yields keys, decoded values and revisions in key order', async () => {
    const entries = await collect((await filled()).scan())
    expect(entries.map(({ key, value }) => [key, value])).toEqual(keys.map((key, at) => [key, at]))
  })

  test('selects by prefix or by range, from either end, up to a limit', async () => {
    const map = await filled()
    const keysOf = async (options: Parameters<typeof map.scan>[0]): Promise<string[]> =>
      (await collect(map.scan(options))).map(({ key }) => key)
    expect(await keysOf({ prefix: 'b' })).toEqual(['b/1', 'b/2', 'b\u{10ffff}'])
    expect(await keysOf({ prefix: 'b/' })).toEqual(['b/1', 'b/2'])
    expect(await keysOf({ from: 'b/2' })).toEqual(['b/2', 'b\u{10ffff}', 'c'])
    expect(await keysOf({ until: 'b/2' })).toEqual(['a', 'b/1'])
    expect(await keysOf({ reverse: true, limit: 2 })).toEqual(['c', 'b\u{10ffff}'])
    expect(await keysOf({ limit: 0 })).toEqual([])
  })

  test('refuses a prefix beside a range, and a limit that is none', () => {
    const map = handleOf(counted)
    expect(() => map.scan({ prefix: 'a', from: 'b' })).toThrow('either a prefix or a range')
    for (const limit of [-1, 1.5, Number.NaN, '3' as unknown as number]) {
      expect(() => map.scan({ limit })).toThrow('limit is a whole number')
    }
  })

  test('can be walked again from the start', async () => {
    const scan = (await filled()).scan()
    expect(await collect(scan)).toEqual(await collect(scan))
  })
})

describe('watch', () => {
  test('shows decoded changes with cursors that go on right after them', async () => {
    const map = handleOf(counted)
    const { revision } = await map.set('a', 0)
    await map.set('a', 1)
    await map.delete('a')
    const first = map.watch({ from: revision })[Symbol.asyncIterator]()
    const set = (await first.next()).value
    expect(set).toMatchObject({ type: 'set', key: 'a', value: 1 })
    const second = map.watch({ from: set.cursor })[Symbol.asyncIterator]()
    expect((await second.next()).value).toMatchObject({ type: 'delete', key: 'a' })
  })

  test('selects by prefix or range', async () => {
    const map = handleOf(counted)
    for (const key of ['a', 'b/1', 'c']) await map.set(key, 0)
    const byPrefix = map.watch({ prefix: 'b/', from: 0n })[Symbol.asyncIterator]()
    const byRange = map.watch({ range: { from: 'b/2' }, from: 0n })[Symbol.asyncIterator]()
    expect((await byPrefix.next()).value.key).toBe('b/1')
    expect((await byRange.next()).value.key).toBe('c')
  })

  test('ends in the middle of waiting when its consumer leaves or its signal aborts', async () => {
    const map = handleOf(counted)
    const left = map.watch()[Symbol.asyncIterator]()
    const waiting = left.next()
    await left.return?.()
    expect((await waiting).done).toBe(true)

    const controller = new AbortController()
    const loop = collect(map.watch({ signal: controller.signal }))
    controller.abort('enough')
    await expect(loop).rejects.toBe('enough')
  })

  test('refuses a position that is none', () => {
    expect(() => handleOf(counted).watch({ from: 5 as unknown as bigint })).toThrow('from is a revision')
  })
})
