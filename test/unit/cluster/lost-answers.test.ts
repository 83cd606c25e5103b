import { expect, test } from 'vitest'
import type { SeededRandom } from '../../../src/base/random.ts'
import { defineMap, defineQueue, defineTopic, isTroupeError } from '../../../src/index.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { TestCluster } from './cluster.ts'

const IDS = 10_000
const SENDERS = 200
const jobs = defineQueue<number>('jobs')
const events = defineTopic<number>('events', { partitions: 4 })

interface Scene {
  readonly cluster: TestCluster
  readonly troupe: Troupe
}

/** An application that loses one frame in ten of what the cluster answers, and now and then its connections. */
async function deafScene(): Promise<Scene> {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const driver = cluster.application(true)
  const computer = cluster.computerOf(driver)
  const troupe = createTroupe({
    driver,
    clock: computer,
    scheduler: computer,
    random: cluster.random.fork() as SeededRandom,
  })
  await cluster.run(2000)
  cluster.loseAnswers(driver, () => cluster.random.next() < 0.1)
  const disconnect = (): void => {
    cluster.disconnect(driver)
    cluster.queue.at(cluster.queue.now() + 4000, disconnect)
  }
  disconnect()
  return { cluster, troupe }
}

/** Publishes each id until it is certain that it is there; says how often that was not clear at once. */
async function publishAll(
  { cluster }: Scene,
  publish: (id: number) => Promise<unknown>,
  hasHappened: (operationId: string) => Promise<boolean>,
): Promise<number> {
  let unclear = 0
  let next = 0
  let left = SENDERS
  const publishOne = async (id: number): Promise<void> => {
    for (;;) {
      try {
        await publish(id)
        return
      } catch (error) {
        if (!isTroupeError(error)) throw error
        if (error.outcome !== 'unknown') continue
        unclear++
        if (await hasHappened(String(error.details.operationId))) return
      }
    }
  }
  const sender = async (): Promise<void> => {
    while (next < IDS) await publishOne(next++)
    left--
  }
  const all = Promise.all(Array.from({ length: SENDERS }, sender))
  while (left > 0 && cluster.queue.now() < 3_600_000) await cluster.run(500)
  await all
  return unclear
}

async function after<Value>({ cluster }: Scene, promise: Promise<Value>): Promise<Value> {
  let isSettled = false
  const settle = (): void => {
    isSettled = true
  }
  promise.then(settle, settle)
  while (!isSettled) await cluster.run(100)
  return await promise
}

const everyId = Array.from({ length: IDS }, (_, id) => id)

test('of ten thousand ids that are sent again until an answer comes, the queue holds each once', async () => {
  const scene = await deafScene()
  const queue = scene.troupe.queue(jobs)
  const send = (id: number) => queue.send(id, { deduplicate: `id-${id}`, timeout: 500 })
  const unclear = await publishAll(scene, send, async () => false)
  const held: unknown[] = []
  const read = async (): Promise<void> => {
    for await (const { value } of queue.peek({ limit: 100_000, timeout: 600_000 })) held.push(value)
  }
  await after(scene, read())
  expect(held.sort((a, b) => Number(a) - Number(b))).toEqual(everyId)
  expect(unclear).toBeGreaterThan(500)
}, 60_000)

test('of ten thousand ids whose fate is asked for when no answer comes, the topic holds each once', async () => {
  const scene = await deafScene()
  const topic = scene.troupe.topic(events)
  const publish = (id: number) => topic.publish(id, { key: `${id}`, timeout: 500 })
  const unclear = await publishAll(scene, publish, async (operationId) => {
    for (;;) {
      const outcome = await scene.troupe.outcome(operationId).catch(() => 'unknown')
      if (outcome !== 'unknown') return outcome === 'committed'
    }
  })
  const held: number[] = []
  const read = async (): Promise<void> => {
    for await (const { records } of topic.subscribe({ from: 'earliest' })) {
      held.push(...records.map(({ value }) => value))
      if (held.length >= IDS) break
    }
  }
  await after(scene, read())
  expect(held.sort((a, b) => a - b)).toEqual(everyId)
  expect(unclear).toBeGreaterThan(500)
}, 60_000)

test('of five hundred increments whose answers are lost each happens once', async () => {
  const scene = await deafScene()
  const counters = scene.troupe.map(defineMap<number>('counters'))
  const CALLERS = 10
  const CALLS = 50
  const increment = async (): Promise<void> => {
    for (let call = 0; call < CALLS; call++) await counters.update('n', (n = 0) => n + 1, { timeout: 60_000 })
  }
  await after(scene, Promise.all(Array.from({ length: CALLERS }, increment)))
  const found = await after(scene, counters.get('n'))
  expect(found?.value).toBe(CALLERS * CALLS)
}, 60_000)
