import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../src/base/identity.ts'
import { defineQueue, type Troupe } from '../../src/index.ts'
import { Scene } from './scene.ts'

const jobs = defineQueue<string>('jobs')
const HOUR = 3_600_000

/** Sends with this delay; how late it came, once `meanwhile` has happened and the time is over. */
async function lateness(scene: Scene, delay: number, meanwhile: (troupe: Troupe) => Promise<void>): Promise<number> {
  const { troupe } = scene.application()
  let sentAt = 0
  let deliveredAt = Number.POSITIVE_INFINITY
  void troupe
    .queue(jobs)
    .send('later', { delay, key: 'k' })
    .then(() => {
      sentAt = scene.now
    })
  troupe.queue(jobs).work(() => {
    expect(deliveredAt, 'it comes once').toBe(Number.POSITIVE_INFINITY)
    deliveredAt = scene.now
  })
  await scene.pass(500)
  await meanwhile(troupe)
  await scene.until(sentAt + 2 * delay, () => false)
  scene.close()
  return deliveredAt - sentAt - delay
}

// The group is idle meanwhile: nothing but what is done for it tells a replica what time it is.
describe('a message that is due in 30 s comes within 250 ms of its time', () => {
  test('though its leader was killed, came back and leads again', async () => {
    const scene = await Scene.begin()
    const first = scene.leader
    const late = await lateness(scene, 30_000, async () => {
      await scene.pass(8000)
      await scene.restart(first, 1000)
      await scene.pass(8000)
      expect(scene.leader, 'offices return to who should have them').toBe(first)
    })
    expect(Math.abs(late)).toBeLessThan(250)
  })

  test.each([0, HOUR, -HOUR])(
    'though it is led by who was restarted, by a calendar that is %d ms away',
    async (away) => {
      const scene = await Scene.begin()
      const late = await lateness(scene, 30_000, async () => {
        await scene.pass(8000)
        for (const node of scene.followers) {
          await scene.restart(node, 300)
          scene.cluster.stepClock(node, away)
        }
        await scene.pass(3000)
        scene.cluster.crash(scene.leader)
      })
      expect(Math.abs(late)).toBeLessThan(250)
    },
  )

  test('though a batch came to who was restarted only later', async () => {
    const scene = await Scene.begin()
    const late = await lateness(scene, 30_000, async (troupe) => {
      const { followers } = scene
      // The log goes on while this one is down, and then stands still.
      scene.cluster.crash(followers[0] as NodeId)
      await scene.pass(1000)
      void troupe.queue(jobs).send('another', { delay: 3_600_000, key: 'k' })
      await scene.pass(9000)
      scene.cluster.restart(followers[0] as NodeId)
      await scene.pass(1500)
      scene.cluster.crash(scene.leader)
    })
    expect(Math.abs(late)).toBeLessThan(250)
  })
})

test('a cron that fires each second on five nodes whose leader is killed again and again fires once for each second, or lists it as missed', async () => {
  const scene = await Scene.begin({ nodes: 5 })
  const { cluster } = scene
  const { troupe } = scene.application()
  /** The messages of each firing. */
  const fired = new Map<string, Set<string>>()
  const missed = new Set<number>()
  void troupe.schedule(jobs, 'tick', { cron: '* * * * * *' }, { value: 'tick', missed: 'skip' })
  troupe.queue(jobs).work(({ id, headers }) => {
    const firing = headers['troupe-firing'] ?? ''
    fired.set(firing, (fired.get(firing) ?? new Set()).add(id))
  })
  const look = async () => {
    const looked = troupe.schedules().then(([schedule]) => {
      for (const time of schedule?.missedTimes ?? []) missed.add(time)
      return schedule?.missedCount
    })
    await scene.pass(1000)
    return looked
  }
  for (let minute = 0; minute < 10; minute++) {
    for (let kill = 0; kill < 3; kill++) {
      await scene.pass(12_000)
      const { leader } = scene
      cluster.crash(leader)
      await scene.pass(5000)
      cluster.restart(leader)
      await look()
    }
  }
  // Nobody leads for some seconds: what was due then is late by more than one.
  for (const node of cluster.nodes) cluster.crash(node)
  await scene.pass(8000)
  for (const node of cluster.nodes) cluster.restart(node)
  await scene.pass(20_000)
  const missedCount = await look()
  cluster.close()
  const times = [...fired.keys()].map((firing) => Number(firing.split('@')[1]) / 1000).sort((a, b) => a - b)
  expect(Math.max(...[...fired.values()].map((ids) => ids.size))).toBe(1)
  const [first = 0] = times
  const last = times.at(-1) ?? 0
  expect(last - first).toBeGreaterThan(530_000)
  const all = [...times, ...missed].filter((time) => time >= first && time <= last).sort((a, b) => a - b)
  expect(all).toEqual(Array.from({ length: (last - first) / 1000 + 1 }, (_, at) => first + at * 1000))
  expect(missed.size).toBe(missedCount)
  expect(missed.size).toBeGreaterThan(5)
}, 60_000)
