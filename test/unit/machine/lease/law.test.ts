import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Shard } from '../../../../src/machine/shard.ts'
import { apply, get, setting } from '../operations.ts'
import {
  acquiring,
  attaching,
  expiring,
  granting,
  lettingGo,
  lockQuery,
  lockState,
  restored,
  revoking,
  together,
} from './operations.ts'

const PERMITS = 3
const LOCKS = ['a', 'b', 'c']
const lock = fc.constantFrom(...LOCKS)
const lease = fc.integer({ min: 1, max: 4 })
const command = fc.oneof(
  { weight: 2, arbitrary: lease.map((id) => granting(id)) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(lock, lease, fc.integer({ min: 1, max: PERMITS }), fc.boolean(), fc.constantFrom(0, 0, 2, 5))
      .map(([name, id, permits, wait, delayMs]) => acquiring(name, id, { permits, of: PERMITS, wait, delayMs })),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(lock, lease, fc.constantFrom(0, 1, 2)).map(([name, id, to]) => lettingGo(name, id, to)),
  },
  { weight: 1, arbitrary: lease.map(expiring) },
  { weight: 1, arbitrary: lease.map(revoking) },
  { weight: 1, arbitrary: lease.map((id) => setting(`k${id}`, id)) },
  { weight: 1, arbitrary: fc.tuple(lease, lease).map(([key, id]) => together([attaching(`k${key}`, id)])) },
)

function checkLock(shard: Shard, name: string, newest: number): number {
  const state = lockState(shard, name)
  const tokens = state?.holders.map(({ number }) => number) ?? []
  const used = state?.holders.reduce((sum, { permits }) => sum + permits, 0) ?? 0
  const claimants = [...(state?.holders ?? []), ...(state?.waiters ?? [])].map((claim) => claim.lease)
  expect(used).toBeLessThanOrEqual(PERMITS)
  expect(tokens).toEqual([...tokens].sort((one, other) => one - other))
  expect(new Set(claimants).size).toBe(claimants.length)
  expect(claimants.every((id) => shard.view.leases.has(id))).toBe(true)
  // Without a delay under way nobody waits for permits that are there.
  const first = state?.waiters[0]
  expect(first === undefined || used + first.permits > PERMITS || shard.dueAt < Number.POSITIVE_INFINITY).toBe(true)
  return Math.max(newest, ...tokens)
}

test('no permit is held twice, tokens only grow, nobody waits in vain, and a restored replica goes on alike', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), command), { minLength: 20, maxLength: 80, size: 'max' }),
      fc.nat(4),
      (turns, cut) => {
        const shard = new Shard()
        let copy = new Shard()
        let time = 1
        const newest = new Map<string, number>()
        turns.forEach(([pause, each], turn) => {
          if (turn % (cut + 1) === cut) copy = restored(copy)
          time += pause
          const before = new Map(LOCKS.map((name) => [name, new Set(holdersOf(shard, name))]))
          const replies = apply(shard, time, each)
          expect(apply(copy, time, each)).toEqual(replies)
          for (const name of LOCKS) {
            const granted = holdersOf(shard, name).filter((token) => before.get(name)?.has(token) !== true)
            expect(granted.every((token) => token > (newest.get(name) ?? 0))).toBe(true)
            newest.set(name, checkLock(shard, name, newest.get(name) ?? 0))
            expect(lockQuery(copy, name)).toEqual(lockQuery(shard, name))
          }
          expect([copy.dueAt, copy.revision, copy.digest()]).toEqual([shard.dueAt, shard.revision, shard.digest()])
          expect(get(copy, 'k1')).toEqual(get(shard, 'k1'))
        })
      },
    ),
    { numRuns: 50 },
  )
})

function holdersOf(shard: Shard, name: string): number[] {
  return lockState(shard, name)?.holders.map(({ number }) => number) ?? []
}
