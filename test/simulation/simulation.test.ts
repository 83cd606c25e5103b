import { describe, expect, test } from 'vitest'
import { defineMap } from '../../src/index.ts'
import { FAULTS, type FaultKind, type RareState, simulate, simulateApplication } from '../../src/simulation.ts'

/** Says how a failure is replayed, where there is one. */
const told = (seed: number, failure: string | undefined): string =>
  failure === undefined ? 'all promises kept' : `${failure}\nreplay: npm run sim -- --seed ${seed} --trace`

describe('a simulated cluster keeps its promises', () => {
  const seeds = Array.from({ length: 20 }, (_, at) => at + 1)
  test.each(seeds)(
    'under the faults of seed %i',
    async (seed) => {
      const { failure } = await simulate({ seed, virtualSeconds: 15 })
      expect(told(seed, failure)).toBe('all promises kept')
    },
    60_000,
  )

  const kinds = FAULTS.map((kind) => [kind] as const)
  test.each(kinds)(
    'under nothing but faults of kind %s',
    async (kind: FaultKind) => {
      const { failure, history } = await simulate({ seed: 99, nodes: 3, faults: [kind], virtualSeconds: 15 })
      expect(told(99, failure)).toBe('all promises kept')
      expect(history.operations.some(({ outcome }) => outcome === 'ok')).toBe(true)
    },
    60_000,
  )
})

describe('what a fault is for comes about', () => {
  const states: readonly (readonly [FaultKind, RareState])[] = [
    ['pause', 'leader-slept'],
    ['full-disk', 'disk-full'],
    ['torn-page', 'page-unreadable'],
    ['brownout', 'start-interrupted'],
    ['direct-disk', 'stood-still'],
  ]
  test.each(states)(
    '%s: %s',
    async (fault, state) => {
      let count = 0
      for (let seed = 1; seed <= 12 && count === 0; seed++) {
        const { failure, coverage } = await simulate({
          seed,
          nodes: 3,
          faults: [fault, 'slow-disk'],
          virtualSeconds: 40,
        })
        expect(told(seed, failure)).toBe('all promises kept')
        count += coverage[state]
      }
      expect(count).toBeGreaterThan(0)
    },
    60_000,
  )
})

describe('a seed', () => {
  const run = (seed: number) => simulate({ seed, nodes: 3, virtualSeconds: 10, faults: FAULTS })

  test('decides the whole run: twice the same seed gives the same trace and history, another seed another', async () => {
    const [once, again, other] = [await run(5), await run(5), await run(6)]
    expect(again.traceHash).toBe(once.traceHash)
    expect(again.history.toJsonLines()).toBe(once.history.toJsonLines())
    expect(other.traceHash).not.toBe(once.traceHash)
  }, 60_000)

  test('without faults loses no operation', async () => {
    const { history, faults } = await simulate({ seed: 3, nodes: 3, faults: [], virtualSeconds: 10 })
    expect(faults).toBe(0)
    // Until then the cluster has been founded and has its leaders.
    const settled = history.operations.filter(({ invokedAt }) => invokedAt > 2e9)
    expect(settled.filter(({ outcome }) => outcome !== 'ok')).toEqual([])
    expect(settled.length).toBeGreaterThan(20)
  }, 60_000)
})

describe('an application of the user', () => {
  const counters = defineMap<number>('counters')

  test('runs beside every node in virtual time, and again after its node has restarted', async () => {
    const starts = new Map<string, number>()
    const { ok, failure } = await simulateApplication(
      async (troupe, { node, start, signal, sleep }) => {
        starts.set(node, start)
        const map = troupe.map(counters)
        do {
          await map.set(node, start, { timeout: 60_000 })
          await sleep(100)
        } while (!signal.aborted)
        const found = await map.get(node, { timeout: 60_000 })
        if (found?.value !== start) throw new Error(`${node} reads ${found?.value} and wrote ${start}`)
      },
      { seed: 1, nodes: 3, shards: 2, virtualSeconds: 30, faults: ['crash'] },
    )
    expect(failure).toBeUndefined()
    expect(ok).toBe(true)
    expect([...starts.keys()].sort()).toEqual(['n1', 'n2', 'n3'])
    expect(Math.max(...starts.values())).toBeGreaterThan(1)
  }, 60_000)

  test('that rejects fails the simulation', async () => {
    const application = async () => Promise.reject(new Error('the till is short'))
    const { ok, failure } = await simulateApplication(application, { seed: 1, nodes: 1, faults: [], virtualSeconds: 3 })
    expect(ok).toBe(false)
    expect(failure).toContain('the till is short')
  })
})
