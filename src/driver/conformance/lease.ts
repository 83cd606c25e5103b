/** The conformance suite of the lease facet, for any test runner. */

import type { AcquireOptions, Hold, LockStatus } from '../contract.ts'
import { bytes, ConformanceError, check, checkEqual, checkRejects } from './case.ts'
import {
  LEASE_MS,
  leaseOf,
  MESSAGE,
  only,
  QueueScene,
  type TimedConformanceCase,
  type TimedConformanceContext,
} from './message-case.ts'
import { TopicScene } from './topic-scene.ts'

const MUTEX: AcquireOptions = { permits: 1, of: 1, ttl: LEASE_MS, lockDelay: 0, wait: true, value: bytes('ann') }

function acquire(context: TimedConformanceContext, options: Partial<AcquireOptions> = {}): Promise<Hold> {
  return leaseOf(context).acquire(context.name, { ...MUTEX, ...options })
}

/** A hold that was given back. */
async function passOn(context: TimedConformanceContext): Promise<Hold> {
  const hold = await acquire(context)
  await hold.release({})
  return hold
}

async function status(context: TimedConformanceContext, holds: (status: LockStatus) => boolean): Promise<LockStatus> {
  for await (const now of leaseOf(context).observe(context.name, {})) if (holds(now)) return now
  throw new ConformanceError('an observation goes on until it is ended')
}

const LOCKS: readonly TimedConformanceCase[] = [
  {
    name: 'a lock is held by one at a time; who does not wait is told LOCKED',
    async run(context) {
      const hold = await acquire(context)
      await checkRejects(acquire(context, { wait: false }), 'LOCKED')
      await hold.release({})
      await (await acquire(context, { wait: false })).release({})
    },
  },
  {
    name: 'tokens grow strictly with every grant',
    async run(context) {
      const tokens: bigint[] = []
      for (let round = 0; round < 4; round++) {
        const hold = await acquire(context)
        tokens.push(hold.token)
        await hold.release({})
      }
      check(
        tokens.every((token, at) => at === 0 || token > (tokens[at - 1] ?? token)),
        `tokens grow: ${tokens.join(' ')}`,
      )
    },
  },
  {
    name: 'who waits gets the lock in the order of coming',
    async run(context) {
      const first = await acquire(context)
      const order: number[] = []
      const waiting = [1, 2, 3].map(async (number) => {
        await context.sleep(number * 100)
        const hold = await acquire(context)
        order.push(number)
        await hold.release({})
      })
      await context.sleep(600)
      await first.release({})
      await Promise.all(waiting)
      checkEqual(order, [1, 2, 3], 'order')
    },
  },
  {
    name: 'a wait that takes too long ends with TIMEOUT, and its place in line is gone',
    async run(context) {
      const first = await acquire(context)
      const [error] = await Promise.all([
        checkRejects(acquire(context, { timeout: 200 }), 'TIMEOUT'),
        context.sleep(400),
      ])
      check(error.code === 'TIMEOUT', 'a definite error')
      await first.release({})
      await (await acquire(context, { timeout: 5000 })).release({})
    },
  },
  {
    name: 'a wait whose signal aborts rejects with its reason, and its place in line is gone',
    async run(context) {
      const first = await acquire(context)
      const controller = new AbortController()
      const reason = new Error('enough')
      const waiting = acquire(context, { signal: controller.signal }).catch((error: unknown) => error)
      await context.sleep(100)
      controller.abort(reason)
      check((await waiting) === reason, 'the reason of the signal')
      await first.release({})
      await (await acquire(context)).release({})
    },
  },
  {
    name: 'a semaphore gives as many permits as it has, and no more',
    async run(context) {
      const two = [await acquire(context, { of: 2 }), await acquire(context, { of: 2 })]
      await checkRejects(acquire(context, { of: 2, wait: false }), 'LOCKED')
      await only(two).release({})
      await acquire(context, { of: 2, wait: false })
    },
  },
  {
    name: 'readers share, a writer waits for them, and nobody overtakes a writer that waits',
    async run(context) {
      const readers = [await acquire(context, { of: 100 }), await acquire(context, { of: 100 })]
      const writer = acquire(context, { permits: 100, of: 100 })
      await context.sleep(200)
      await checkRejects(acquire(context, { of: 100, wait: false }), 'LOCKED')
      await Promise.all(readers.map((reader) => reader.release({})))
      await (await writer).release({})
      await (await acquire(context, { of: 100, wait: false })).release({})
    },
  },
  {
    name: 'permits of another number are a CONFLICT while somebody holds',
    async run(context) {
      const hold = await acquire(context, { of: 2 })
      await checkRejects(acquire(context, { of: 3 }), 'CONFLICT')
      await hold.release({})
      await (await acquire(context, { of: 3 })).release({})
    },
  },
  {
    name: 'releasing a second time does nothing',
    async run(context) {
      const hold = await acquire(context)
      await hold.release({})
      const next = await acquire(context)
      await hold.release({})
      check(await leaseOf(context).verify(context.name, next.token, {}), 'the next holder still holds')
    },
  },
  {
    name: 'a holder that is kept alive holds for longer than its time to live',
    async run(context) {
      const hold = await acquire(context)
      await context.sleep(LEASE_MS * 2.5)
      check(!hold.lost.aborted, 'it is not lost')
      check(await leaseOf(context).verify(context.name, hold.token, {}), 'it is still held')
    },
  },
  {
    name: 'with `to`, a release goes to that candidate before others',
    async run(context) {
      const first = await acquire(context)
      const order: string[] = []
      const candidates = ['bob', 'cyd'].map(async (name, at) => {
        await context.sleep(100 + at * 100)
        const hold = await acquire(context, { value: bytes(name) })
        order.push(name)
        await hold.release({})
      })
      await context.sleep(500)
      await first.release({ to: bytes('cyd') })
      await Promise.all(candidates)
      checkEqual(order, ['cyd', 'bob'], 'order')
    },
  },
]

const TOKENS: readonly TimedConformanceCase[] = [
  {
    name: 'a token is verified while it holds, and not before or after',
    async run(context) {
      const facet = leaseOf(context)
      const hold = await acquire(context)
      checkEqual(await facet.verify(context.name, hold.token, {}), true, 'while held')
      checkEqual(await facet.verify(context.name, hold.token - 1n, {}), false, 'an older token')
      await hold.release({})
      checkEqual(await facet.verify(context.name, hold.token, {}), false, 'once released')
    },
  },
  {
    name: 'a write with an older token than one that was seen is FENCED, and nothing is written',
    async run(context) {
      const { keyValue } = context.driver
      const { name } = context
      const old = await acquire(context)
      await keyValue.set(name, 'k', bytes('old'), { fence: { name, token: old.token } })
      await old.release({})
      const next = await acquire(context)
      await keyValue.set(name, 'k', bytes('next'), { fence: { name, token: next.token } })
      const late = keyValue.set(name, 'k', bytes('late'), { fence: { name, token: old.token } })
      await checkRejects(late, 'FENCED')
      await checkRejects(keyValue.delete(name, 'k', { fence: { name, token: old.token } }), 'FENCED')
      checkEqual((await keyValue.get(name, 'k', {})).value, bytes('next'), 'value')
    },
  },
  {
    name: 'what is sent or published under an older token than one that was seen is FENCED, and nobody gets it',
    async run(context) {
      const { name } = context
      const [queue, topic] = [new QueueScene(context), new TopicScene(context)]
      const old = { name, token: (await passOn(context)).token }
      const fence = { name, token: (await acquire(context)).token }
      await queue.facet.send(queue.queue, { ...MESSAGE, payload: bytes('next') }, { fence })
      await checkRejects(queue.facet.send(queue.queue, MESSAGE, { fence: old }), 'FENCED')
      checkEqual(await queue.drain(), ['next'], 'messages')
      const record = { key: '', payload: bytes('next'), headers: {} }
      checkEqual((await topic.facet.publish(topic.topic, record, { fence })).offset, 0n, 'offset')
      await checkRejects(topic.facet.publish(topic.topic, record, { fence: old }), 'FENCED')
      checkEqual((await topic.facet.publish(topic.topic, record, { fence })).offset, 1n, 'offset')
    },
  },
  {
    name: 'of a lock beside a key every token but that of its holder is FENCED there, also when nobody holds it',
    async run(context) {
      const { keyValue } = context.driver
      const { name: map } = context
      const beside = { ...context, name: `${map}@${map}#k` }
      const old = await passOn(beside)
      const write = (token: bigint): Promise<unknown> =>
        keyValue.set(map, 'k', bytes(`${token}`), { fence: { name: beside.name, token } })
      await checkRejects(write(old.token), 'FENCED')
      const hold = await acquire(beside)
      await checkRejects(write(old.token), 'FENCED')
      await write(hold.token)
      check(await leaseOf(context).verify(beside.name, hold.token, {}), 'it is known by its whole name')
      checkEqual(only((await status(beside, ({ holders }) => holders.length > 0)).holders).token, hold.token, 'holder')
    },
  },
  {
    name: 'an observer sees who holds now, and each who comes after',
    async run(context) {
      const hold = await acquire(context)
      const seen = await status(context, ({ holders }) => holders.length === 1)
      checkEqual([only(seen.holders).token, only(seen.holders).value], [hold.token, bytes('ann')], 'holder')
      const empty = status(context, ({ holders }) => holders.length === 0)
      await context.sleep(100)
      await hold.release({})
      await empty
    },
  },
  {
    name: 'an observer that leaves while it waits need not wait for the next change',
    async run(context) {
      const states = leaseOf(context).observe(context.name, {})[Symbol.asyncIterator]()
      check((await states.next()).done !== true, 'the present state comes first')
      const next = states.next()
      await states.return?.()
      check((await next).done === true, 'what was waited for is the end')
    },
  },
  {
    name: 'locks that are held are listed with their holders',
    async run(context) {
      const hold = await acquire(context)
      const listed = (await leaseOf(context).locks({})).find(({ name }) => name === context.name)
      checkEqual(
        listed?.holders.map(({ token }) => token),
        [hold.token],
        'tokens',
      )
    },
  },
]

const LEASES: readonly TimedConformanceCase[] = [
  {
    name: 'keys of a lease are there as long as it is, and gone when it ends',
    async run(context) {
      const { keyValue } = context.driver
      const lease = await leaseOf(context).lease({ ttl: LEASE_MS })
      await lease.set(context.name, 'k', bytes('1'), {})
      await context.sleep(LEASE_MS * 2)
      checkEqual((await keyValue.get(context.name, 'k', {})).value, bytes('1'), 'value')
      await lease.end({})
      checkEqual((await keyValue.get(context.name, 'k', {})).value, undefined, 'value at the end')
      await checkRejects(lease.set(context.name, 'k', bytes('2'), {}), 'FENCED', 'LEASE_LOST')
      const unused = await leaseOf(context).lease({ ttl: LEASE_MS })
      await unused.end({})
      await checkRejects(unused.set(context.name, 'k', bytes('3'), {}), 'FENCED', 'LEASE_LOST')
    },
  },
  {
    name: 'a key of a lease that was written since, or set by another lease, does not go with the first',
    async run(context) {
      const { keyValue } = context.driver
      const { name: map } = context
      const lease = await leaseOf(context).lease({ ttl: LEASE_MS })
      const other = await leaseOf(context).lease({ ttl: LEASE_MS })
      for (const key of ['written', 'deleted', 'other', 'own']) await lease.set(map, key, bytes('1'), {})
      await keyValue.set(map, 'written', bytes('2'), {})
      await keyValue.delete(map, 'deleted', {})
      await keyValue.set(map, 'deleted', bytes('2'), {})
      await other.set(map, 'other', bytes('2'), {})
      await lease.set(map, 'own', bytes('2'), {})
      const values = async (): Promise<unknown> => {
        const found = ['written', 'deleted', 'other', 'own'].map((key) => keyValue.get(map, key, {}))
        return (await Promise.all(found)).map(({ value }) => value)
      }
      await lease.end({})
      checkEqual(await values(), [bytes('2'), bytes('2'), bytes('2'), undefined], 'values after the first')
      await other.end({})
      checkEqual(await values(), [bytes('2'), bytes('2'), undefined, undefined], 'values after the other')
    },
  },
  {
    name: 'what a driver holds is lost when it closes, and its waits end with CLOSED',
    async run(context) {
      const driver = await context.connect()
      const own = { ...context, driver }
      const hold = await acquire(own)
      const waiting = checkRejects(acquire(own), 'CLOSED')
      await driver.close()
      await waiting
      check(hold.lost.aborted, 'the hold is lost')
    },
  },
]

/** Every promise of `LeaseFacet`; cases take some seconds each on the real clock. */
export const leaseConformance: readonly TimedConformanceCase[] = [...LOCKS, ...TOKENS, ...LEASES]
