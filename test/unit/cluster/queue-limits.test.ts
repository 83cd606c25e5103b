import { describe, expect, test } from 'vitest'
import type { Driver, OutgoingMessage, QueueFacet, QueueName, QueueRules } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const NO_ERROR = new TextEncoder().encode('{}')

function queueOf(rules: Partial<QueueRules>): QueueName {
  return { name: 'jobs', rules: { ...RULES, ...rules } }
}

function messageOf(text: string, key: string): OutgoingMessage {
  const plain = { headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0, deduplication: undefined }
  return { ...plain, key, payload: new TextEncoder().encode(text) }
}

function facetOf(driver: Driver): QueueFacet {
  if (driver.queue === undefined) throw new Error('the driver has no queues')
  return driver.queue
}

interface Step {
  readonly key: string
  readonly number: number
}

/** Many applications that work a queue off, each message for a while. */
class Workforce {
  readonly cluster: TestCluster = new TestCluster(['n1', 'n2', 'n3'])
  readonly done: Step[] = []
  /** Of each key: most handlers at once. */
  readonly most = new Map<string, number>()
  readonly #running = new Map<string, number>()
  readonly #queue: QueueName
  readonly #sender: QueueFacet

  constructor(rules: Partial<QueueRules>) {
    this.#queue = queueOf(rules)
    this.#sender = facetOf(this.cluster.application(true))
  }

  /** Sends so many messages of each key. */
  async send(keys: number, count: number): Promise<void> {
    for (let number = 0; number < count; number++) {
      const sent = Array.from({ length: keys }, (_, key) =>
        this.#sender.send(this.#queue, messageOf(String(number), `k${key}`), {}),
      )
      let isDone = false
      void Promise.all(sent).then(() => {
        isDone = true
      })
      while (!isDone) await this.cluster.run(5)
    }
  }

  hire(count: number, credit: number, workMs: number): void {
    for (let at = 0; at < count; at++) void this.#work(facetOf(this.cluster.application(at % 2 === 0)), credit, workMs)
  }

  async finish(count: number): Promise<number> {
    const { queue } = this.cluster
    const begin = queue.now()
    while (this.done.length < count && queue.now() < begin + 600_000) await this.cluster.run(50)
    return queue.now() - begin
  }

  async #work(facet: QueueFacet, credit: number, workMs: number): Promise<void> {
    const { queue } = this.cluster
    for await (const delivered of facet.consume(this.#queue, { consumer: 'worker', credit })) {
      const { key } = delivered
      const running = (this.#running.get(key) ?? 0) + 1
      this.#running.set(key, running)
      this.most.set(key, Math.max(running, this.most.get(key) ?? 0))
      queue.at(queue.now() + workMs, () => {
        this.#running.set(key, (this.#running.get(key) ?? 0) - 1)
        this.done.push({ key, number: Number(new TextDecoder().decode(delivered.payload)) })
        void delivered.acknowledge({})
      })
    }
  }
}

describe('a queue that many work off', () => {
  test('never has more messages of a key under way in all than five, and as many as that', async () => {
    const force = new Workforce({ order: 'none', keyConcurrency: 5 })
    await force.send(2, 60)
    force.hire(10, 4, 40)
    await force.finish(120)
    expect(force.done).toHaveLength(120)
    expect([...force.most.values()]).toEqual([5, 5])
  })

  test('is worked off key by key in order, more than eight times as fast as one key', async () => {
    const one = new Workforce({})
    await one.send(1, 40)
    one.hire(16, 1, 20)
    const alone = (await one.finish(40)) / 40
    const many = new Workforce({})
    await many.send(200, 8)
    many.hire(16, 1, 20)
    const together = (await many.finish(1600)) / 1600
    for (const { done } of [one, many]) {
      const next = new Map<string, number>()
      for (const { key, number } of done) {
        expect(number).toBe(next.get(key) ?? 0)
        next.set(key, number + 1)
      }
    }
    expect([one.done.length, many.done.length]).toEqual([40, 1600])
    expect(alone / together).toBeGreaterThan(8)
  }, 30_000)
})

test('of ten thousand messages a hundred are poisonous: just these die, and come back when they are redriven', {
  timeout: 60_000,
}, async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const facet = facetOf(cluster.application(true))
  const queue = queueOf({ maxAttempts: 2 })
  const poison = (number: number): boolean => number % 100 === 7
  const settled = { good: new Set<number>(), bad: new Set<number>(), count: 0 }
  let isPoisonous = true
  for (let number = 0; number < 10_000; number += 500) {
    for (let at = number; at < number + 500; at++) void facet.send(queue, messageOf(String(at), `k${at % 97}`), {})
    await cluster.run(200)
  }
  void (async () => {
    for await (const delivered of facet.consume(queue, { consumer: 'worker', credit: 256 })) {
      const number = Number(new TextDecoder().decode(delivered.payload))
      const isBad = poison(number) && isPoisonous
      settled[isBad ? 'bad' : 'good'].add(number)
      settled.count++
      void (isBad ? delivered.retry(0, NO_ERROR, {}) : delivered.acknowledge({}))
    }
  })()
  for (let round = 0; round < 500 && settled.count < 10_100; round++) await cluster.run(100)
  await cluster.run(500)
  expect([settled.good.size, settled.bad.size, settled.count]).toEqual([9900, 100, 10_100])
  isPoisonous = false
  const redriven = facet.redrive('jobs', { limit: 1_000_000, reason: 'attempts' }, {})
  await cluster.run(5000)
  expect(await redriven).toBe(100)
  expect([settled.good.size, settled.count]).toEqual([10_000, 10_200])
})
