import { describe, expect, test } from 'vitest'
import type { Driver, RecordBatch, SubscribeOptions } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (content: Uint8Array) => new TextDecoder().decode(content)
const ALL = Number.POSITIVE_INFINITY
const TOPIC = {
  name: 'orders',
  rules: { partitions: 4, keepMs: ALL, keepBytes: ALL, keepCount: ALL, compact: false },
}

function publish(driver: Driver, from: number, until: number): void {
  for (let at = from; at < until; at++) {
    const record = { key: `k${at % 9}`, payload: bytes(`${at}`), headers: {} }
    void driver.topic?.publish(TOPIC, record, {})
  }
}

async function read(
  driver: Driver,
  options: SubscribeOptions,
  handle: (batch: RecordBatch) => Promise<void>,
): Promise<void> {
  try {
    for await (const batch of driver.topic?.subscribe(TOPIC, options) ?? []) await handle(batch)
  } catch (error) {
    if (options.signal?.aborted !== true) throw error
  }
}

describe('a topic of a cluster', () => {
  test('is read from its beginning, each key in its order, and goes on with what comes', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(true)
    const got: number[] = []
    publish(driver, 0, 50)
    await cluster.run(4000)
    void read(driver, { batch: 10, from: 'earliest' }, async ({ records }) => {
      for (const { payload } of records) got.push(Number(text(payload)))
    })
    await cluster.run(1000)
    publish(driver, 50, 80)
    await cluster.run(1000)
    expect([...got].sort((a, b) => a - b)).toEqual(Array.from({ length: 80 }, (_, at) => at))
    for (let key = 0; key < 9; key++) {
      const ofKey = got.filter((at) => at % 9 === key)
      expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b))
    }
  })

  test('is shared by the members of a group, who pass it on as they come and go', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [cluster.application(true), cluster.application(true)]
    const got: string[] = []
    const abort = new AbortController()
    const take = (name: string) => async (batch: RecordBatch) => {
      for (const { payload } of batch.records) got.push(`${name} ${text(payload)}`)
      await batch.commit({})
    }
    publish(one, 0, 40)
    void read(one, { batch: 5, group: 'billing', signal: abort.signal }, take('one'))
    await cluster.run(5000)
    expect(got.length).toBe(40)
    void read(two, { batch: 5, group: 'billing' }, take('two'))
    await cluster.run(5000)
    publish(one, 40, 80)
    await cluster.run(2000)
    expect(got.length).toBe(80)
    expect(got.filter((each) => each.startsWith('two')).length).toBeGreaterThan(0)
    expect(got.filter((each) => each.startsWith('one')).length).toBeGreaterThan(40)
    abort.abort()
    await cluster.run(500)
    publish(two, 80, 120)
    await cluster.run(3000)
    expect(new Set(got.map((each) => each.slice(4))).size).toBe(120)
    expect(got.length).toBe(120)
    const groups = two.topic?.groups('orders', {})
    await cluster.run(500)
    expect((await groups)?.map(({ group, members }) => [group, members.length])).toEqual([['billing', 1]])
  })

  test('is taken from a member that hangs within its five seconds, though others come and go all the time', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two, visitor] = [1, 2, 3].map(() => cluster.application(true)) as [Driver, Driver, Driver]
    const got = new Set<number>()
    publish(one, 0, 40)
    await cluster.run(3000)
    const hung = one.topic?.subscribe(TOPIC, { group: 'billing', batch: 100 })[Symbol.asyncIterator]()
    void hung?.next()
    await cluster.run(3000)
    void read(two, { group: 'billing', batch: 100 }, async (batch) => {
      for (const { partition } of batch.records) got.add(partition)
      await batch.commit({})
    })
    for (let visit = 0; visit < 70; visit++) {
      const coming = visitor.topic?.subscribe(TOPIC, { group: 'billing', batch: 1 })[Symbol.asyncIterator]()
      coming?.next().catch(() => undefined)
      await cluster.run(70)
      void coming?.return?.()
      await cluster.run(30)
    }
    expect(got.size).toBeGreaterThan(0)
  })

  test('of a driver that closes is read on by the other members at once', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [cluster.application(true), cluster.application(true)]
    const got: string[] = []
    const take = (name: string) => async (batch: RecordBatch) => {
      for (const { payload } of batch.records) got.push(`${name} ${text(payload)}`)
      await batch.commit({})
    }
    const ended = read(one, { batch: 5, group: 'billing' }, take('one')).catch(({ code }: { code: string }) => code)
    void read(two, { batch: 5, group: 'billing' }, take('two'))
    await cluster.run(12_000)
    void one.close()
    await cluster.run(100)
    expect(await ended).toBe('CLOSED')
    publish(two, 0, 40)
    await cluster.run(100)
    expect(got.length).toBe(40)
    expect(got.every((each) => each.startsWith('two'))).toBe(true)
  })

  test.each([undefined, 'slow'])('is sent no faster than it is taken (group: %s)', async (group) => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [cluster.application(true), cluster.application(true)]
    const topic = { name: 'large', rules: { ...TOPIC.rules, partitions: 1 } }
    for (let at = 0; at < 100; at++) {
      void one.topic?.publish(topic, { key: '', payload: new Uint8Array(50_000), headers: {} }, {})
    }
    await cluster.run(5000)
    const options = { batch: 1, from: 'earliest', ...(group === undefined ? {} : { group }) } as const
    const reader = two.topic?.subscribe(topic, options)[Symbol.asyncIterator]()
    const before = cluster.receivedBytes(two)
    let taken = 0
    void reader?.next().then(() => taken++)
    await cluster.run(10_000)
    expect(taken).toBe(1)
    // 256 KiB may wait here; the last event goes beyond, and one record was taken.
    const waiting = cluster.receivedBytes(two) - before
    expect(waiting).toBeGreaterThan(100_000)
    expect(waiting).toBeLessThan(262_144 + 2 * 50_000)
    const all = async () => {
      while (taken < 100) {
        await reader?.next()
        taken++
      }
    }
    void all()
    await cluster.run(5000)
    expect(taken).toBe(100)
  })
})
