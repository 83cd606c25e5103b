import { describe, expect, test } from 'vitest'
import type { GroupId } from '../../../../src/base/identity.ts'
import {
  checkDrains,
  type DrainEvent,
  type DrainRecord,
  type JobRecord,
  type RunRecord,
} from '../../../../src/simulation/check/drain.ts'
import type { Election } from '../../../../src/simulation/check/ledger.ts'

const shard = 1 as GroupId
const other = 2 as GroupId
const job = (more: Partial<JobRecord> = {}): JobRecord => ({ type: 'job', content: 'a', outcome: 'ok', ...more })
const run = (at: number, returnedAt: number, more: Partial<RunRecord> = {}): RunRecord => ({
  type: 'run',
  worker: 'w',
  content: 'a',
  group: shard,
  attempt: 1,
  at,
  returnedAt,
  ...more,
})
const drain = (more: Partial<DrainRecord> = {}): DrainRecord => ({
  type: 'drain',
  worker: 'w',
  concurrency: 2,
  timeoutMs: 100,
  invokedAt: 50,
  returnedAt: 60,
  finished: 0,
  abandoned: 0,
  ...more,
})
const check = (...history: readonly DrainEvent[]): string => checkDrains(history, []).join('\n')
const endless = Number.POSITIVE_INFINITY
const cut = drain({ returnedAt: 150, abandoned: 1 })

describe('what keeps the promises of a drain', () => {
  const cases: readonly (readonly [string, DrainEvent[]])[] = [
    ['a handler that had finished before', [job(), run(10, 20), drain()]],
    ['a handler whose end is waited for', [job(), run(10, 55), drain({ finished: 1 })]],
    ['a handler that was abandoned, and runs elsewhere', [job(), run(10, 300), cut, run(200, 210, { worker: 'v' })]],
    ['a drain that has not ended', [job(), run(10, 20), drain({ returnedAt: endless })]],
  ]
  test.each(cases)('%s', (_, history) => expect(check(...history)).toBe(''))
})

describe('what breaks a promise of a drain', () => {
  const again = run(200, 210, { worker: 'v' })
  const cases: readonly (readonly [string, RegExp, DrainEvent[]])[] = [
    ['a message that nobody handled', /never handled/, [job()]],
    ['a message that nobody handled to its end', /never handled/, [job(), run(10, endless)]],
    ['a message that was not sent', /was not sent/, [run(10, 20)]],
    ['a message whose send had failed', /was not sent/, [job({ outcome: 'failed' }), run(10, 20)]],
    ['a handler that begins meanwhile', /began a while it drained/, [job(), run(55, 56), drain({ finished: 1 })]],
    ['a handler that is not mentioned', /1 were under way/, [job(), run(10, 55), drain()]],
    ['more handlers than run at once', /runs 2 at once/, [job(), run(10, 20), drain({ finished: 3 })]],
    ['a handler that is called finished', /1 had not returned/, [job(), run(10, 70), drain({ finished: 1 })]],
    ['a handler that was not waited for', /after 10 of 100 ms/, [job(), run(10, 70), drain({ abandoned: 1 })]],
    ['a drain that takes too long', /took 1950 ms/, [job(), run(10, 20), drain({ returnedAt: 2000 })]],
    ['a message that comes again', /although w had finished it/, [job(), run(10, 20), drain(), again]],
    ['an attempt that the drain costs', /came as attempt 2/, [job(), run(10, 300), cut, { ...again, attempt: 2 }]],
  ]
  test.each(cases)('%s', (_, broken, history) => expect(check(...history)).toMatch(broken))
})

describe('a message that comes again although its handler had finished', () => {
  const history = [job(), run(5000, 5100), run(9000, 9010)]
  const checkWith = (...elections: readonly Election[]): string => checkDrains(history, elections).join('\n')

  test('is explained by a new leader of its shard, for the leases stay behind', () => {
    expect(checkWith({ group: shard, at: 5050 })).toBe('')
  })

  test('is explained by a new leader that came while the acknowledgement was on its way', () => {
    expect(checkWith({ group: shard, at: 5110 })).toBe('')
  })

  const excuses: readonly (readonly [string, Election])[] = [
    ['long before', { group: shard, at: 1000 }],
    ['long after it was acknowledged', { group: shard, at: 8000 }],
    ['in another shard', { group: other, at: 5050 }],
  ]
  test.each(excuses)('is not explained by a new leader %s', (_, election) => {
    expect(checkWith(election)).toMatch(/came again to w although w had finished it/)
  })

  test('is not explained by a new leader after it had come again', () => {
    const soon = [job(), run(5000, 5100), run(5200, 5210)]
    expect(checkDrains(soon, [{ group: shard, at: 5205 }]).join('\n')).toMatch(/came again to w/)
  })

  test('is no attempt, new leader or not', () => {
    const counted = [job(), run(5000, 5100), run(5200, 5210, { attempt: 2 })]
    expect(checkDrains(counted, [{ group: shard, at: 5110 }]).join('\n')).toMatch(/came as attempt 2/)
  })
})
