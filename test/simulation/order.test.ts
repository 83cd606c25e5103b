import { describe, expect, test } from 'vitest'
import { quantile } from '../../src/cli/measure.ts'
import { defineQueue, fixedDelay } from '../../src/index.ts'
import { Scene } from './scene.ts'

const KEYS = 50
const SECONDS = 30
const RETRY_MS = 1000
const FAILURES = 20
const jobs = defineQueue<{ readonly name: string; readonly sentAt: number }>('jobs', {
  maxAttempts: 100,
  retry: fixedDelay(RETRY_MS),
})

interface Observed {
  /** Attempts of the key that may fail, in their order. */
  readonly attempts: readonly string[]
  /** Of all other keys: milliseconds from each send to the end of its handler. */
  readonly latencies: readonly number[]
}

/** Each key is sent a message every so often; the first one of the key `bad` fails some times, or does not. */
async function observe(failures: number): Promise<Observed> {
  const scene = await Scene.begin({ shards: 2 })
  const { computer, troupe } = scene.application()
  const [attempts, latencies]: [string[], number[]] = [[], []]
  const sleep = (duration: number) =>
    new Promise<void>((resolve) => void computer.at(computer.now() + duration, resolve))
  const handle = async ({ key, value }: { key: string; value: { name: string; sentAt: number } }): Promise<void> => {
    await sleep(5)
    if (key !== 'bad') {
      latencies.push(computer.now() - value.sentAt)
      return
    }
    attempts.push(value.name)
    if (attempts.filter((name) => name === 'A').length <= failures && value.name === 'A') throw new Error('not yet')
  }
  for (let worker = 0; worker < 2; worker++) troupe.queue(jobs).work(handle, { concurrency: 8 })
  const sent: Promise<unknown>[] = []
  const send = (key: string, name: string): void => {
    sent.push(troupe.queue(jobs).send({ name, sentAt: computer.now() }, { key }))
  }
  for (const name of ['A', 'B', 'C']) send('bad', name)
  for (let round = 0; round < SECONDS * 10; round++) {
    for (let key = round % 5; key < KEYS; key += 5) send(`k${key}`, `${round}`)
    await scene.pass(100)
  }
  await scene.pass(RETRY_MS)
  await scene.settled(Promise.all(sent))
  scene.close()
  return { attempts, latencies: latencies.sort((a, b) => a - b) }
}

describe('a message that is retried', () => {
  test('holds up its own key, in its order, and no other: their p99 is what it is without it', async () => {
    const [without, beside] = [await observe(0), await observe(FAILURES)]
    expect(without.attempts).toEqual(['A', 'B', 'C'])
    expect(beside.attempts).toEqual([...Array<string>(FAILURES).fill('A'), 'A', 'B', 'C'])
    expect(beside.latencies).toHaveLength(without.latencies.length)
    const [usual, p99] = [quantile(without.latencies, 0.99), quantile(beside.latencies, 0.99)]
    expect(Math.abs(p99 - usual)).toBeLessThan(0.1 * usual)
    expect(quantile(beside.latencies, 1)).toBeLessThan(RETRY_MS / 10)
  }, 60_000)
})
