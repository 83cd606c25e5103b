/** Cases of queues and topics that are deleted, and of what comes under their names afterwards. */

import type { ScheduleRule } from '../contract.ts'
import { bytes, check, checkEqual, checkRejects } from './case.ts'
import { eventually, MESSAGE, only, QueueScene, type TimedConformanceCase, texts } from './message-case.ts'
import { TopicScene } from './topic-scene.ts'

const HOURLY: ScheduleRule = {
  rule: { every: 3_600_000 },
  until: undefined,
  missed: 'skip',
  payload: bytes('payload'),
  headers: {},
}
const WINDOW = { id: 'd', mode: 'drop', window: 3_600_000 } as const

export const QUEUE_DELETES: readonly TimedConformanceCase[] = [
  {
    name: 'of a queue that is deleted nothing is left: no message, dead letter, deduplication id or pause',
    async run(context) {
      const scene = new QueueScene(context)
      const { facet } = scene
      const first = await scene.send('1', { deduplication: WINDOW })
      const consumer = scene.consume()
      await only(await scene.take(consumer, 1)).reject('rejected', bytes('{}'), {})
      await consumer.return?.()
      for (const text of ['2', '3']) await scene.send(text)
      await facet.pause(context.name, true, {})
      checkEqual(await facet.delete(context.name, {}), 3, 'messages that went')
      check(!(await facet.queues({})).some(({ name }) => name === context.name), 'the list does not have it')
      const { waiting, dead, isPaused } = await facet.stats(context.name, {})
      checkEqual([waiting, dead, isPaused], [0, 0, false], 'what is left')
      const again = await scene.send('4', { deduplication: WINDOW })
      check(again !== first, 'no id comes twice')
      checkEqual(await facet.inspect(context.name, first, {}), undefined, 'the message of the old id')
      checkEqual(await facet.remove(context.name, first, {}), false, 'the old id removes nothing')
      checkEqual(await scene.drain(), ['4'], 'messages')
    },
  },
  {
    name: 'a queue that was deleted has the rules again by which it is sent to, or received from',
    async run(context) {
      const scene = new QueueScene(context, { limit: 1 })
      await scene.send('1')
      await scene.facet.delete(context.name, {})
      await scene.send('2')
      await checkRejects(scene.send('3'), 'FULL')
      await scene.facet.delete(context.name, {})
      const consumer = scene.consume()
      const next = scene.take(consumer, 1)
      await scene.sleep(300)
      // Nobody has sent to it, but somebody receives by its rules.
      await scene.facet.send({ name: context.name }, MESSAGE, {})
      await checkRejects(scene.facet.send({ name: context.name }, MESSAGE, {}), 'FULL')
      await only(await next).acknowledge({})
    },
  },
  {
    name: 'a queue with consumers or schedules is not deleted, and one that is not there is',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('1')
      const consumer = scene.consume()
      await only(await scene.take(consumer, 1)).release({})
      await checkRejects(scene.facet.delete(context.name, {}), 'CONFLICT')
      await consumer.return?.()
      await eventually(scene, 'the consumer has left', async () => {
        return (await scene.facet.stats(context.name, {})).consumers.length === 0
      })
      await scene.facet.schedule(scene.queue, context.name, HOURLY, {})
      await checkRejects(scene.facet.delete(context.name, {}), 'CONFLICT')
      checkEqual((await scene.facet.stats(context.name, {})).waiting, 1, 'messages')
      await scene.facet.unschedule(context.name, context.name, {})
      checkEqual(await scene.facet.delete(context.name, {}), 1, 'messages that went')
      checkEqual(await scene.facet.delete(context.name, {}), 0, 'messages of what is not there')
    },
  },
]

export const TOPIC_DELETES: readonly TimedConformanceCase[] = [
  {
    name: 'of a topic that is deleted nothing is left, and what comes under its name begins at 0 for everybody',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b')
      const reader = scene.subscribe({ group: 'g' })
      const batch = await scene.next(reader)
      await batch.commit({})
      await checkRejects(scene.facet.delete(context.name, {}), 'CONFLICT')
      await reader.return?.()
      await eventually(scene, 'the member has left', async () => {
        const groups = await scene.facet.groups(context.name, {})
        return groups.every(({ members }) => members.length === 0)
      })
      await scene.facet.delete(context.name, {})
      const topics = await scene.facet.topics({})
      check(!topics.some(({ name }) => name === context.name), 'the list does not have it')
      checkEqual(await scene.facet.groups(context.name, {}), [], 'groups')
      checkEqual((await scene.publish('c', 'k')).offset, 0n, 'the first offset')
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 1), ['c'], 'records')
      await scene.facet.delete('nobody-knows-it', {})
    },
  },
  {
    name: 'a topic that was deleted has the rules again by which it is published to',
    async run(context) {
      const scene = new TopicScene(context, { keepCount: 1 })
      await scene.publish('a', 'k')
      await scene.facet.delete(context.name, {})
      await scene.publish('b', 'k')
      await scene.publish('c', 'k')
      const [partition] = await scene.facet.partitions(scene.topic, {})
      checkEqual([partition?.first, partition?.end], [1n, 2n], 'what is kept')
    },
  },
  {
    name: 'a subscription to a topic that is deleted ends with CLOSED; one by a pattern goes on with what comes under the name',
    async run(context) {
      const scene = new TopicScene(context)
      const name = `${context.name}.a`
      const named = { ...scene.topic, name }
      const record = (text: string) => ({ key: 'k', payload: bytes(text), headers: {} })
      await scene.facet.publish(named, record('1'), {})
      const options = { batch: 1, from: 'earliest' } as const
      const plain = scene.facet.subscribe(named, options)[Symbol.asyncIterator]()
      const pattern = scene.facet.subscribe({ ...named, name: `${context.name}.*` }, options)[Symbol.asyncIterator]()
      for (const reader of [plain, pattern]) checkEqual(await scene.read(reader, 1), ['1'], 'records')
      const ended = checkRejects(plain.next(), 'CLOSED')
      const next = scene.next(pattern)
      await scene.facet.delete(name, {})
      await ended
      await scene.facet.publish(named, record('2'), {})
      checkEqual(texts((await next).records), ['2'], 'what came under the name')
      await pattern.return?.()
    },
  },
]
