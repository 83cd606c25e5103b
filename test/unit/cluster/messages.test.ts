import { describe, expect, test } from 'vitest'
import type {
  Delivered,
  Driver,
  NamedQueue,
  OutgoingMessage,
  QueueFacet,
  QueueRules,
} from '../../../src/driver/contract.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { createTroupe } from '../../../src/runtime/troupe.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (content: Uint8Array) => new TextDecoder().decode(content)

function queueOf(rules: Partial<QueueRules> = {}): NamedQueue {
  return { name: 'jobs', rules: { ...RULES, ...rules } }
}

function message(content: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const plain = { key: '', headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0, deduplication: undefined }
  return { ...plain, payload: bytes(content), ...more }
}

function facet(driver: Driver): QueueFacet {
  if (driver.queue === undefined) throw new Error('the driver has no queues')
  return driver.queue
}

/** Hands each message to `handle`, which settles it. */
async function consume(
  driver: Driver,
  queue: NamedQueue,
  { credit, signal }: { readonly credit: number; readonly signal?: AbortSignal },
  handle: (message: Delivered) => unknown,
): Promise<void> {
  const options = { consumer: 'worker', credit, ...(signal === undefined ? {} : { signal }) }
  try {
    for await (const delivered of facet(driver).consume(queue, options)) void handle(delivered)
  } catch (error) {
    if (signal?.aborted !== true) throw error
  }
}

describe('a queue of a cluster', () => {
  test.each([true, false])('delivers every message once when all goes well (direct: %s)', async (direct) => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(direct)
    const got: string[] = []
    for (let at = 0; at < 50; at++) {
      void facet(driver).send(queueOf(), message(`m${at}`, at % 2 === 0 ? { key: `k${at % 7}` } : {}), {})
    }
    void consume(driver, queueOf(), { credit: 8 }, async (delivered) => {
      got.push(text(delivered.payload))
      await delivered.acknowledge({})
    })
    await cluster.run(5000)
    expect(got.sort()).toEqual(Array.from({ length: 50 }, (_, at) => `m${at}`).sort())
    const stats = facet(driver).stats('jobs', {})
    await cluster.run(100)
    expect(await stats).toMatchObject({ waiting: 0, delayed: 0, leased: 0 })
  })

  test('gives a consumer with one credit the messages of all shards in turn', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    const got: string[] = []
    let most = 0
    let now = 0
    for (let at = 0; at < 30; at++) void facet(driver).send(queueOf(), message(`m${at}`, { key: `k${at}` }), {})
    await cluster.run(3000)
    void consume(driver, queueOf(), { credit: 1 }, async (delivered) => {
      now++
      most = Math.max(most, now)
      got.push(text(delivered.payload))
      await delivered.acknowledge({})
      now--
    })
    await cluster.run(5000)
    expect(got.length).toBe(30)
    expect(most).toBeLessThanOrEqual(2)
  })

  // Credit on its way between two shards may be used by both: what a consumer has here may be more for a moment, what
  // is worked on is not.
  test('runs no more handlers at once than a worker allows, whichever shards the messages are in', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    const computer = cluster.computerOf(driver)
    const random = cluster.random.fork()
    const troupe = createTroupe({ driver, clock: computer, scheduler: computer, random })
    const queue = troupe.queue(defineQueue<number>('jobs'))
    for (let at = 0; at < 60; at++) void queue.send(at, { key: `k${at}` })
    await cluster.run(3000)
    let now = 0
    let most = 0
    let handled = 0
    queue.work(
      async () => {
        most = Math.max(most, ++now)
        await new Promise<void>((resolve) => void computer.at(computer.now() + 20, resolve))
        now--
        handled++
      },
      { concurrency: 1, prefetch: 0 },
    )
    await cluster.run(10_000)
    expect([handled, most]).toEqual([60, 1])
  })

  test('delivers a delayed message when its time has come, though nothing else happens', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    await cluster.run(2000)
    let deliveredAt = 0
    const sentAt = cluster.queue.now()
    void facet(driver).send(queueOf(), message('later', { delay: 30_000 }), {})
    void consume(driver, queueOf(), { credit: 4 }, async (delivered) => {
      deliveredAt = cluster.queue.now()
      await delivered.acknowledge({})
    })
    await cluster.run(40_000)
    expect(deliveredAt - sentAt).toBeGreaterThanOrEqual(30_000)
    expect(deliveredAt - sentAt).toBeLessThan(30_250)
  })

  test('delivers again what was not settled in time, and refuses who was too late', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    const attempts: number[] = []
    const late: unknown[] = []
    const queue = queueOf({ leaseMs: 1000 })
    void facet(driver).send(queue, message('slow'), {})
    let first: Delivered | undefined
    void consume(driver, queue, { credit: 4 }, async (delivered) => {
      attempts.push(delivered.attempt)
      if (first === undefined) first = delivered
      else {
        await first.acknowledge({}).catch((error: { code: string }) => late.push(error.code))
        await delivered.acknowledge({})
      }
    })
    await cluster.run(10_000)
    expect(attempts).toEqual([1, 2])
    expect(late).toEqual(['FENCED'])
    expect(first?.lost.aborted).toBe(true)
  })

  test('a retried message comes back with one more attempt, and its key waits for it', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    const got: string[] = []
    for (const content of ['a1', 'a2']) void facet(driver).send(queueOf(), message(content, { key: 'a' }), {})
    void consume(driver, queueOf(), { credit: 4 }, async (delivered) => {
      got.push(`${text(delivered.payload)} ${delivered.attempt}`)
      if (delivered.attempt === 1 && text(delivered.payload) === 'a1') await delivered.retry(500, bytes('no'), {})
      else await delivered.acknowledge({})
    })
    await cluster.run(6000)
    expect(got).toEqual(['a1 1', 'a1 2', 'a2 1'])
  })

  test('what a consumer had is for others as soon as it ends or its driver closes', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [cluster.application(true), cluster.application(false)]
    const got: string[] = []
    void facet(one).send(queueOf(), message('m'), {})
    const abort = new AbortController()
    void consume(one, queueOf(), { credit: 4, signal: abort.signal }, (delivered) =>
      got.push(`one ${delivered.attempt}`),
    )
    await cluster.run(4000)
    const ended = consume(two, queueOf(), { credit: 4 }, (delivered) => got.push(`two ${delivered.attempt}`)).catch(
      ({ code }: { code: string }) => code,
    )
    await cluster.run(1000)
    expect(got).toEqual(['one 1'])
    abort.abort()
    await cluster.run(50)
    expect(got).toEqual(['one 1', 'two 1'])
    void consume(one, queueOf(), { credit: 4 }, (delivered) => got.push(`one ${delivered.attempt}`))
    await cluster.run(100)
    void two.close()
    await cluster.run(50)
    expect(got).toEqual(['one 1', 'two 1', 'one 1'])
    expect(await ended).toBe('CLOSED')
  })

  test('a message under way is delivered again by the next leader, and the former one cannot settle it', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'], 1)
    const driver = cluster.application(false)
    const got: Delivered[] = []
    void facet(driver).send(queueOf(), message('m'), {})
    void consume(driver, queueOf(), { credit: 4 }, (delivered) => got.push(delivered))
    await cluster.run(4000)
    expect(got.length).toBe(1)
    const leader = cluster.nodes[0]?.status().groups.find(({ shard }) => shard === 0)?.leader
    cluster.nodes.find(({ settings }) => settings.node === leader)?.drain(100, () => {})
    await cluster.run(3000)
    expect(got.length).toBe(2)
    expect(got[0]?.lost.aborted).toBe(true)
    const done = got[1]?.acknowledge({})
    await cluster.run(1000)
    await done
  })

  test.each([5, 100, 400])(
    'nodes that hand over one after the other let workers finish what takes %i ms, and nothing runs twice',
    async (handling) => {
      const cluster = new TestCluster(['n1', 'n2', 'n3'], 3)
      const driver = cluster.application(true)
      const runs = new Map<string, number>()
      let sent = 0
      const send = (): void => {
        void facet(driver).send(queueOf(), message(`m${sent}`, { key: `k${sent++}` }), {})
        if (sent < 1200) cluster.queue.at(cluster.queue.now() + 12, send)
      }
      send()
      void consume(driver, queueOf(), { credit: 100 }, (delivered) => {
        const name = text(delivered.payload)
        runs.set(name, (runs.get(name) ?? 0) + 1)
        cluster.queue.at(cluster.queue.now() + handling, () => void delivered.acknowledge({}).catch(() => {}))
      })
      await cluster.run(4000)
      for (const node of cluster.nodes) {
        const ledBefore = node.status().groups.filter(({ leader }) => leader === node.settings.node)
        node.drain(25_000, () => {})
        await cluster.run(3000)
        const led = node.status().groups.filter(({ leader }) => leader === node.settings.node)
        expect([ledBefore.length > 0, led.length]).toEqual([true, 0])
      }
      await cluster.run(8000)
      expect(runs.size).toBe(1200)
      expect([...runs].filter(([, count]) => count > 1)).toEqual([])
    },
  )

  test('a leader that leads again delivers anew what it had delivered in its earlier term', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'], 1)
    const driver = cluster.application(true)
    let newest: Delivered | undefined
    void facet(driver).send(queueOf(), message('m'), {})
    void consume(driver, queueOf(), { credit: 4 }, (delivered) => {
      newest = delivered
    })
    await cluster.run(4000)
    const led = new Set<unknown>()
    const leaderOf = (at: number) => cluster.nodes[at]?.status().groups.find(({ shard }) => shard === 0)?.leader
    // Whoever stands in hands the office back in order, so that one of the two has led before by the third time.
    for (let round = 0; round < 3; round++) {
      const leader = cluster.nodes.findIndex(({ settings }) => settings.node === leaderOf(0))
      cluster.computers[leader]?.pause()
      await cluster.run(4000)
      led.add(leaderOf((leader + 1) % 3))
      expect(newest?.lost.aborted).toBe(false)
      cluster.computers[leader]?.resume()
      await cluster.run(4000)
    }
    expect(led.size).toBeLessThan(3)
    expect(newest?.lost.aborted).toBe(false)
  })
})
