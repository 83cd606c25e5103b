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
})
