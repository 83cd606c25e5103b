import { describe, expect, test } from 'vitest'
import { simulateWorkload, WORKLOADS, type WorkloadName } from '../../src/simulation.ts'

/** Says how a failure is replayed, where there is one. */
const told = (workload: string, seed: number, failure: string | undefined): string =>
  failure === undefined
    ? 'all promises kept'
    : `${failure}\nreplay: npm run sim -- --workload ${workload} --seed ${seed} --trace`

describe.each(WORKLOADS)('the workload %s', (workload: WorkloadName) => {
  test.each([1, 2, 3, 4])(
    'finds every promise kept under the faults of seed %i',
    async (seed) => {
      const { failure, history } = await simulateWorkload({ workload, seed, virtualSeconds: 12 })
      expect(told(workload, seed, failure)).toBe('all promises kept')
      expect(history.length).toBeGreaterThan(0)
    },
    60_000,
  )

  test('does the same for the same seed', async () => {
    const run = () => simulateWorkload({ workload, seed: 7, nodes: 3, virtualSeconds: 6 })
    const [once, again] = [await run(), await run()]
    expect(again.traceHash).toBe(once.traceHash)
    expect(again.history).toEqual(once.history)
  }, 60_000)
})

describe('bugs that were found by a seed', () => {
  const seeds: readonly (readonly [string, WorkloadName, number])[] = [
    ['a node without a replica of any shard never told what the shards are', 'lock', 40],
    ['a founder that missed the founding never took part once another founder was gone', 'lock', 51],
    ['whoever lost its place in line for a lock was refused rather than given another', 'lock', 14],
    ['whoever ran out of time in line for a lock was called fenced', 'lock', 7],
    ['an answer that came after the lease cost a consumer its credit for ever', 'transaction', 39],
    ['a client of a node that was cut off tried no other', 'queue', 125],
    ['a client of a node that hung tried no other', 'queue', 168],
    ['a consumer that a leader had hung on did not go to the next leader', 'queue', 231],
    ['an outbox asked only a replica that was cut off where its target is led', 'transaction', 160],
    ['a process that slept was given a lock that it had lost meanwhile', 'lock', 41],
    ['who only listens does not wait for a node that hangs', 'schedule', 220],
    ['a node that a leader cannot reach asked no other node that it can', 'topic', 213],
  ]
  test.each(seeds)(
    '%s: %s, seed %i',
    async (_, workload, seed) => {
      const { failure } = await simulateWorkload({ workload, seed })
      expect(told(workload, seed, failure)).toBe('all promises kept')
    },
    60_000,
  )
})
