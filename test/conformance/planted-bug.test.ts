import { describe, expect, test } from 'vitest'
import { TroupeError } from '../../src/base/error.ts'
import { keyValueConformance } from '../../src/driver/conformance/key-value.ts'
import type { Change, Driver, KeyValueFacet, ScannedEntry, StoredValue } from '../../src/driver/contract.ts'
import { memoryDriver } from '../../src/driver/memory/memory.ts'

/** The facet as functions that need no `this`. */
type Calls = {
  readonly [Name in keyof KeyValueFacet]: (...call: Parameters<KeyValueFacet[Name]>) => ReturnType<KeyValueFacet[Name]>
}

/** Calls that replace those of a sound facet. */
type Bug = (sound: Calls) => Partial<Calls>

/** Each lives in some engine's client, or did. */
const BUGS: Readonly<Record<string, Bug>> = {
  'the condition is ignored': ({ set }) => ({
    set: (map, key, value, options) => set(map, key, value, without(options, 'ifRevision')),
  }),
  'a delete ignores the condition': (sound) => ({
    delete: (map, key, options) => sound.delete(map, key, without(options, 'ifRevision')),
  }),
  'a condition is checked before the write, not with it': ({ get, set }) => ({
    set: async (map, key, value, { ifRevision, ...rest }) => {
      const { revision = 0n } = (await get(map, key, {})) as Partial<StoredValue>
      if (ifRevision !== undefined && ifRevision !== revision)
        throw new TroupeError('CONFLICT', '', { details: { revision } })
      return set(map, key, value, rest)
    },
  }),
  'a conflict does not tell the revision': ({ set }) => ({
    set: (...call) =>
      set(...call).catch((error: TroupeError) => {
        throw new TroupeError(error.code, error.message)
      }),
  }),
  'a refused write is no rejection': ({ set }) => ({
    set: (...call) => set(...call).catch(() => ({ revision: 1n, receipt: receiptOf('linearizable') })),
  }),
  'values are text': ({ set }) => ({
    set: (map, key, value, options) =>
      set(map, key, new TextEncoder().encode(new TextDecoder().decode(value)), options),
  }),
  'an empty value is an absent key': ({ get }) => ({
    get: async (...call) => {
      const found = await get(...call)
      return found.value?.length === 0 ? { value: undefined, receipt: found.receipt } : found
    },
  }),
  'reads share the bytes of the store': ({ get }) => {
    const shared = new Map<string, StoredValue>()
    return {
      get: async (map, key, options) => {
        const found = await get(map, key, options)
        const name = `${map} ${key} ${found.value === undefined ? '' : found.revision}`
        if (found.value !== undefined && !shared.has(name)) shared.set(name, found)
        return shared.get(name) ?? found
      },
    }
  },
  'the name of a map runs into the key': ({ get, set }) => ({
    get: (map, key, options) => get('all', map + key, options),
    set: (map, key, value, options) => set('all', map + key, value, options),
  }),
  'the old value is read back': ({ get, set }) => {
    const stale = new Map<string, Uint8Array>()
    return {
      set: async (map, key, value, options) => {
        const before = (await get(map, key, {})).value
        if (before !== undefined) stale.set(map + key, before)
        return set(map, key, value, options)
      },
      get: async (map, key, options) => {
        const found = await get(map, key, options)
        const value = stale.get(map + key)
        return found.value === undefined || value === undefined ? found : { ...found, value }
      },
    }
  },
  'keys are ordered as UTF-16': ({ scan }) => ({
    scan: (map, range, options) =>
      sorted(scan(map, range, { ...options, limit: Number.POSITIVE_INFINITY }), options.reverse, options.limit),
  }),
  'the limit counts from the start even in reverse': ({ scan }) => ({
    scan: (map, range, options) => reversed(scan(map, range, { ...options, reverse: false }), options.reverse),
  }),
  'a range holds its second bound': ({ scan }) => ({
    scan: (map, { from, until }, options) => scan(map, { from, until: until === '' ? '' : `${until}\0` }, options),
  }),
  'a scan stops after a page of 1000': ({ scan }) => ({
    scan: (map, range, options) => scan(map, range, { ...options, limit: Math.min(options.limit, 1000) }),
  }),
  'each page starts with the last key of the one before': ({ scan }) => ({
    scan: (map, range, options) => repeated(scan(map, range, options), 100),
  }),
  'a scan does not heed its signal': ({ scan }) => ({
    scan: (map, range, options) => scan(map, range, without(options, 'signal')),
  }),
  'a watch from a revision shows that revision again': ({ watch }) => ({
    watch: (map, range, options) =>
      watch(map, range, typeof options.from === 'bigint' ? { ...options, from: options.from - 1n } : options),
  }),
  'a watch that goes on from a cursor has missed one': ({ watch }) => ({
    watch: (map, range, options) =>
      watch(map, range, typeof options.from === 'string' ? { ...options, from: BigInt(options.from) + 1n } : options),
  }),
  'a watch forgets deletes': ({ watch }) => ({
    watch: (...call) => filtered(watch(...call), (change) => change.type === 'set'),
  }),
  'a watch loses one change of twenty': ({ watch }) => ({
    watch: (...call) => filtered(watch(...call), (change) => change.revision % 20n !== 0n),
  }),
  'a watch sees the whole map': ({ watch }) => ({
    watch: (map, _, options) => watch(map, { from: '', until: '' }, options),
  }),
  'a watch does not heed its signal while it waits': ({ watch }) => ({
    watch: (map, range, { signal, ...options }) => {
      signal?.throwIfAborted()
      return watch(map, range, options)
    },
  }),
  'a read ignores an aborted signal': ({ get }) => ({
    get: (map, key, options) => get(map, key, without(options, 'signal')),
  }),
  'a write ignores an aborted signal': ({ set }) => ({
    set: (map, key, value, options) => set(map, key, value, without(options, 'signal')),
  }),
  'an aborted write claims that it failed': ({ set }) => ({
    set: async (map, key, value, { signal, ...rest }) => {
      signal?.throwIfAborted()
      const written = await set(map, key, value, rest)
      if (signal?.aborted === true) throw new TroupeError('TIMEOUT', 'certainly not done')
      return written
    },
  }),
  'a local read claims to be linearizable': ({ get }) => ({
    get: async (...call) => ({ ...(await get(...call)), receipt: receiptOf('linearizable') }),
  }),
}

describe('the conformance suite finds every planted bug', () => {
  test.each(Object.entries(BUGS))('%s', async (_, bug) => {
    const broken = await brokenPromises(bug)
    expect(broken.length).toBeGreaterThan(0)
  })

  test('and none in a sound driver, nor in one whose answers come later', async () => {
    expect(await brokenPromises(() => ({}))).toEqual([])
    const late: Bug = ({ get, set }) => ({
      get: (...call) => later(() => get(...call)),
      set: (map, key, value, options) => {
        const written = set(map, key, value, options)
        return later(() => written)
      },
    })
    expect(await brokenPromises(late)).toEqual([])
  })
})

async function brokenPromises(bug: Bug): Promise<string[]> {
  const broken: string[] = []
  for (const [at, { name, run }] of keyValueConformance.entries()) {
    const connect = async (): Promise<Driver> => withBug(memoryDriver(), bug)
    const driver = await connect()
    const ended = run({ driver, map: `map-${at}`, connect }).then(
      () => true,
      () => false,
    )
    // Nothing in memory takes longer than some turns: what has not ended by then hangs.
    if (!(await Promise.race([ended, turns(20)]))) broken.push(name)
  }
  return broken
}

function withBug(driver: Driver, bug: Bug): Driver {
  const { keyValue } = driver
  const sound: Calls = {
    get: (...call) => keyValue.get(...call),
    set: (...call) => keyValue.set(...call),
    delete: (...call) => keyValue.delete(...call),
    scan: (...call) => keyValue.scan(...call),
    watch: (...call) => keyValue.watch(...call),
  }
  return { ...driver, keyValue: { ...sound, ...bug(sound) } }
}

function without<Options extends object, Name extends keyof Options>(
  options: Options,
  name: Name,
): Omit<Options, Name> {
  const { [name]: _omitted, ...rest } = options
  return rest
}

function receiptOf(guarantee: 'linearizable'): StoredValue['receipt'] {
  return { guarantee, shard: 0, ageMs: 0, durability: 'memory' }
}

async function turns(count: number): Promise<false> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
  return false
}

async function later<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  await Promise.resolve()
  return call()
}

async function* sorted(
  entries: AsyncIterable<ScannedEntry>,
  reverse: boolean,
  limit: number,
): AsyncGenerator<ScannedEntry> {
  const all: ScannedEntry[] = []
  for await (const entry of entries) all.push(entry)
  all.sort((a, b) => (a.key < b.key === reverse ? 1 : -1))
  yield* all.slice(0, limit)
}

async function* reversed(entries: AsyncIterable<ScannedEntry>, reverse: boolean): AsyncGenerator<ScannedEntry> {
  const all: ScannedEntry[] = []
  for await (const entry of entries) all.push(entry)
  yield* reverse ? all.reverse() : all
}

async function* repeated(entries: AsyncIterable<ScannedEntry>, page: number): AsyncGenerator<ScannedEntry> {
  let count = 0
  for await (const entry of entries) {
    yield entry
    count += 1
    if (count % page === 0) yield entry
  }
}

function filtered(changes: AsyncIterable<Change>, keep: (change: Change) => boolean): AsyncIterable<Change> {
  return {
    [Symbol.asyncIterator]: () => {
      const watch = changes[Symbol.asyncIterator]()
      const next = async (): Promise<IteratorResult<Change, undefined>> => {
        const result = await watch.next()
        return result.done === true || keep(result.value) ? result : next()
      }
      return { next, return: async () => (await watch.return?.()) ?? { done: true, value: undefined } }
    },
  }
}
