/** The promises about scans: order, bounds, pages and concurrent change. */

import type { KeyRange } from '../contract.ts'
import type { ConformanceCase, ConformanceContext } from './case.ts'
import { bytes, check, checkEqual, collect, FORWARD, rejection, scanKeys, WHOLE } from './case.ts'

/** In the order of their UTF-8 bytes; UTF-16 would place the surrogate pair of U+10000 before U+E000 and U+FFFD. */
const ORDERED = [
  '\u0000',
  '\u0001a',
  ' ',
  '0',
  'A',
  'a',
  'a\u0000',
  'aa',
  'b',
  '\u007f',
  'é',
  '水',
  '\ud7ff',
  '\ue000',
  '\ufffd',
  '\u{10000}',
  '\u{1f600}',
  '\u{1f600}a',
  '\u{10ffff}',
]

export const SCAN_CASES: readonly ConformanceCase[] = [
  {
    name: 'a scan of an empty map yields nothing',
    async run(context) {
      checkEqual(await scanKeys(context), [], 'keys')
    },
  },
  {
    name: 'a scan yields keys in the order of their UTF-8 bytes, surrogate pairs last, in both directions',
    async run(context) {
      await fill(context, [...ORDERED].reverse())
      checkEqual(await scanKeys(context), ORDERED, 'keys')
      checkEqual(await scanKeys(context, WHOLE, { reverse: true }), [...ORDERED].reverse(), 'keys in reverse')
    },
  },
  {
    name: 'a range holds its first bound and not its second, whether or not the bounds exist',
    async run(context) {
      await fill(context, ['a', 'b', 'c', 'd', 'e'])
      const wanted: [KeyRange, string[]][] = [
        [{ from: 'b', until: 'd' }, ['b', 'c']],
        [{ from: 'aa', until: 'dd' }, ['b', 'c', 'd']],
        [{ from: 'd', until: '' }, ['d', 'e']],
        [{ from: '', until: 'b' }, ['a']],
        [{ from: 'c', until: 'c' }, []],
        [{ from: 'd', until: 'b' }, []],
        [{ from: 'x', until: '' }, []],
      ]
      for (const [range, keys] of wanted) {
        checkEqual(await scanKeys(context, range), keys, `keys of ${JSON.stringify(range)}`)
        const reversed = await scanKeys(context, range, { reverse: true })
        checkEqual(reversed, [...keys].reverse(), `keys of ${JSON.stringify(range)} in reverse`)
      }
    },
  },
  {
    name: 'a limit counts from the end at which the scan starts',
    async run(context) {
      await fill(context, ['a', 'b', 'c', 'd'])
      checkEqual(await scanKeys(context, WHOLE, { limit: 2 }), ['a', 'b'], 'keys')
      checkEqual(await scanKeys(context, WHOLE, { limit: 2, reverse: true }), ['d', 'c'], 'keys in reverse')
      checkEqual(await scanKeys(context, WHOLE, { limit: 9 }), ['a', 'b', 'c', 'd'], 'keys under a larger limit')
    },
  },
  {
    name: 'a scan goes through as many pages as there are, in both directions',
    async run(context) {
      const keys = Array.from({ length: 2500 }, (_, at) => `key-${String(at).padStart(5, '0')}`)
      await fill(context, keys)
      checkEqual(await scanKeys(context), keys, 'keys')
      checkEqual(await scanKeys(context, WHOLE, { reverse: true }), [...keys].reverse(), 'keys in reverse')
      checkEqual(await scanKeys(context, WHOLE, { limit: 1500 }), keys.slice(0, 1500), 'keys under a limit')
    },
  },
  {
    name: 'a scan carries large values page by page',
    async run(context) {
      const value = new Uint8Array(256 * 1024).fill(7)
      const keys = Array.from({ length: 24 }, (_, at) => `large-${String(at).padStart(2, '0')}`)
      await Promise.all(keys.map((key) => context.driver.keyValue.set(context.map, key, value, {})))
      const entries = await collect(context.driver.keyValue.scan(context.map, WHOLE, FORWARD))
      checkEqual(
        entries.map(({ key }) => key),
        keys,
        'keys',
      )
      check(
        entries.every((entry) => entry.value.length === value.length),
        'every value is whole',
      )
    },
  },
  {
    name: 'an entry carries the value and the revision that a read would show',
    async run({ driver, map }) {
      await driver.keyValue.set(map, 'a', bytes('old'), {})
      const { revision } = await driver.keyValue.set(map, 'a', bytes('new'), {})
      const entries = await collect(driver.keyValue.scan(map, WHOLE, FORWARD))
      checkEqual(entries, [{ key: 'a', value: bytes('new'), revision }], 'entries')
    },
  },
  {
    name: 'under concurrent change a scan shows each untouched key once, in order, and no key twice',
    async run(context) {
      const { driver, map } = context
      const steady = Array.from({ length: 600 }, (_, at) => `key-${String(at * 2).padStart(5, '0')}`)
      await fill(context, steady)
      const seen: string[] = []
      for await (const { key } of driver.keyValue.scan(map, WHOLE, FORWARD)) {
        const round = seen.push(key)
        if (round % 50 !== 0) continue
        const passing = `key-${String(round * 2 + 1).padStart(5, '0')}`
        await driver.keyValue.set(map, passing, bytes('passing'), {})
        await driver.keyValue.delete(map, `key-${String(round * 2 - 49).padStart(5, '0')}`, {})
      }
      checkEqual(seen, [...new Set(seen)].sort(), 'keys in order without repetition')
      checkEqual(
        steady.filter((key) => !seen.includes(key)),
        [],
        'steady keys that were missed',
      )
    },
  },
  {
    name: 'a scan that is left early ends, and can be started anew',
    async run(context) {
      await fill(context, ['a', 'b', 'c'])
      const scan = context.driver.keyValue.scan(context.map, WHOLE, FORWARD)
      for await (const { key } of scan) if (key === 'a') break
      checkEqual(await scanKeys(context), ['a', 'b', 'c'], 'keys')
    },
  },
  {
    name: 'a scan whose signal aborts rejects with the reason of the signal',
    async run(context) {
      await fill(context, ['a', 'b', 'c'])
      const controller = new AbortController()
      const reason = new Error('enough')
      const options = { ...FORWARD, signal: controller.signal }
      const scan = context.driver.keyValue.scan(context.map, WHOLE, options)[Symbol.asyncIterator]()
      checkEqual((await scan.next()).done, false, 'done')
      controller.abort(reason)
      check((await rejection(scan.next())) === reason, 'the rejection is the reason of the signal')
    },
  },
]

async function fill({ driver, map }: ConformanceContext, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => driver.keyValue.set(map, key, bytes(`value of ${key}`), {})))
}
