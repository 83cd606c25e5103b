/** The promises of queues about messages under way: delivery, order, leases, retries, limits. */

import { isTroupeError } from '../../base/error.ts'
import type { DeduplicationMode, OutgoingMessage } from '../contract.ts'
import { bytes, check, checkEqual, checkRejects } from './case.ts'
import { eventually, gather, LEASE_MS, only, QueueScene, type TimedConformanceCase, texts } from './message-case.ts'

export const DELIVERY_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a message comes as it was sent, with key, headers, first attempt and time',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('hello', { key: 'k', headers: { traceparent: '00-1', colour: 'red' } })
      const message = only(await scene.take(scene.consume(), 1))
      checkEqual([message.id, message.key, message.attempt], [id, 'k', 1], 'id, key, attempt')
      checkEqual(texts([message]), ['hello'], 'payload')
      checkEqual(message.headers, { traceparent: '00-1', colour: 'red' }, 'headers')
      check(message.sentAt > 0, 'a message knows when it was sent')
    },
  },
  {
    name: 'a consumer that waits gets a message that is sent later',
    async run(context) {
      const scene = new QueueScene(context)
      const waiting = scene.take(scene.consume(), 1)
      await scene.send('late')
      checkEqual(texts(await waiting), ['late'], 'payload')
    },
  },
  {
    name: 'an acknowledged message is gone for good',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      checkEqual(await scene.drain(), ['a'], 'first round')
      checkEqual(await scene.drain(), [], 'second round')
    },
  },
  {
    name: 'two consumers share the messages, and nobody gets one of the other',
    async run(context) {
      const scene = new QueueScene(context)
      const [one, two] = [scene.consume(5), scene.consume(5)]
      for (let at = 0; at < 10; at++) await scene.send(`${at}`)
      const taken = await Promise.all([scene.take(one, 5), scene.take(two, 5)])
      checkEqual(
        texts(taken.flat()).sort(),
        Array.from({ length: 10 }, (_, at) => `${at}`),
        'all messages, once each',
      )
    },
  },
  {
    name: 'no more messages are delivered and unsettled than a consumer has credit for',
    async run(context) {
      const scene = new QueueScene(context)
      for (let at = 0; at < 5; at++) await scene.send(`${at}`)
      const consumer = scene.consume(2)
      const taken = await scene.take(consumer, 2)
      const third = consumer.next()
      checkEqual(await Promise.race([third.then(() => 'came'), scene.sleep(300)]), undefined, 'a third one')
      await only(taken).acknowledge({})
      check((await third).done !== true, 'a settled message makes room')
    },
  },
  {
    name: 'a message that is sent by a connection that closes is delivered all the same',
    async run(context) {
      const { send } = await senderOf(context)
      await send('from one that is gone')
      const scene = new QueueScene(context)
      if (context.driver.name !== 'memory') checkEqual(await scene.drain(1000), ['from one that is gone'], 'messages')
    },
  },
  {
    name: 'what a consumer holds goes back when it returns, with nothing counted',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      const consumer = scene.consume()
      const first = only(await scene.take(consumer, 1))
      await consumer.return?.()
      check(first.lost.aborted, 'the lease of a message that goes back is lost')
      const again = only(await scene.take(scene.consume(), 1))
      checkEqual([again.id, again.attempt], [first.id, 1], 'id and attempt')
    },
  },
  {
    name: 'a consumer that drains gets nothing more, and settles what it has',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      const drain = new AbortController()
      const options = { consumer: 'c', credit: 3, draining: drain.signal }
      const consumer = scene.facet.consume(scene.queue, options)[Symbol.asyncIterator]()
      const first = only(await scene.take(consumer, 1))
      drain.abort()
      await scene.sleep(100)
      await scene.send('b')
      const next = consumer.next()
      checkEqual(await Promise.race([next.then(() => 'came'), scene.sleep(300)]), undefined, 'another one')
      await first.acknowledge({})
      checkEqual(await Promise.race([next.then(() => 'came'), scene.sleep(300)]), undefined, 'another one, later')
      await consumer.return?.()
      checkEqual(await scene.drain(), ['b'], 'what is left')
    },
  },
  {
    name: 'a consumer whose signal aborts rejects with its reason and holds nothing any more',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      const controller = new AbortController()
      const options = { consumer: 'c', credit: 1, signal: controller.signal }
      const consumer = scene.facet.consume(scene.queue, options)[Symbol.asyncIterator]()
      await scene.take(consumer, 1)
      const reason = new Error('enough')
      const next = consumer.next().catch((error: unknown) => error)
      controller.abort(reason)
      check((await next) === reason, 'the reason of the signal')
      checkEqual(await scene.drain(1000), ['a'], 'messages')
    },
  },
  {
    name: 'a call whose signal has aborted already sends nothing',
    async run(context) {
      const scene = new QueueScene(context)
      const reason = new Error('too late')
      const message = {
        payload: bytes('a'),
        key: '',
        headers: {},
        delay: 0,
        ttl: 1e9,
        priority: 0,
        deduplication: undefined,
      }
      const sent = scene.facet.send(scene.queue, message, { signal: AbortSignal.abort(reason) })
      check((await sent.catch((error: unknown) => error)) === reason, 'the reason of the signal')
      checkEqual((await scene.facet.stats(context.name, {})).waiting, 0, 'waiting')
    },
  },
]

async function senderOf(
  context: Parameters<TimedConformanceCase['run']>[0],
): Promise<{ send: (text: string) => Promise<void> }> {
  const driver = await context.connect()
  const scene = new QueueScene({ ...context, driver })
  return {
    send: async (text) => {
      await scene.send(text)
      await driver.close()
    },
  }
}

export const ORDER_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'messages of a key come in the order of their sending',
    async run(context) {
      const scene = new QueueScene(context)
      const sent = Array.from({ length: 20 }, (_, at) => `${at}`)
      for (const text of sent) await scene.send(text, { key: 'k' })
      checkEqual(await scene.drain(), sent, 'order')
    },
  },
  {
    name: 'of a key only one message is out at a time, while other keys go on',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['a1', 'a2', 'b1', 'b2']) await scene.send(text, { key: text.charAt(0) })
      const consumer = scene.consume(4)
      const first = await scene.take(consumer, 2)
      checkEqual(texts(first).sort(), ['a1', 'b1'], 'first of each key')
      await Promise.all(first.map((message) => message.acknowledge({})))
      checkEqual(texts(await scene.take(consumer, 2)).sort(), ['a2', 'b2'], 'then the second of each')
    },
  },
  {
    name: 'a key waits while its oldest message is delayed for a retry, and keeps its order',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['a1', 'a2', 'b1']) await scene.send(text, { key: text.charAt(0) })
      const consumer = scene.consume(2)
      const [one, two] = await scene.take(consumer, 2)
      check(one !== undefined && two !== undefined, 'two messages')
      const [a1, b1] = one.key === 'a' ? [one, two] : [two, one]
      await a1.retry(500, bytes('{}'), {})
      await b1.acknowledge({})
      checkEqual(texts(await scene.take(consumer, 1)), ['a1'], 'the one that failed')
      await consumer.return?.()
      checkEqual(await scene.drain(), ['a1', 'a2'], 'order')
    },
  },
  {
    name: 'with order none, messages of a key are out together',
    async run(context) {
      const scene = new QueueScene(context, { order: 'none' })
      for (const text of ['1', '2', '3']) await scene.send(text, { key: 'k' })
      checkEqual(texts(await scene.take(scene.consume(3), 3)).sort(), ['1', '2', '3'], 'messages')
    },
  },
  {
    name: 'a higher priority goes first, and the lowest still has its share',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.facet.pause(context.name, true, {})
      await scene.send('low', { key: 'low' })
      for (let at = 0; at < 150; at++) await scene.send('high', { key: `h${at}`, priority: 9 })
      await scene.facet.pause(context.name, false, {})
      const order = await scene.drain()
      checkEqual(order[0], 'high', 'first')
      check(order.indexOf('low') < 149, 'the lowest is not last of all')
    },
  },
  {
    name: 'keys take turns: a few messages of one do not wait for all of another',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.facet.pause(context.name, true, {})
      for (let at = 0; at < 50; at++) await scene.send('A', { key: 'A' })
      for (let at = 0; at < 3; at++) await scene.send('B', { key: 'B' })
      await scene.facet.pause(context.name, false, {})
      check((await scene.drain()).lastIndexOf('B') < 12, 'the last of B comes early')
    },
  },
  {
    name: 'a key with a weight has so many deliveries in each of its turns',
    async run(context) {
      const scene = new QueueScene(context, { keyWeights: { A: 3 } })
      await scene.facet.pause(context.name, true, {})
      for (let at = 0; at < 9; at++) await scene.send('A', { key: 'A' })
      for (let at = 0; at < 4; at++) await scene.send('B', { key: 'B' })
      await scene.facet.pause(context.name, false, {})
      checkEqual((await scene.drain()).join(''), 'AAABAAABAAABB', 'order')
    },
  },
  {
    name: 'a delayed message is not early, and does not hold up its key',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('later', { key: 'k', delay: 700 })
      await scene.send('now', { key: 'k' })
      checkEqual(await scene.drain(200), ['now'], 'at first')
      checkEqual((await scene.facet.stats(context.name, {})).delayed, 1, 'delayed')
      checkEqual(await scene.drain(1500), ['later'], 'in time')
    },
  },
]

interface Revocation {
  readonly how: string
  readonly act: (scene: QueueScene, id: string) => Promise<unknown>
  /** The next message of the key; undefined where that is the driver's affair. */
  readonly next: string | undefined
}

function deduplicated(mode: DeduplicationMode): Partial<OutgoingMessage> {
  return { key: 'k', deduplication: { id: 'd', mode, window: 60_000 } }
}

/** What takes a message from whoever has it, and what may come next. */
const REVOCATIONS: readonly Revocation[] = [
  { how: 'removed', act: ({ facet, queue }, id) => facet.remove(queue.name, id, {}), next: 'second' },
  { how: 'purged', act: ({ facet, queue }) => facet.purge(queue.name, 'waiting', {}), next: undefined },
  { how: 'moved', act: ({ facet, queue }, id) => facet.move(queue.name, id, { dueAt: 0 }, {}), next: 'first' },
  { how: 'expired', act: (scene) => scene.sleep(500), next: 'second' },
  { how: 'replaced', act: (scene) => scene.send('new', deduplicated('replace')), next: undefined },
  { how: 'debounced', act: (scene) => scene.send('new', deduplicated('debounce')), next: undefined },
  { how: 'dropped', act: (scene) => scene.send('third', { key: 'k' }), next: 'second' },
]

/** The receiver has room for one message: what it lost makes room for the next of the key. */
function revocationCase({ how, act, next }: Revocation): TimedConformanceCase {
  return {
    name: `a message that is ${how} is lost to whoever has it, at once, whatever its lease`,
    async run(context) {
      const dropping = how === 'dropped' ? { limit: 2, overflow: 'drop-oldest' as const } : {}
      const scene = new QueueScene(context, { leaseMs: 3_600_000, ...dropping })
      const id = await scene.send('first', {
        ...deduplicated('drop'),
        ttl: how === 'expired' ? 300 : Number.POSITIVE_INFINITY,
      })
      await scene.send('second', { key: 'k' })
      const consumer = scene.consume()
      const held = only(await scene.take(consumer, 1))
      await act(scene, id)
      await eventually(scene, 'the loss', async () => held.lost.aborted)
      await checkRejects(held.acknowledge({}), 'FENCED')
      if (next !== undefined) {
        const following = only(await scene.take(consumer, 1))
        checkEqual([texts([following]), following.attempt], [[next], 1], 'what comes next')
        await following.acknowledge({})
      }
      await consumer.return?.()
    },
  }
}

export const LEASE_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a message whose lease ran out comes again as the next attempt, and the late settlement is FENCED',
    async run(context) {
      const scene = new QueueScene(context, { leaseMs: LEASE_MS })
      await scene.send('a')
      const consumer = scene.consume(2)
      const first = only(await scene.take(consumer, 1))
      const reasons: Error[] = []
      first.onLost((reason) => reasons.push(reason))
      const again = only(await scene.take(consumer, 1))
      checkEqual([again.id, again.attempt], [first.id, 2], 'id and attempt')
      await checkRejects(first.acknowledge({}), 'FENCED')
      check(first.lost.aborted, 'the lost signal has aborted')
      again.onLost((reason) => reasons.push(reason))
      await again.acknowledge({})
      first.onLost((reason) => reasons.push(reason))
      const codes = reasons.map((reason) => (isTroupeError(reason) ? reason.code : reason.message))
      checkEqual(
        codes,
        ['LEASE_LOST', 'LEASE_LOST'],
        'those who listened were told, once each, and nobody of what was settled',
      )
    },
  },
  {
    name: 'a lease that is extended lasts',
    async run(context) {
      const scene = new QueueScene(context, { leaseMs: LEASE_MS })
      await scene.send('a')
      const message = only(await scene.take(scene.consume(2), 1))
      for (let round = 0; round < 4; round++) {
        await scene.sleep(LEASE_MS / 2)
        await message.extend(LEASE_MS, {})
      }
      check(!message.lost.aborted, 'the lease stands')
      await message.acknowledge({})
    },
  },
  {
    name: 'a delivery settles once',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      const message = only(await scene.take(scene.consume(), 1))
      await message.acknowledge({})
      await checkRejects(message.acknowledge({}), 'FENCED')
      await checkRejects(message.retry(0, bytes('{}'), {}), 'FENCED')
      await checkRejects(message.release({}), 'FENCED')
    },
  },
  {
    name: 'a released message comes again with nothing counted',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      const consumer = scene.consume()
      await only(await scene.take(consumer, 1)).release({})
      checkEqual(only(await scene.take(consumer, 1)).attempt, 1, 'attempt')
    },
  },
  {
    name: 'a retry comes after its delay as the next attempt, and keeps its first and last error',
    async run(context) {
      const scene = new QueueScene(context, { maxAttempts: 5 })
      const id = await scene.send('a')
      const consumer = scene.consume()
      await only(await scene.take(consumer, 1)).retry(0, bytes('first'), {})
      await only(await scene.take(consumer, 1)).retry(0, bytes('second'), {})
      checkEqual(only(await scene.take(consumer, 1)).attempt, 3, 'attempt')
      const found = await scene.facet.inspect(context.name, id, {})
      checkEqual([found?.firstError, found?.lastError], [bytes('first'), bytes('second')], 'errors')
    },
  },
  {
    name: 'a message that failed as often as it may is a dead letter for its attempts',
    async run(context) {
      const scene = new QueueScene(context, { maxAttempts: 2 })
      await scene.send('a')
      const consumer = scene.consume()
      for (let attempt = 0; attempt < 2; attempt++) await only(await scene.take(consumer, 1)).retry(0, bytes('{}'), {})
      const dead = only(await gather(scene.facet.peek(context.name, 'dead', { limit: 10 })))
      checkEqual([dead.death, dead.attempts, dead.state], ['attempts', 2, 'dead'], 'dead letter')
    },
  },
  {
    name: 'a dead message no longer holds up its key',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2']) await scene.send(text, { key: 'k' })
      const consumer = scene.consume()
      await only(await scene.take(consumer, 1)).reject('rejected', bytes('{}'), {})
      checkEqual(texts(await scene.take(consumer, 1)), ['2'], 'next of the key')
    },
  },
  {
    name: 'progress is kept with the message',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('a')
      await only(await scene.take(scene.consume(), 1)).progress(bytes('half'), {})
      checkEqual((await scene.facet.inspect(context.name, id, {}))?.progress, bytes('half'), 'progress')
    },
  },
  {
    name: 'a message that was not acknowledged in its time is a dead letter, expired, whoever holds it',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['held', 'waiting']) await scene.send(text, { ttl: 300 })
      const held = only(await scene.take(scene.consume(), 1))
      await eventually(scene, 'two dead letters', async () => (await scene.facet.stats(context.name, {})).dead === 2)
      const dead = await gather(scene.facet.peek(context.name, 'dead', { limit: 2 }))
      checkEqual(
        dead.map(({ death }) => death),
        ['expired', 'expired'],
        'reasons',
      )
      await checkRejects(held.acknowledge({}), 'FENCED')
    },
  },
  ...REVOCATIONS.map(revocationCase),
]
