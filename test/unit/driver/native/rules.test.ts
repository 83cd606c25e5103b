import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../../src/base/bytes.ts'
import type { Driver, NamedQueue, NamedTopic, QueueFacet, TopicFacet } from '../../../../src/driver/contract.ts'
import { encodeHead, NO_SESSION } from '../../../../src/machine/command.ts'
import { QUEUE_COMMAND, QUEUE_QUERY } from '../../../../src/machine/queue/command.ts'
import { decodeSettingsAnswer, encodeDelete, encodeQueueQuery } from '../../../../src/machine/queue/encode.ts'
import { defineQueue, type QueueOptions } from '../../../../src/message/queue.ts'
import { defineTopic } from '../../../../src/message/topic.ts'
import { text, World } from './world.ts'

const MESSAGE = { key: 'k', headers: {}, payload: text('1'), delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0 }
const message = { ...MESSAGE, deduplication: undefined }
const record = { key: 'k', headers: {}, payload: text('1') }

function queueOf(options: QueueOptions): NamedQueue {
  const { name, rules } = defineQueue('q', options)
  return { name, rules }
}

function topicOf(keepCount: number): NamedTopic {
  const { name, rules } = defineTopic('t', { retention: { count: keepCount } })
  return { name, rules }
}

function facetsOf(driver: Driver): { queue: QueueFacet; topic: TopicFacet } {
  const { queue, topic } = driver
  if (queue === undefined || topic === undefined) throw new Error('the native driver has queues and topics')
  return { queue, topic }
}

/** What each shard has, as far as it has the queue. */
function attemptsIn(world: World): number[] {
  const writer = new ByteWriter()
  encodeQueueQuery(writer, QUEUE_QUERY.settings, 'q')
  const query = writer.take()
  return world.shards.map((shard) => decodeSettingsAnswer(shard.query(query)).maxAttempts)
}

describe('two definitions of one queue', () => {
  test('used in turn in two processes: each is said once, and the last one stays', async () => {
    const world = new World()
    const [a, b] = [facetsOf(world.driver()).queue, facetsOf(world.driver()).queue]
    const [three, eight] = [queueOf({ maxAttempts: 3 }), queueOf({ maxAttempts: 8 })]
    const send = (facet: QueueFacet, queue: NamedQueue) => world.time.until(facet.send(queue, message, {}))
    await send(a, three)
    await send(b, eight)
    const before = world.executed
    for (let turn = 0; turn < 10; turn++) {
      await send(a, three)
      await send(b, eight)
    }
    expect(attemptsIn(world)).toEqual([8, 8, 8, 8])
    expect(world.executed - before).toBe(20)
  })

  test('used in turn in one process: each is said once, and the last one stays', async () => {
    const world = new World()
    const { queue } = facetsOf(world.driver())
    const send = (options: QueueOptions) => world.time.until(queue.send(queueOf(options), message, {}))
    await send({ maxAttempts: 3 })
    await send({ maxAttempts: 8 })
    const before = world.executed
    for (let turn = 0; turn < 10; turn++) {
      await send({ maxAttempts: 3 })
      await send({ maxAttempts: 8 })
    }
    expect(attemptsIn(world)).toEqual([8, 8, 8, 8])
    expect(world.executed - before).toBe(20)
  })

  test('a consumer that begins again brings an older definition not back', async () => {
    const world = new World()
    const [a, b] = [facetsOf(world.driver()).queue, facetsOf(world.driver()).queue]
    const begin = async (): Promise<void> => {
      const consumer = a.consume(queueOf({ maxAttempts: 3 }), { consumer: 'c', credit: 1 })[Symbol.asyncIterator]()
      consumer.next().catch(() => undefined)
      await world.time.advance(100)
      await consumer.return?.()
    }
    await begin()
    await world.time.until(b.send(queueOf({ maxAttempts: 8 }), message, {}))
    await begin()
    expect(attemptsIn(world)).toEqual([8, 8, 8, 8])
  })

  test('are said to be two, with what is other now, to whoever comes with the second', async () => {
    const world = new World()
    const said: string[] = []
    const [a, b] = [world.driver(), world.driver((warning) => said.push(warning))].map(facetsOf)
    await world.time.until(Promise.resolve(a?.queue.send(queueOf({ maxAttempts: 3 }), message, {})))
    await world.time.until(Promise.resolve(b?.queue.send(queueOf({ maxAttempts: 3 }), message, {})))
    expect(said).toEqual([])
    const third = facetsOf(world.driver((warning) => said.push(warning))).queue
    await world.time.until(third.send(queueOf({ maxAttempts: 8, lease: 5000 }), message, {}))
    expect(said).toEqual([
      "the queue 'q' had other rules until now, and has maxAttempts 8, leaseMs 5000: what is used last counts. Share one definition.",
    ])
  })
})

test('two definitions of one topic are said to be two', async () => {
  const world = new World()
  const said: string[] = []
  const { topic } = facetsOf(world.driver())
  await world.time.until(topic.publish(topicOf(100), record, {}))
  const other = facetsOf(world.driver((warning) => said.push(warning))).topic
  await world.time.until(other.publish(topicOf(5), record, {}))
  expect(said).toHaveLength(1)
  expect(said[0]).toMatch(/^the topic 't' had other rules until now, and has keepCount 5:/)
})

test('members of whom one is of a version that does not compare rules have nobody warned', async () => {
  const world = new World({ level: 1 })
  const said: string[] = []
  for (const count of [100, 5]) {
    const { topic } = facetsOf(world.driver((warning) => said.push(warning)))
    await world.time.until(topic.publish(topicOf(count), record, {}))
  }
  expect(said).toEqual([])
})

test('a queue that others have deleted has its rules again as soon as one message has been sent to it', async () => {
  const world = new World()
  const { queue } = facetsOf(world.driver())
  await world.time.until(queue.send(queueOf({ maxAttempts: 3 }), message, {}))
  const deletion = new ByteWriter()
  encodeHead(deletion, QUEUE_COMMAND.queueDelete, { session: NO_SESSION, sequence: 0, acknowledged: 0 })
  encodeDelete(deletion, 'q', 100)
  const command = deletion.take()
  for (const shard of world.shards.keys()) world.execute(shard + 1, command)
  await world.time.until(queue.send(queueOf({ maxAttempts: 3 }), message, {}))
  await world.time.advance(100)
  expect(attemptsIn(world)).toEqual([3, 3, 3, 3])
})
