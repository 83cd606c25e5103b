import { afterEach, expect, test } from 'vitest'
import { defineTopic, type TopicBatch } from '../../src/index.ts'
import { Scene } from './scene.ts'

const GROUP = 'billing'
const orders = defineTopic<number>('orders', { partitions: 2 })
let scene: Scene

afterEach(() => scene.close())

const valuesOf = ({ records }: TopicBatch<number>): readonly number[] => records.map(({ value }) => value)

/** A member that has read all records of both partitions and committed none, while another waits for one of them. */
async function waitingFor() {
  const { troupe } = scene.application()
  const topic = troupe.topic(orders)
  const taken: TopicBatch<number>[] = []
  const reading = (async () => {
    for await (const batch of topic.subscribe({ group: GROUP })) taken.push(batch)
  })()
  const values = (): readonly number[] => taken.flatMap(valuesOf).sort((a, b) => a - b)
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
  return { troupe, topic, taken, values, reading, other, joining }
}

test('a partition that was to be yielded, and stays because the other member has left, is read on', async () => {
  scene = await Scene.begin()
  const { troupe, topic, taken, values, reading, other, joining } = await waitingFor()
  await scene.settled(other.close())
  await scene.settled(joining)
  await scene.pass(1000)
  expect(taken.some(({ signal }) => signal.aborted)).toBe(false)
  for (const batch of taken) await scene.settled(batch.commit())
  for (let value = 5; value < 10; value++) await scene.settled(topic.publish(value, { key: `key-${value - 5}` }))
  await scene.until(scene.now + 20_000, () => values().length === 10)
  expect(values()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await scene.settled(troupe.close())
  await reading
})

test('a partition that is given back in the moment in which it is committed and yielded is read on after that commit', async () => {
  scene = await Scene.begin()
  const { troupe, topic, taken, values, reading, other, joining } = await waitingFor()
  const { cluster, leader } = scene
  // The leader hears of both at once: the answer to the commit comes before what is announced of the group.
  cluster.pause(leader)
  const closing = other.close()
  await scene.pass(2)
  const commits = Promise.all(taken.map((batch) => batch.commit()))
  await scene.pass(5)
  cluster.resume(leader)
  await scene.settled(Promise.all([commits, closing, joining]))
  for (let value = 5; value < 10; value++) await scene.settled(topic.publish(value, { key: `key-${value - 5}` }))
  await scene.pass(20_000)
  expect(values()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(taken.some(({ signal }) => signal.aborted)).toBe(false)
  await scene.settled(troupe.close())
  await reading
})

test('a member that stood still for longer than its lease knows at once that its partitions are lost', async () => {
  scene = await Scene.begin()
  const { troupe, computer } = scene.application()
  const single = defineTopic<number>('single', { partitions: 1 })
  const topic = troupe.topic(single)
  for (let value = 0; value < 4; value++) await scene.settled(topic.publish(value))
  const batches = topic.subscribe({ group: GROUP, batch: 1 })[Symbol.asyncIterator]()
  const first = (await scene.settled(batches.next())).value
  await scene.pass(1000)
  computer.pause()
  const other = scene.application().troupe
  const read: number[] = []
  const reading = (async () => {
    for await (const batch of other.topic(single).subscribe({ group: GROUP })) {
      read.push(...valuesOf(batch))
      await batch.commit()
    }
  })()
  await scene.until(scene.now + 60_000, () => read.length === 4)
  await scene.pass(100)
  computer.resume()
  expect(first?.signal.aborted).toBe(true)
  // What had come before is not handed out any more.
  const next = batches.next()
  await scene.settled(other.close())
  await reading
  await scene.pass(20_000)
  await scene.settled(topic.publish(4))
  const { value: batch } = await scene.settled(next)
  expect(batch === undefined ? [] : valuesOf(batch)).toEqual([4])
  await scene.settled(troupe.close())
})
