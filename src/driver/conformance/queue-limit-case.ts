/** The promises of queues about limits, effects, operators and schedules. */

import { bytes, check, checkEqual, checkRejects } from './case.ts'
import { eventually, gather, MESSAGE, only, QueueScene, type TimedConformanceCase, texts } from './message-case.ts'

const NEVER = Number.POSITIVE_INFINITY
const NO_TOPIC_LIMITS = { keepMs: NEVER, keepBytes: NEVER, keepCount: NEVER, compact: false }

export const LIMIT_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a full queue refuses with FULL, and takes again once there is room',
    async run(context) {
      const scene = new QueueScene(context, { limit: 2 })
      await scene.send('1')
      await scene.send('2')
      await checkRejects(scene.send('3'), 'FULL')
      await only(await scene.take(scene.consume(), 1)).acknowledge({})
      await scene.send('3')
    },
  },
  {
    name: 'a full queue that drops takes the new message, and the oldest is a dead letter',
    async run(context) {
      const scene = new QueueScene(context, { limit: 2, overflow: 'drop-oldest' })
      for (const text of ['1', '2', '3']) await scene.send(text)
      const dead = await gather(scene.facet.peek(context.name, 'dead', { limit: 10 }))
      checkEqual([texts(dead), dead[0]?.death], [['1'], 'overflow'], 'dead letter')
      checkEqual(await scene.drain(), ['2', '3'], 'messages')
    },
  },
  {
    name: 'a full queue that blocks makes the sender wait for room',
    async run(context) {
      const scene = new QueueScene(context, { limit: 1, overflow: 'block' })
      await scene.send('1')
      const second = scene.send('2')
      await only(await scene.take(scene.consume(), 1)).acknowledge({})
      await second
    },
  },
  {
    name: 'a sender that waits for room in vain is told TIMEOUT, and nothing was sent',
    async run(context) {
      const scene = new QueueScene(context, { limit: 1, overflow: 'block' })
      await scene.send('1')
      const sent = scene.facet.send(scene.queue, MESSAGE, { timeout: 300 })
      const [error] = await Promise.all([checkRejects(sent, 'TIMEOUT'), scene.sleep(400)])
      check(error.code === 'TIMEOUT', 'a definite error')
      checkEqual(await scene.drain(), ['1'], 'messages')
    },
  },
  {
    name: 'no more messages are out than the concurrency of the queue, over all consumers',
    async run(context) {
      const scene = new QueueScene(context, { concurrency: 2 })
      for (let at = 0; at < 6; at++) await scene.send(`${at}`)
      const consumers = [scene.consume(3), scene.consume(3)]
      const deliveries = consumers.flatMap((consumer) => [consumer.next(), consumer.next(), consumer.next()])
      let count = 0
      for (const delivery of deliveries) void delivery.then(({ done }) => (count += done === true ? 0 : 1))
      await scene.sleep(300)
      checkEqual(count, 2, 'messages that are out')
      for (const consumer of consumers) await consumer.return?.()
    },
  },
  {
    name: 'no more messages of a key are out than its concurrency',
    async run(context) {
      const scene = new QueueScene(context, { order: 'none', keyConcurrency: 2 })
      for (let at = 0; at < 4; at++) await scene.send('k', { key: 'k' })
      await scene.send('other', { key: 'other' })
      const consumer = scene.consume(5)
      checkEqual(texts(await scene.take(consumer, 3)).sort(), ['k', 'k', 'other'], 'messages that are out')
      const more = consumer.next()
      checkEqual(await Promise.race([more.then(() => 'came'), scene.sleep(300)]), undefined, 'one more')
      await consumer.return?.()
    },
  },
  {
    name: 'a rate lets one period through at once, and the rest in its time',
    async run(context) {
      const scene = new QueueScene(context, { rate: 2, ratePeriodMs: 1000 })
      for (let at = 0; at < 4; at++) await scene.send(`${at}`)
      const consumer = scene.consume(10)
      await scene.take(consumer, 2)
      const third = consumer.next()
      checkEqual(await Promise.race([third.then(() => 'came'), scene.sleep(250)]), undefined, 'a third one at once')
      await third
      await consumer.return?.()
    },
  },
  {
    name: 'a rate counts what is delivered, also to a receiver that has room for one message only',
    async run(context) {
      const hourly = { rate: 2, ratePeriodMs: 3_600_000, keyRate: 2, keyRatePeriodMs: 3_600_000 }
      const scene = new QueueScene(context, hourly)
      for (let at = 0; at < 4; at++) await scene.send(`${at}`, { key: 'k' })
      checkEqual(await scene.drain(), ['0', '1'], 'messages of the first hour')
    },
  },
  {
    name: 'a queue that is paused delivers nothing and takes everything, until it is resumed',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.facet.pause(context.name, true, {})
      await scene.send('a')
      checkEqual(await scene.drain(200), [], 'while paused')
      checkEqual((await scene.facet.stats(context.name, {})).isPaused, true, 'isPaused')
      await scene.facet.pause(context.name, false, {})
      checkEqual(await scene.drain(), ['a'], 'once resumed')
    },
  },
]

export const OPERATOR_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'stats count what waits, what is delayed and what is out, and name the consumers',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2', '3']) await scene.send(text)
      await scene.send('later', { delay: 60_000 })
      await scene.take(scene.consume(1, 'ann'), 1)
      const { delayed, leased, consumers } = await scene.facet.stats(context.name, {})
      checkEqual([delayed, leased], [1, 1], 'delayed and leased')
      checkEqual(
        consumers.map(({ consumer, unsettled }) => [consumer, unsettled]),
        [['ann', 1]],
        'consumers',
      )
    },
  },
  {
    name: 'looking at messages changes nothing',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2', '3']) await scene.send(text)
      const seen = await gather(scene.facet.peek(context.name, 'waiting', { limit: 2 }))
      checkEqual(texts(seen), ['1', '2'], 'the first two')
      checkEqual(only(seen).attempts, 0, 'attempts')
      checkEqual(await scene.drain(), ['1', '2', '3'], 'messages')
    },
  },
  {
    name: 'a message that is moved is due at its new time',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('a', { delay: 60_000 })
      checkEqual(await scene.facet.move(context.name, id, { dueAt: 1 }, {}), true, 'moved')
      checkEqual(await scene.drain(1000), ['a'], 'messages')
      checkEqual(await scene.facet.move(context.name, id, { dueAt: 1 }, {}), false, 'moved when gone')
    },
  },
  {
    name: 'a message that is removed is not delivered',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('a', { delay: 300 })
      checkEqual(await scene.facet.remove(context.name, id, {}), true, 'removed')
      checkEqual(await scene.facet.remove(context.name, id, {}), false, 'removed again')
      checkEqual(await scene.drain(600), [], 'messages')
    },
  },
  {
    name: 'a purge removes what it is told, says how many, and fences who holds one',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2']) await scene.send(text)
      const held = only(await scene.take(scene.consume(), 1))
      checkEqual(await scene.facet.purge(context.name, 'all', {}), 2, 'purged')
      await checkRejects(held.acknowledge({}), 'FENCED')
      checkEqual(await scene.drain(), [], 'messages')
    },
  },
  {
    name: 'dead letters come back by reason and number, oldest first, with their attempts at 0',
    async run(context) {
      const scene = new QueueScene(context)
      for (const text of ['1', '2', '3']) await scene.send(text)
      const consumer = scene.consume()
      for (const reason of ['rejected', 'validation', 'rejected'] as const) {
        await only(await scene.take(consumer, 1)).reject(reason, bytes('{}'), {})
      }
      await consumer.return?.()
      checkEqual(await scene.facet.redrive(context.name, { limit: 1, reason: 'rejected' }, {}), 1, 'one by reason')
      checkEqual(await scene.drain(), ['1'], 'the oldest')
      checkEqual(await scene.facet.redrive(context.name, { limit: 10 }, {}), 2, 'the others')
      const [message] = await scene.take(scene.consume(), 1)
      checkEqual([message?.attempt, texts(message === undefined ? [] : [message])], [1, ['2']], 'attempt and payload')
    },
  },
  {
    name: 'dead letters come back by their ids, to their places among the messages of their key',
    async run(context) {
      const scene = new QueueScene(context)
      const ids: string[] = []
      for (const text of ['1', '2', '3', '4']) ids.push(await scene.send(text, { key: 'k' }))
      const consumer = scene.consume()
      for (let at = 0; at < 3; at++) await only(await scene.take(consumer, 1)).reject('rejected', bytes('{}'), {})
      await consumer.return?.()
      checkEqual(await scene.facet.redrive(context.name, { ids: ids.slice(1) }, {}), 2, 'those that were dead')
      checkEqual(await scene.facet.redrive(context.name, { ids: ids.slice(1) }, {}), 0, 'nothing the second time')
      checkEqual(await scene.drain(), ['2', '3', '4'], 'order')
    },
  },
  {
    name: 'a purge and a redrive of many messages leave none behind',
    async run(context) {
      const scene = new QueueScene(context)
      const sent = 11_000
      for (let at = 0; at < sent; at += 500) {
        await Promise.all(Array.from({ length: 500 }, () => scene.send('a', { ttl: at < 5500 ? 1 : NEVER })))
      }
      await eventually(scene, 'half are dead', async () => (await scene.facet.stats(context.name, {})).dead === 5500)
      checkEqual(await scene.facet.redrive(context.name, { limit: 5400 }, {}), 5400, 'redriven')
      checkEqual(await scene.facet.purge(context.name, 'all', {}), sent, 'purged')
      const { waiting, dead } = await scene.facet.stats(context.name, {})
      checkEqual([waiting, dead], [0, 0], 'what is left')
    },
  },
  {
    name: 'who names a queue without rules leaves it those that it has, and is bound by them',
    async run(context) {
      const scene = new QueueScene(context, { limit: 1, concurrency: 1 })
      await scene.send('1', { key: 'a' })
      const plain = { name: context.name }
      await checkRejects(scene.facet.send(plain, { ...MESSAGE, key: 'b' }, {}), 'FULL')
      const consumer = scene.facet.consume(plain, { consumer: 'c', credit: 1 })[Symbol.asyncIterator]()
      await only(await scene.take(consumer, 1)).acknowledge({})
      await consumer.return?.()
      await scene.facet.send(plain, { ...MESSAGE, key: 'b' }, {})
      await checkRejects(scene.send('3'), 'FULL')
    },
  },
  {
    name: 'queues that hold something are listed',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('a')
      check(
        (await scene.facet.queues({})).some(({ name }) => name === context.name),
        'the list has the queue',
      )
    },
  },
]

export const EFFECT_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a commit acknowledges, changes a map of the placement, and sends',
    async run(context) {
      const scene = new QueueScene({ ...context, name: `${context.name}@p` }, { single: false })
      await scene.send('a', { key: 'k' })
      const message = only(await scene.take(scene.consume(), 1))
      const map = `${context.name}-map@p`
      const queue = { ...scene.queue, name: `${context.name}-next` }
      const sent = { ...MESSAGE, payload: bytes('b') }
      await message.commit(
        [
          { type: 'set', map, key: 'k', value: bytes('1') },
          { type: 'send', queue, message: sent },
        ],
        {},
      )
      checkEqual((await context.driver.keyValue.get(map, 'k', {})).value, bytes('1'), 'value')
      const next = scene.facet.consume(queue, { consumer: 'c', credit: 1 })[Symbol.asyncIterator]()
      checkEqual(texts(await scene.take(next, 1)), ['b'], 'what was sent')
      checkEqual(await scene.drain(), [], 'the message is done')
    },
  },
  {
    name: 'what a commit publishes makes the rules of its topic known, and is spread over its partitions where it has no key',
    async run(context) {
      const scene = new QueueScene(context)
      const { driver, name } = context
      const topic = { name: `${name}-events`, rules: { ...NO_TOPIC_LIMITS, partitions: 4, keepCount: 100 } }
      const record = { key: '', payload: bytes('r'), headers: {} }
      const consumer = scene.consume()
      for (let round = 0; round < 24; round++) {
        await scene.send('a')
        const message = only(await scene.take(consumer, 1))
        await message.commit([{ type: 'publish', topic, ...record }], {})
      }
      const ends = async (): Promise<readonly number[]> =>
        ((await driver.topic?.partitions(topic, {})) ?? []).map(({ end }) => Number(end))
      await eventually(context, 'all are published', async () => (await ends()).reduce((sum, end) => sum + end) === 24)
      check((await ends()).filter((end) => end > 0).length > 1, 'more than one partition has some')
      const known = (await driver.topic?.topics({}))?.find((each) => each.name === topic.name)
      checkEqual([known?.rules.partitions, known?.rules.keepCount], [4, 100], 'rules')
    },
  },
  {
    name: 'a commit whose condition fails changes nothing, and the message is still held',
    async run(context) {
      const scene = new QueueScene({ ...context, name: `${context.name}@p` }, { single: false })
      await scene.send('a', { key: 'k' })
      const message = only(await scene.take(scene.consume(), 1))
      const map = `${context.name}-map@p`
      const set = { type: 'set', map, key: 'k', value: bytes('1') } as const
      await checkRejects(message.commit([set, { type: 'delete', map, key: 'k', ifRevision: 5n }], {}), 'CONFLICT')
      checkEqual((await context.driver.keyValue.get(map, 'k', {})).value, undefined, 'value')
      await message.acknowledge({})
    },
  },
  {
    name: 'a commit under a lease that is over is FENCED and changes nothing',
    async run(context) {
      const scene = new QueueScene({ ...context, name: `${context.name}@p` }, { single: false })
      await scene.send('a', { key: 'k' })
      const consumer = scene.consume()
      const message = only(await scene.take(consumer, 1))
      await consumer.return?.()
      const map = `${context.name}-map@p`
      await checkRejects(message.commit([{ type: 'set', map, key: 'k', value: bytes('1') }], {}), 'FENCED')
      checkEqual((await context.driver.keyValue.get(map, 'k', {})).value, undefined, 'value')
    },
  },
  {
    name: 'the result of a message is kept for those who ask',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('a')
      const message = only(await scene.take(scene.consume(), 1))
      await message.commit([{ type: 'result', value: bytes('42'), keep: 60_000 }], {})
      const found = await scene.facet.inspect(context.name, id, {})
      checkEqual([found?.id, found?.state, found?.result], [id, 'done', bytes('42')], 'what is known')
      checkEqual([found?.key, found?.payload, found?.sentAt, found?.dueAt], ['', bytes(''), 0, 0], 'what is not')
    },
  },
]

const RULE = { until: undefined, missed: 'skip', payload: bytes('tick'), headers: {} } as const

export const SCHEDULE_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a schedule at a time fires once, with the name of the firing',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.facet.schedule(scene.queue, 'once', { ...RULE, rule: { every: 300 } }, {})
      const fired = only(await scene.take(scene.consume(), 1))
      await scene.facet.unschedule(context.name, 'once', {})
      checkEqual([fired.key, texts([fired])], ['once', ['tick']], 'key and payload')
      check(/^once@\d+$/.test(fired.headers['troupe-firing'] ?? ''), 'the firing is named in a header')
    },
  },
  {
    name: 'the same schedule again changes nothing, and it is listed once',
    async run(context) {
      const scene = new QueueScene(context)
      const rule = { ...RULE, rule: { every: 3_600_000 } }
      await scene.facet.schedule(scene.queue, 's', rule, {})
      const before = (await scene.facet.schedules({})).filter(({ queue }) => queue === context.name)
      await scene.facet.schedule(scene.queue, 's', rule, {})
      const after = (await scene.facet.schedules({})).filter(({ queue }) => queue === context.name)
      checkEqual(after, before, 'schedules')
      checkEqual(after.length, 1, 'how many')
      checkEqual(await scene.facet.unschedule(context.name, 's', {}), true, 'there was one')
      checkEqual(await scene.facet.unschedule(context.name, 's', {}), false, 'there is none')
    },
  },
  {
    name: 'a schedule that is paused fires nothing, also when it is set again, and says so; resumed, what has passed was missed',
    async run(context) {
      const scene = new QueueScene(context)
      const [skip, all] = [
        { ...RULE, rule: { every: 3000 } },
        { ...RULE, rule: { every: 3000 }, missed: 'all', payload: bytes('tock') },
      ] as const
      const set = async (): Promise<void> => {
        await scene.facet.schedule(scene.queue, 'skip', skip, {})
        await scene.facet.schedule(scene.queue, 'all', all, {})
      }
      const pause = async (isPaused: boolean): Promise<void> => {
        for (const id of ['skip', 'all']) {
          checkEqual(await scene.facet.pauseSchedule({ queue: context.name, id }, isPaused, {}), true, 'there is one')
        }
      }
      const state = async (): Promise<unknown> =>
        (await scene.facet.schedules({}))
          .filter(({ queue }) => queue === context.name)
          .map(({ isPaused, nextAt }) => [isPaused, nextAt !== undefined])
      await set()
      await pause(true)
      await set()
      checkEqual(
        await state(),
        [
          [true, false],
          [true, false],
        ],
        'while paused',
      )
      checkEqual(await scene.drain(4300), [], 'messages while paused')
      await pause(false)
      checkEqual(
        await state(),
        [
          [false, true],
          [false, true],
        ],
        'resumed',
      )
      checkEqual(await scene.drain(600), ['tock'], 'what was missed')
      await pause(true)
      checkEqual(await scene.facet.pauseSchedule({ queue: context.name, id: 'none' }, true, {}), false, 'there is none')
    },
  },
  {
    name: 'a cron that is none is INVALID_ARGUMENT',
    async run(context) {
      const scene = new QueueScene(context)
      const rule = { ...RULE, rule: { cron: 'every now and then', timeZone: 'UTC' } }
      await checkRejects(scene.facet.schedule(scene.queue, 's', rule, {}), 'INVALID_ARGUMENT')
    },
  },
  {
    name: 'a schedule that was ended fires no more',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.facet.schedule(scene.queue, 's', { ...RULE, rule: { every: 200 } }, {})
      await eventually(scene, 'it has fired', async () => (await scene.drain(100)).length > 0)
      await scene.facet.unschedule(context.name, 's', {})
      await scene.drain(100)
      checkEqual(await scene.drain(600), [], 'messages')
    },
  },
]
