import { describe, expect, test } from 'vitest'
import { defineQueue, type QueueOptions, type Troupe } from '../../src/index.ts'
import { Scene } from './scene.ts'

const NODES = 10
const KEYS = 20

interface Handled {
  readonly key: string
  readonly at: number
  /** 1 when a handler began, -1 when it ended. */
  readonly change: 1 | -1
}

/** Ten nodes, and ten applications that work off what one of them has sent; what all their handlers logged. */
async function workOff(
  options: QueueOptions,
  messages: number,
  disturb: (scene: Scene) => Promise<void> = async () => {},
): Promise<readonly Handled[]> {
  const jobs = defineQueue<number>('jobs', options)
  const scene = await Scene.begin({ nodes: NODES, shards: 16 })
  const applications = Array.from({ length: NODES }, () => scene.application())
  const log: Handled[] = []
  const done = new Set<number>()
  const sender = applications[0]?.troupe as Troupe
  const sent = Array.from({ length: messages }, (_, number) =>
    sender.queue(jobs).send(number, { key: `k${number % KEYS}` }),
  )
  await scene.settled(Promise.all(sent))
  for (const { troupe, computer } of applications) {
    const handle = async ({ key, value }: { key: string; value: number }, { signal }: { signal: AbortSignal }) => {
      log.push({ key, at: scene.now, change: 1 })
      await new Promise<void>((resolve) => {
        computer.at(computer.now() + 20 + scene.random.below(40), resolve)
        signal.addEventListener('abort', () => resolve())
      })
      log.push({ key, at: scene.now, change: -1 })
      if (!signal.aborted) done.add(value)
    }
    troupe.queue(jobs).work(handle, { concurrency: KEYS })
  }
  await disturb(scene)
  await scene.until(scene.now + 120_000, () => done.size === messages)
  scene.close()
  expect(done.size).toBe(messages)
  return log
}

/** The most that were under way at a moment. */
function most(log: readonly Handled[]): number {
  let [now, highest] = [0, 0]
  for (const { change } of log) {
    now += change
    highest = Math.max(highest, now)
  }
  return highest
}

/** The most that began within a period, wherever it starts. */
function mostWithin(log: readonly Handled[], period: number): number {
  const begins = log.filter(({ change }) => change === 1).map(({ at }) => at)
  return Math.max(...begins.map((from) => begins.filter((at) => at >= from && at < from + period).length))
}

function byKey(log: readonly Handled[]): readonly (readonly Handled[])[] {
  return Array.from({ length: KEYS }, (_, key) => log.filter((handled) => handled.key === `k${key}`))
}

async function crashes(scene: Scene): Promise<void> {
  for (const node of scene.cluster.nodes.slice(0, 4)) {
    await scene.pass(300)
    await scene.restart(node, 300)
  }
}

describe('ten nodes and ten applications', () => {
  test('never have more than five messages of a key under way in all, and as many as that', async () => {
    const log = await workOff({ order: 'none', perKey: { concurrency: 5 } }, 1000)
    expect(byKey(log).map(most)).toEqual(Array.from({ length: KEYS }, () => 5))
    expect(most(log)).toBeGreaterThan(50)
  })

  test('have no more than five of a key though one node after the other crashes, with what it had handed out', async () => {
    const log = await workOff({ order: 'none', perKey: { concurrency: 5 } }, 1000, crashes)
    expect(byKey(log).map(most)).toEqual(Array.from({ length: KEYS }, () => 5))
    expect(log.length).toBeGreaterThan(2 * 1000)
  })

  test('have no more of all keys under way than the queue allows', async () => {
    expect(most(await workOff({ order: 'none', concurrency: 7 }, 500, crashes))).toBe(7)
  })

  test('begin no more in a period than the rates of the queue and of its keys bring, and what had been saved up', async () => {
    const [rate, keyRate] = [
      { messages: 60, per: 1000 },
      { messages: 4, per: 1000 },
    ]
    const log = await workOff({ order: 'none', rate, perKey: { rate: keyRate } }, 500)
    expect(mostWithin(log, 1000)).toBeLessThanOrEqual(2 * 60)
    expect(Math.max(...byKey(log).map((ofKey) => mostWithin(ofKey, 1000)))).toBeLessThanOrEqual(2 * 4)
    // What is left waits for its rate, and not for anything else.
    const later = log.filter(({ at }) => at > (log[0]?.at ?? 0) + 1000)
    expect(Math.abs(mostWithin(later, 1000) - 60)).toBeLessThanOrEqual(2)
  })
})
