/** The promises about calls as such: signals, timeouts, read levels, outcomes and the end of a driver. */

import type { Driver } from '../contract.ts'
import type { ConformanceCase } from './case.ts'
import { bytes, ConformanceError, check, checkEqual, checkRejects, FORWARD, rejection, WHOLE } from './case.ts'

export const CALL_CASES: readonly ConformanceCase[] = [
  {
    name: 'a call whose signal has aborted already rejects with its reason and does nothing',
    async run({ driver, map }) {
      const reason = new Error('too late')
      const signal = AbortSignal.abort(reason)
      const rejections = await Promise.all(everyCall(driver, map, { signal }).map(rejection))
      check(
        rejections.every((error) => error === reason),
        'every rejection is the reason of the signal',
      )
      checkEqual((await driver.keyValue.get(map, 'a', {})).value, undefined, 'value')
    },
  },
  {
    name: 'a write whose signal aborts under way happens, or says that its outcome is unknown, and stays what it turned out to be',
    async run({ driver, map }) {
      const controller = new AbortController()
      const call = driver.keyValue.set(map, 'a', bytes('1'), { signal: controller.signal })
      controller.abort(new Error('changed my mind'))
      const happened = await settle(driver, call)
      for (let round = 0; round < 3; round++) {
        const found = await driver.keyValue.get(map, 'a', {})
        if (happened !== undefined) checkEqual(found.value !== undefined, happened, 'the write is there')
      }
    },
  },
  {
    name: 'a read whose signal aborts under way gives a value or the reason',
    async run({ driver, map }) {
      const controller = new AbortController()
      const reason = new Error('changed my mind')
      const call = driver.keyValue.get(map, 'a', { signal: controller.signal })
      controller.abort(reason)
      const error: unknown = await call.then(
        () => reason,
        (rejected: unknown) => rejected,
      )
      check(error === reason, 'a read under way ends in a value or in the reason of its signal')
    },
  },
  {
    name: 'a write with next to no time ends in a value, TIMEOUT or OUTCOME_UNKNOWN, and tells the truth',
    async run({ driver, map }) {
      const keys = Array.from({ length: 20 }, (_, at) => `key-${at}`)
      const ends = await Promise.all(
        keys.map((key) => settle(driver, driver.keyValue.set(map, key, bytes('1'), { timeout: 1 }))),
      )
      for (const [at, key] of keys.entries()) {
        const found = await driver.keyValue.get(map, key, {})
        const end = ends[at]
        if (end !== undefined) checkEqual(found.value !== undefined, end, `${key} is there`)
      }
    },
  },
  {
    name: 'a local read shows its age and never claims more than it gave',
    async run({ driver, map }) {
      await driver.keyValue.set(map, 'a', bytes('1'), {})
      const { receipt } = await driver.keyValue.get(map, 'a', { read: 'local' })
      checkEqual(receipt.guarantee, 'local', 'guarantee')
      check(receipt.ageMs >= 0, 'an age is not negative')
      const bounded = await driver.keyValue.get(map, 'a', { read: { maxStalenessMs: 60_000 } })
      check(bounded.receipt.ageMs <= 60_000, 'a bounded read is not older than its bound')
    },
  },
  {
    name: 'a linearizable read is of age 0',
    async run({ driver, map }) {
      const { receipt } = await driver.keyValue.get(map, 'a', { read: 'linearizable' })
      checkEqual([receipt.guarantee, receipt.ageMs], ['linearizable', 0], 'receipt')
    },
  },
  {
    name: 'the outcome of an operation that nobody knows is unknown, or an INVALID_ARGUMENT',
    async run({ driver }) {
      const asked = driver.outcome('no such operation', {}).catch(async (error: unknown) => {
        await checkRejects(Promise.reject(error), 'INVALID_ARGUMENT')
        return 'unknown'
      })
      checkEqual(await asked, 'unknown', 'outcome')
    },
  },
  {
    name: 'status names the cluster and lists members and groups',
    async run({ driver }) {
      const status = await driver.status({})
      check(typeof status.cluster === 'string' && status.cluster !== '', 'a cluster has a name')
      check(Array.isArray(status.members) && Array.isArray(status.groups), 'members and groups are lists')
    },
  },
  {
    name: 'a closed driver refuses every call with CLOSED, ends its watches, and can be closed again',
    async run({ connect, map }) {
      const driver = await connect()
      const watch = driver.keyValue.watch(map, WHOLE, {})[Symbol.asyncIterator]()
      const waiting = checkRejects(watch.next(), 'CLOSED')
      await driver.close()
      await waiting
      await Promise.all(everyCall(driver, map, {}).map((call) => checkRejects(call, 'CLOSED')))
      await driver.close()
    },
  },
]

function everyCall(driver: Driver, map: string, options: { readonly signal?: AbortSignal }): Promise<unknown>[] {
  const scan = driver.keyValue.scan(map, WHOLE, { ...FORWARD, ...options })[Symbol.asyncIterator]()
  const watch = driver.keyValue.watch(map, WHOLE, options)[Symbol.asyncIterator]()
  return [
    driver.keyValue.set(map, 'a', bytes('1'), options),
    driver.keyValue.get(map, 'a', options),
    driver.keyValue.delete(map, 'a', options),
    scan.next(),
    watch.next(),
    driver.outcome('no such operation', options),
    driver.status(options),
  ]
}

/** Whether a write happened; undefined where even its outcome does not tell. */
async function settle(driver: Driver, call: Promise<unknown>): Promise<boolean | undefined> {
  const error: unknown = await call.then(
    () => undefined,
    (rejected: unknown) => rejected,
  )
  if (error === undefined) return true
  const coded = await checkRejects(Promise.reject(error), 'TIMEOUT', 'OUTCOME_UNKNOWN')
  if (coded.code === 'TIMEOUT') return false
  const { operationId } = coded.details
  if (typeof operationId !== 'string') throw new ConformanceError('OUTCOME_UNKNOWN carries details.operationId')
  const outcome = await driver.outcome(operationId, {})
  return outcome === 'unknown' ? undefined : outcome === 'committed'
}
