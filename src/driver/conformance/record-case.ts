/** The promises about single keys: values, revisions and conditions. */

import type { StoredValue } from '../contract.ts'
import type { ConformanceCase, ConformanceContext } from './case.ts'
import { bytes, check, checkEqual, checkRejects } from './case.ts'

const VALUE_BYTES = 1024 * 1024
const KEY_BYTES = 4096

export const RECORD_CASES: readonly ConformanceCase[] = [
  {
    name: 'a key that was never set is absent',
    async run({ driver, map }) {
      const found = await driver.keyValue.get(map, 'nobody', {})
      checkEqual(found.value, undefined, 'value')
      checkEqual(found.receipt.guarantee, 'linearizable', 'guarantee')
    },
  },
  {
    name: 'a read sees the write that was acknowledged before it, with the same revision',
    async run(context) {
      const written = await context.driver.keyValue.set(context.map, 'a', bytes('1'), {})
      const found = await present(context, 'a')
      checkEqual(found.value, bytes('1'), 'value')
      checkEqual(found.revision, written.revision, 'revision')
      check(written.revision > 0n, 'revisions are positive')
    },
  },
  {
    name: 'revisions of a key grow strictly with every change, also across a delete',
    async run({ driver, map }) {
      const revisions: bigint[] = []
      for (let round = 0; round < 5; round++) {
        revisions.push((await driver.keyValue.set(map, 'a', bytes(`${round}`), {})).revision)
        revisions.push((await driver.keyValue.delete(map, 'a', {})).revision)
      }
      const grow = revisions.every((revision, at) => at === 0 || revision > (revisions[at - 1] ?? 0n))
      check(grow, `revisions grow strictly: ${revisions.join(' ')}`)
    },
  },
  {
    name: 'a value keeps each of its bytes, and an empty value is a value',
    async run(context) {
      const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
      await context.driver.keyValue.set(context.map, 'every', every, {})
      await context.driver.keyValue.set(context.map, 'none', new Uint8Array(0), {})
      checkEqual([...(await present(context, 'every')).value], [...every], 'bytes')
      checkEqual((await present(context, 'none')).value.length, 0, 'length of the empty value')
    },
  },
  {
    name: 'a value of 1 MiB and a key of 4 KiB are carried whole',
    async run(context) {
      const value = Uint8Array.from({ length: VALUE_BYTES }, (_, at) => at * 31 + (at >> 8))
      const key = 'é'.repeat(KEY_BYTES / 2)
      await context.driver.keyValue.set(context.map, key, value, {})
      const found = (await present(context, key)).value
      checkEqual(found.length, value.length, 'length')
      check(
        found.every((byte, at) => byte === value[at]),
        'every byte of a large value is as it was written',
      )
    },
  },
  {
    name: 'what is done to the bytes of a value that was read does not reach the store',
    async run(context) {
      await context.driver.keyValue.set(context.map, 'a', bytes('safe'), {})
      const found = await present(context, 'a')
      found.value.fill(0)
      checkEqual((await present(context, 'a')).value, bytes('safe'), 'value')
    },
  },
  {
    name: 'maps are separate, even where names and keys run together to the same text',
    async run({ driver, map }) {
      await driver.keyValue.set(`${map}x`, 'y', bytes('1'), {})
      checkEqual((await driver.keyValue.get(map, 'xy', {})).value, undefined, 'value')
      checkEqual((await driver.keyValue.get(map, 'y', {})).value, undefined, 'value')
    },
  },
  {
    name: 'a delete says whether there was something, and leaves nothing',
    async run({ driver, map }) {
      await driver.keyValue.set(map, 'a', bytes('1'), {})
      checkEqual((await driver.keyValue.delete(map, 'a', {})).existed, true, 'existed at first')
      checkEqual((await driver.keyValue.delete(map, 'a', {})).existed, false, 'existed at last')
      checkEqual((await driver.keyValue.get(map, 'a', {})).value, undefined, 'value')
    },
  },
]

export const CONDITION_CASES: readonly ConformanceCase[] = [
  {
    name: 'ifRevision 0n creates a key once; the second time is a CONFLICT that tells the present revision',
    async run({ driver, map }) {
      const { revision } = await driver.keyValue.set(map, 'a', bytes('1'), { ifRevision: 0n })
      const conflict = await checkRejects(driver.keyValue.set(map, 'a', bytes('2'), { ifRevision: 0n }), 'CONFLICT')
      checkEqual(conflict.details.revision, revision, 'details.revision')
      checkEqual((await driver.keyValue.get(map, 'a', {})).value, bytes('1'), 'value')
    },
  },
  {
    name: 'ifRevision writes over the very revision it names, and over no other',
    async run({ driver, map }) {
      const first = await driver.keyValue.set(map, 'a', bytes('1'), {})
      const second = await driver.keyValue.set(map, 'a', bytes('2'), { ifRevision: first.revision })
      check(second.revision > first.revision, 'a conditional write has a new revision')
      await checkRejects(driver.keyValue.set(map, 'a', bytes('3'), { ifRevision: first.revision }), 'CONFLICT')
      checkEqual((await driver.keyValue.get(map, 'a', {})).value, bytes('2'), 'value')
    },
  },
  {
    name: 'a condition on an absent key is a CONFLICT with revision 0n, also after a delete',
    async run({ driver, map }) {
      const { revision } = await driver.keyValue.set(map, 'a', bytes('1'), {})
      await driver.keyValue.delete(map, 'a', {})
      const conflict = await checkRejects(
        driver.keyValue.set(map, 'a', bytes('2'), { ifRevision: revision }),
        'CONFLICT',
      )
      checkEqual(conflict.details.revision, 0n, 'details.revision')
    },
  },
  {
    name: 'a delete heeds ifRevision',
    async run({ driver, map }) {
      const first = await driver.keyValue.set(map, 'a', bytes('1'), {})
      const second = await driver.keyValue.set(map, 'a', bytes('2'), {})
      await checkRejects(driver.keyValue.delete(map, 'a', { ifRevision: first.revision }), 'CONFLICT')
      checkEqual((await driver.keyValue.delete(map, 'a', { ifRevision: second.revision })).existed, true, 'existed')
    },
  },
  {
    name: 'of concurrent writes on one revision exactly one wins',
    async run(context) {
      const { driver, map } = context
      const { revision } = await driver.keyValue.set(map, 'a', bytes('start'), {})
      const rivals = Array.from({ length: 16 }, (_, at) => bytes(`rival ${at}`))
      const ends = await Promise.allSettled(
        rivals.map((rival) => driver.keyValue.set(map, 'a', rival, { ifRevision: revision })),
      )
      const winners = rivals.filter((_, at) => ends[at]?.status === 'fulfilled')
      checkEqual(winners.length, 1, 'winners')
      checkEqual((await present(context, 'a')).value, winners[0], 'value')
    },
  },
  {
    name: 'writes of one caller to one key take effect in the order of their calls',
    async run(context) {
      const { driver, map } = context
      const calls = Array.from({ length: 50 }, (_, at) => driver.keyValue.set(map, 'a', bytes(`${at}`), {}))
      const revisions = (await Promise.all(calls)).map(({ revision }) => revision)
      checkEqual((await present(context, 'a')).value, bytes('49'), 'value')
      check(
        revisions.every((revision, at) => at === 0 || revision > (revisions[at - 1] ?? 0n)),
        'revisions stand in the order of the calls',
      )
    },
  },
]

async function present({ driver, map }: ConformanceContext, key: string): Promise<StoredValue> {
  const found = await driver.keyValue.get(map, key, {})
  check(found.value !== undefined, 'an acknowledged write is there')
  return found
}
