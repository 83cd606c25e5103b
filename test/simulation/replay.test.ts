import { expect, test } from 'vitest'
import { defineTopic, type Troupe } from '../../src/index.ts'
import { Scene } from './scene.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const events = defineTopic<number>('events', { partitions: 2, retention: { age: 2 * HOUR } })

/** What the group reads until there is nothing more for it. */
async function readAll(scene: Scene, troupe: Troupe): Promise<readonly number[]> {
  const seen: number[] = []
  const over = new AbortController()
  const read = async (): Promise<void> => {
    for await (const batch of troupe.topic(events).subscribe({ group: 'g', signal: over.signal })) {
      seen.push(...batch.records.map(({ value }) => value))
      await batch.commit()
    }
  }
  const reading = read().catch(() => {})
  await scene.pass(5000)
  over.abort()
  await scene.settled(reading)
  await scene.pass(15_000)
  return seen
}

test('a group that is set back by an hour reads the same records in the same order, and what is older than its topic keeps goes', async () => {
  const scene = await Scene.begin({ shards: 2 })
  const { troupe, computer } = scene.application()
  const topic = troupe.topic(events)
  let number = 0
  // Three hours, one record in ten minutes; two hours are kept.
  const sentAt: number[] = []
  for (; number < 18; number++) {
    await scene.settled(topic.publish(number, { key: 'one' }))
    sentAt.push(computer.wallTime())
    await scene.pass(10 * MINUTE)
  }
  const kept = await readAll(scene, troupe)
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, at) => 18 - kept.length + at))
  // An eighth of the time late at most.
  expect(kept.length).toBeGreaterThanOrEqual(11)
  expect(kept.length).toBeLessThanOrEqual(14)
  expect(await readAll(scene, troupe)).toEqual([])
  const since = computer.wallTime() - HOUR
  await scene.settled(topic.reset('g', { time: since }))
  const again = await readAll(scene, troupe)
  expect(again).toEqual(kept.filter((value) => (sentAt[value] ?? 0) >= since))
  expect(again.length).toBeGreaterThanOrEqual(5)
  const partitions = await scene.settled(topic.partitions())
  expect(partitions.reduce((sum, { records }) => sum + Number(records), 0)).toBeLessThanOrEqual(kept.length)
  scene.close()
}, 120_000)
