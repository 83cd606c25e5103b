import { afterEach, expect, test } from 'vitest'
import { defineTopic, type TopicBatch } from '../../src/index.ts'
import { Scene } from './scene.ts'

const orders = defineTopic<number>('orders', { partitions: 2 })
const GROUP = 'billing'
let scene: Scene

afterEach(() => scene.close())

test('a partition that was to be yielded, and stays because the other member has left, is read on', async () => {
  scene = await Scene.begin()
  const { troupe } = scene.application()
  const topic = troupe.topic(orders)
  const taken: TopicBatch<number>[] = []
  const reading = (async () => {
    for await (const batch of topic.subscribe({ group: GROUP })) taken.push(batch)
  })()
  const values = (): readonly number[] =>
    taken.flatMap(({ records }) => records.map(({ value }) => value)).sort((a, b) => a - b)
  // Both partitions have some of these.
  for (let value = 0; value < 5; value++) await scene.settled(topic.publish(value, { key: `key-${value}` }))
  await scene.until(scene.now + 5000, () => values().length === 5)
  expect(new Set(taken.map(({ partition }) => partition)).size).toBe(2)
  const other = scene.application().troupe
  const joining = other.topic(orders).subscribe({ group: GROUP })[Symbol.asyncIterator]().next()
  // What is being handled holds the partition back, for less than the grace.
  await scene.pass(1000)
  const [group] = await scene.settled(topic.groups())
  expect(group?.members.map(({ partitions }) => partitions)).toEqual([[0], []])
  await scene.settled(other.close())
  await scene.settled(joining)
  await scene.pass(1000)
  expect(taken.some(({ lost }) => lost.aborted)).toBe(false)
  for (const batch of taken) await scene.settled(batch.commit())
  for (let value = 5; value < 10; value++) await scene.settled(topic.publish(value, { key: `key-${value - 5}` }))
  await scene.until(scene.now + 20_000, () => values().length === 10)
  expect(values()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await scene.settled(troupe.close())
  await reading
})
