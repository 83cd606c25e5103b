import { expect, test } from 'vitest'
import { TroupeError } from '../../../src/base/error.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const LIMIT = 65_536

test('calls that wait until the rules of their queue are known are bounded, like those under way', async () => {
  const cluster = new TestCluster(['n1'], 1)
  const { queue } = cluster.application(true)
  if (queue === undefined) throw new Error('the driver has no queues')
  const jobs = { name: 'jobs', rules: RULES }
  const message = { key: '', payload: new Uint8Array(1), headers: {}, delay: 0, priority: 0, deduplication: undefined }
  // As soon as the shards are known nothing else holds these calls back.
  const ready = queue.stats('jobs', {})
  await cluster.run(2000)
  await ready
  const ends: string[] = []
  const send = (): void =>
    void queue.send(jobs, { ...message, ttl: Number.POSITIVE_INFINITY }, {}).then(
      () => ends.push('sent'),
      (error: unknown) => ends.push(error instanceof TroupeError ? error.code : String(error)),
    )
  for (let at = 0; at < LIMIT + 10; at++) send()
  await Promise.resolve()
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  expect(ends).toEqual(Array(10).fill('OVERLOADED'))
  await cluster.run(5000)
  send()
  await cluster.run(1000)
  expect(ends.filter((end) => end === 'sent').length).toBeGreaterThan(LIMIT / 2)
  expect(ends.at(-1)).toBe('sent')
})
