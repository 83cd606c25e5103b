import { describe, expect, test } from 'vitest'
import { checkSchedules, type FiringRecord, type SchedulePromise } from '../../../../src/simulation/check/schedule.ts'

const PROMISE: SchedulePromise = { schedule: 's', everyMs: 1000, isAligned: false, isComplete: true }
const SECOND = 1_000_000

const firing = (time: number, id: string, sentAt: number = time): FiringRecord => ({
  type: 'firing',
  schedule: 's',
  id,
  time,
  sentAt,
})

const check = (history: readonly FiringRecord[], promise: Partial<SchedulePromise> = {}): string =>
  checkSchedules(history, [{ ...PROMISE, ...promise }]).join('\n')

describe('what keeps the promises of a schedule', () => {
  test('one message for each time, also when it comes again', () => {
    expect(check([firing(5, 'a'), firing(5, 'a'), firing(5 + SECOND, 'b')])).toBe('')
  })

  test('times that are left out, where they may be', () => {
    expect(check([firing(5, 'a'), firing(5 + 3 * SECOND, 'b')], { isComplete: false })).toBe('')
  })
})

describe('what breaks a promise of a schedule', () => {
  const cases: readonly (readonly [string, RegExp, FiringRecord[], Partial<SchedulePromise>])[] = [
    ['a time that fires twice', /fired twice/, [firing(5, 'a'), firing(5, 'b')], {}],
    ['a message for two times', /came for 5 and/, [firing(5, 'a'), firing(5 + SECOND, 'a')], {}],
    ['a time that is left out', /did not fire between/, [firing(5, 'a'), firing(5 + 2 * SECOND, 'b')], {}],
    ['a time that is none', /none of its times/, [firing(5, 'a'), firing(6, 'b')], {}],
    ['a cron that is off', /none of its times/, [firing(5, 'a')], { isAligned: true }],
    ['a firing before its time', /fired at 4 for 5/, [firing(5, 'a', 4)], {}],
    ['no firing at all', /never fired/, [], {}],
  ]
  test.each(cases)('%s', (_, reason, history, promise) => {
    expect(check(history, promise)).toMatch(reason)
  })
})
