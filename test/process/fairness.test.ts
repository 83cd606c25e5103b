import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defineQueue, type QueueDefinition, type SendOptions, type Troupe } from '../../src/index.ts'
import { ProcessCluster } from './cluster.ts'
import { until } from './os-process.ts'

/** `npm run kills -- --crowd N` sets it. */
const CROWD = Number(process.env.CROWD ?? 30_000)
const BATCH = 1000
const PATIENCE_MS = 60_000 + CROWD / 5
const FEW = 10

let cluster: ProcessCluster
let client: Troupe
beforeAll(async () => {
  cluster = await ProcessCluster.start()
  client = await cluster.client()
})
afterAll(() => cluster.close())

/** So many messages that nobody has begun to work off. */
async function crowd(queue: QueueDefinition<string>, options: SendOptions): Promise<void> {
  let left = CROWD
  const batches = async (): Promise<void> => {
    while (left > 0) {
      const count = Math.min(BATCH, left)
      left -= count
      await client.queue(queue).sendAll(Array<string>(count).fill('crowd'), { timeout: PATIENCE_MS, ...options })
    }
  }
  await Promise.all([batches(), batches(), batches()])
  expect((await client.queue(queue).stats()).waiting).toBe(CROWD)
}

describe.each([
  ['their keys kept in order', { order: 'key' }],
  ['no order', { order: 'none' }],
  ['ten times the weight given to the other', { order: 'none', perKey: { weights: { A: 10 } } }],
] as const)('a tenant with ten messages, with %s', (name, options) => {
  const jobs = defineQueue<string>(`tenants-${name.split(' ', 1)[0]}`, { single: true, limit: 2 * CROWD, ...options })

  test(
    `is done within a second beside one with ${CROWD}`,
    async () => {
      await crowd(jobs, { key: 'A' })
      const done: string[] = []
      const worker = client.queue(jobs).work(({ key }) => void done.push(key), { concurrency: 4 })
      await until(() => done.length > 100)
      const began = performance.now()
      const workedBefore = done.length
      await client.queue(jobs).sendAll(Array<string>(FEW).fill('few'), { key: 'B' })
      await until(() => done.filter((key) => key === 'B').length === FEW)
      const took = performance.now() - began
      const waiting = CROWD + FEW - done.length
      await worker.close()
      await client.queue(jobs).purge()
      console.log(JSON.stringify({ crowd: CROWD, tookMs: took, ofTheOther: done.length - workedBefore - FEW, waiting }))
      expect(took).toBeLessThan(1000)
      expect(waiting).toBeGreaterThan(0)
    },
    PATIENCE_MS,
  )
})

describe('ten messages of high priority', () => {
  const jobs = defineQueue<string>('priorities', { single: true, limit: 2 * CROWD, order: 'none' })

  test(
    `are next though ${CROWD} of low priority wait, and these keep a hundredth of the work`,
    async () => {
      await crowd(jobs, { priority: 0 })
      const high = { priority: 9 }
      await client.queue(jobs).sendAll(Array<string>(FEW).fill('high'), high)
      const done: string[] = []
      for await (const message of client.queue(jobs).receive()) {
        done.push(message.value)
        await message.acknowledge()
        if (done.length === FEW) break
      }
      expect(done).toEqual(Array<string>(FEW).fill('high'))

      await client.queue(jobs).sendAll(Array<string>(3 * BATCH).fill('high'), high)
      const worked: string[] = []
      const worker = client.queue(jobs).work(({ value }) => void worked.push(value), { concurrency: 16 })
      await until(() => worked.filter((value) => value === 'high').length >= 2 * BATCH)
      await worker.close()
      const low = worked.filter((value) => value === 'crowd').length
      console.log(JSON.stringify({ crowd: CROWD, worked: worked.length, low }))
      expect(low).toBeGreaterThanOrEqual(0.01 * worked.length)
      // High ones do come first, too.
      expect(low).toBeLessThan(0.2 * worked.length)
    },
    PATIENCE_MS,
  )
})
