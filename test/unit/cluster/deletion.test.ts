import { expect, test } from 'vitest'
import type { Driver, NamedQueue, NamedTopic, OutgoingMessage } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const NO_LIMIT = Number.POSITIVE_INFINITY
const payload = Uint8Array.of(1)
const queue: NamedQueue = { name: 'jobs', rules: { ...RULES, limit: 1, single: true } }
const topic: NamedTopic = {
  name: 'events',
  rules: { partitions: 1, keepMs: NO_LIMIT, keepBytes: NO_LIMIT, keepCount: 1, compact: false },
}
const message: OutgoingMessage = {
  key: '',
  payload,
  headers: {},
  delay: 0,
  ttl: NO_LIMIT,
  priority: 0,
  deduplication: undefined,
}

async function settled<Value>(cluster: TestCluster, promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {})
  await cluster.run(3000)
  return promise
}

function facets({ queue: queues, topic: topics }: Driver) {
  if (queues === undefined || topics === undefined) throw new Error('the native driver has both')
  return { queues, topics }
}

test('an application that knew the rules of what another one deleted makes them known again, with the first that it sends', async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  await cluster.run(3000)
  const [one, other] = [facets(cluster.application(true)), facets(cluster.application(true))]
  await settled(cluster, one.queues.send(queue, message, {}))
  await settled(cluster, one.topics.publish(topic, { key: 'k', payload, headers: {} }, {}))
  expect(await settled(cluster, other.queues.delete('jobs', {}))).toBe(1)
  await settled(cluster, other.topics.delete('events', {}))
  // The first is there before the rules are, and they are there before the second.
  await settled(cluster, one.queues.send(queue, message, {}))
  await expect(settled(cluster, one.queues.send(queue, message, {}))).rejects.toMatchObject({ code: 'FULL' })
  for (let at = 0; at < 2; at++) {
    await settled(cluster, one.topics.publish(topic, { key: 'k', payload, headers: {} }, {}))
  }
  const [partition] = await settled(cluster, other.topics.partitions(topic, {}))
  expect([partition?.first, partition?.end]).toEqual([1n, 2n])
})

test('of two that begin a topic with other numbers of partitions one has it, in all shards', async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'], 8)
  await cluster.run(3000)
  for (let at = 0; at < 5; at++) {
    const begun = [4, 8].map((partitions) => {
      const named = { name: `orders-${at}`, rules: { ...topic.rules, partitions } }
      return facets(cluster.application(true)).topics.publish(named, { key: 'k', payload, headers: {} }, {})
    })
    const ends = await settled(cluster, Promise.allSettled(begun))
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const [known] = (await settled(cluster, facets(cluster.application(true)).topics.topics({}))).slice(at)
    const winner = ends[0]?.status === 'fulfilled' ? 4 : 8
    expect(known?.rules.partitions).toBe(winner)
  }
})
