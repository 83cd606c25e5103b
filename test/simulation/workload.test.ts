import { describe, expect, test } from 'vitest'
import { type FaultKind, type RareState, simulateWorkload, WORKLOADS, type WorkloadName } from '../../src/simulation.ts'

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

describe('what a workload is about comes about', () => {
  const states: readonly (readonly [WorkloadName, readonly FaultKind[], readonly RareState[]])[] = [
    // A holder sleeps for three times as long as its lease lives, wakes, and writes to a map and to a queue.
    ['lock', ['stall'], ['lock-lost', 'write-fenced']],
    ['share', ['stall'], ['lock-lost', 'write-fenced']],
    // A consumer dies with all that it holds, some of which is poison.
    ['queue', ['kill'], ['message-redelivered', 'message-dead']],
    ['lifetime', [], ['message-superseded', 'message-expired', 'message-redriven']],
    // Members of a group join, leave and die all the time.
    ['topic', ['kill', 'stall'], ['group-rebalanced', 'commit-fenced']],
  ]
  test.each(states)(
    '%s, faults %j: %j',
    async (workload, faults, expected) => {
      const reached = new Set<RareState>()
      for (const seed of [12, 14, 17, 20, 21, 22]) {
        const { failure, coverage } = await simulateWorkload({ workload, seed, faults, virtualSeconds: 15 })
        expect(told(workload, seed, failure)).toBe('all promises kept')
        for (const state of expected) if (coverage[state] > 0) reached.add(state)
      }
      expect([...reached].sort()).toEqual([...expected].sort())
    },
    60_000,
  )
})

describe('bugs that were found by a seed', () => {
  /** With the faults that were drawn for them then. */
  const seeds: readonly (readonly [string, WorkloadName, number, readonly FaultKind[]])[] = [
    ['a node without a replica of any shard never told what the shards are', 'lock', 40, []],
    [
      'a founder that missed the founding never took part once another founder was gone',
      'lock',
      51,
      ['crash', 'clock', 'slow-disk', 'network', 'kill'],
    ],
    [
      'whoever lost its place in line for a lock was refused rather than given another',
      'lock',
      14,
      ['power', 'pause', 'partition', 'slow-disk', 'network'],
    ],
    [
      'whoever ran out of time in line for a lock was called fenced',
      'lock',
      7,
      ['power', 'partition', 'clock', 'slow-disk', 'failing-disk', 'stall'],
    ],
    [
      'an answer that came after the lease cost a consumer its credit for ever',
      'transaction',
      39,
      ['crash', 'failing-disk', 'network', 'stall'],
    ],
    [
      'a client of a node that was cut off tried no other',
      'queue',
      125,
      ['partition', 'failing-disk', 'network', 'stall'],
    ],
    [
      'a client of a node that hung tried no other',
      'queue',
      168,
      ['pause', 'clock', 'slow-disk', 'failing-disk', 'network', 'kill', 'rot'],
    ],
    [
      'a consumer that a leader had hung on did not go to the next leader',
      'queue',
      231,
      ['crash', 'power', 'pause', 'partition', 'slow-disk', 'failing-disk', 'network', 'stall'],
    ],
    [
      'an outbox asked only a replica that was cut off where its target is led',
      'transaction',
      160,
      ['power', 'partition', 'clock', 'network'],
    ],
    ['a process that slept was given a lock that it had lost meanwhile', 'lock', 41, ['kill', 'stall']],
    [
      'who only listens does not wait for a node that hangs',
      'schedule',
      220,
      ['crash', 'power', 'pause', 'clock', 'slow-disk', 'network'],
    ],
    ['a disk that was full while a snapshot was written ended the process', 'transaction', 40036, ['full-disk']],
    [
      'a lone node led before its vote was on disk, and used one place of its log twice',
      'schedule',
      1519,
      ['crash', 'partition', 'slow-disk', 'kill', 'stall'],
    ],
  ]
  test.each(seeds)(
    '%s: %s, seed %i',
    async (_, workload, seed, faults) => {
      const { failure } = await simulateWorkload({ workload, seed, faults })
      expect(told(workload, seed, failure)).toBe('all promises kept')
    },
    60_000,
  )
})
