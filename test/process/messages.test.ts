import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defineMap, defineQueue, fixedDelay, type QueueDefinition, type Troupe } from '../../src/index.ts'
import { Application } from './application.ts'
import { ProcessCluster } from './cluster.ts'
import { until } from './os-process.ts'

let cluster: ProcessCluster
let client: Troupe
beforeAll(async () => {
  cluster = await ProcessCluster.start()
  client = await cluster.client()
})
afterAll(() => cluster.close())

async function restart(names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => cluster.process(name).end('SIGKILL')))
  await Promise.all(names.map((name) => cluster.startNode(name)))
}

async function drained<Value>(queue: QueueDefinition<Value>): Promise<void> {
  await until(async () => {
    const { waiting, delayed, leased } = await client.queue(queue).stats()
    return waiting + delayed + leased === 0
  })
}

async function waiting<Value>(queue: QueueDefinition<Value>): Promise<Set<unknown>> {
  const found = new Set<unknown>()
  for await (const { id, value } of client.queue(queue).peek({ limit: 100_000 })) {
    if (found.has(value)) throw new Error(`${id} has what another message has`)
    found.add(value)
  }
  return found
}

describe('a worker that is killed with a hundred messages in its hands', () => {
  const options = { maxAttempts: 3 }
  const orders = defineQueue<string>('orders', { ...options, retry: fixedDelay(50) })
  const KEYS = 100

  test('has each of them delivered once more, in the order of its key; a poisonous one dies of its attempts', async () => {
    for (let number = 0; number < 3; number++) {
      const sent = Array.from({ length: KEYS }, (_, key) => `${key}.${number}`)
      await Promise.all(sent.map((value) => client.queue(orders).send(value, { key: value.split('.')[0] ?? '' })))
    }
    const victim = new Application({
      role: 'receive',
      addresses: cluster.addresses,
      count: 2 * KEYS,
      queue: { name: 'orders', options },
    })
    await victim.hasSaid('received', KEYS)
    expect(new Set(victim.events.map(({ value }) => value)).size).toBe(KEYS)
    await victim.end('SIGKILL')

    const delivered: string[] = []
    const poison = '7.1'
    const worker = client.queue(orders).work(
      ({ value }) => {
        delivered.push(value)
        if (value === poison) throw new RangeError('poison')
      },
      { concurrency: 32 },
    )
    await drained(orders)
    await worker.drain()
    const expected = Array.from({ length: KEYS }, (_, key) => [0, 1, 2].map((number) => `${key}.${number}`))
    expected[7] = ['7.0', poison, poison, poison, '7.2']
    for (const [key, values] of expected.entries()) {
      expect(delivered.filter((value) => value.startsWith(`${key}.`))).toEqual(values)
    }
    const dead = []
    for await (const letter of client.queue(orders).deadLetters()) dead.push(letter)
    expect(dead).toMatchObject([
      { value: poison, attempts: 3, death: 'attempts', lastError: { name: 'RangeError', message: 'poison' } },
    ])
  })
})

describe('a handler whose process and cluster are killed at any moment', () => {
  const placement = { placement: 'transfer' }
  const jobs = defineQueue<number>('jobs', placement)
  const done = defineMap<number>('done', placement)
  const next = defineQueue<number>('next')
  const JOBS = 4_000

  test('has changed, sent and acknowledged everything or nothing', { timeout: 60_000 }, async () => {
    const all = Array.from({ length: JOBS }, (_, job) => job)
    await Promise.all(all.map((job) => client.queue(jobs).send(job, { key: `job-${job}` })))
    let partly = 0
    for (let round = 0; round < 4; round++) {
      const worker = new Application({
        role: 'transfer',
        addresses: cluster.addresses,
        queue: { name: 'jobs', options: placement },
        map: { name: 'done', options: placement },
        next: { name: 'next' },
      })
      await worker.hasSaid('working')
      await sleep(Math.random() * 300)
      const victims = round % 2 === 0 ? cluster.names : cluster.names.slice(round % 3, (round % 3) + 1)
      await Promise.all([worker.end('SIGKILL'), restart(victims)])
      await cluster.healthy()
      partly += await partOf(all)
    }
    expect(partly).toBeGreaterThan(0)
  })

  /** Whether some jobs are done and others wait, while each of them is one or the other. */
  async function partOf(all: readonly number[]): Promise<number> {
    const changed = new Set<number>()
    for await (const { value } of client.map(done).scan()) changed.add(value)
    const left = await waiting(jobs)
    expect(all.filter((job) => changed.has(job) === left.has(job))).toEqual([])
    // What other shards are sent is on its way for a moment.
    await until(async () => (await client.queue(next).stats()).waiting >= changed.size)
    expect(await waiting(next)).toEqual(changed)
    return left.size > 0 && changed.size > 0 ? 1 : 0
  }
})

describe('a sender that is killed again and again, and begins anew each time', () => {
  const once = defineQueue<number>('once')
  const IDS = 10_000

  test('has sent each of its ten thousand ids once', { timeout: 60_000 }, async () => {
    const task = { role: 'send', addresses: cluster.addresses, count: IDS, queue: { name: 'once' } } as const
    for (const sent of [300, 1_500, 4_000]) {
      const sender = new Application(task)
      await sender.hasSaid('sent', sent)
      await sender.end('SIGKILL')
    }
    const sender = new Application(task)
    expect((await sender.ended).code).toBe(0)
    expect(await waiting(once)).toEqual(new Set(Array.from({ length: IDS }, (_, id) => id)))
  })
})

describe('a schedule of every second, while one leader after the other is killed', () => {
  const ticks = defineQueue<null>('ticks', { order: 'none' })
  const runs = defineQueue<string>('runs')
  const SECONDS = 10

  test('runs once for each of its times, and leaves none out', { timeout: 60_000 }, async () => {
    /** The firing of each message. */
    const firings = new Map<string, string>()
    const workers = [client, await cluster.client()].map((troupe) =>
      troupe.queue(ticks).work(({ id, headers }, context) => {
        const firing = headers['troupe-firing'] ?? ''
        firings.set(id, firing)
        context.emit(runs, firing)
      }),
    )
    const second = { cron: '* * * * * *' }
    await client.schedule(ticks, 'second', second, { value: null, missed: 'all' })
    for (const victim of cluster.names) {
      await sleep((SECONDS * 1_000) / cluster.names.length)
      await restart([victim])
    }
    await cluster.healthy()
    await client.unschedule(ticks, 'second')
    await drained(ticks)
    await Promise.all(workers.map((worker) => worker.drain()))
    await until(async () => (await client.queue(runs).stats()).waiting >= firings.size)
    // A firing is named by its time in microseconds.
    const times = [...firings.values()].map((firing) => Number(firing.split('@')[1])).sort((a, b) => a - b)
    expect(times.length).toBeGreaterThanOrEqual(SECONDS - 1)
    expect(times).toEqual(times.map((_, at) => (times[0] ?? 0) + at * 1_000_000))
    expect(await waiting(runs)).toEqual(new Set(firings.values()))
  })
})
