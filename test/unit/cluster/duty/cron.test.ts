import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkCron, planCron } from '../../../../src/cluster/duty/cron.ts'

const micros = (text: string) => new Date(text).getTime() * 1000
const next = (spec: string, timeZone: string, after: string, count = 3) =>
  planCron(spec, timeZone, micros(after), count).map((time) => new Date(time / 1000).toISOString().replace('.000', ''))

describe('the next times of a cron', () => {
  test('are those of its time zone', () => {
    expect(next('0 9 * * MON-FRI', 'America/New_York', '2026-07-03T20:00:00Z', 2)).toEqual([
      '2026-07-06T13:00:00Z',
      '2026-07-07T13:00:00Z',
    ])
    expect(next('0 9 * * *', 'Asia/Kathmandu', '2026-07-03T20:00:00Z', 1)).toEqual(['2026-07-04T03:15:00Z'])
    expect(next('0 9 * * *', '', '2026-07-03T20:00:00Z', 1)).toEqual(['2026-07-04T09:00:00Z'])
  })

  test('are later than the time given, to the microsecond', () => {
    const noon = micros('2026-07-03T12:00:00Z')
    const first = (afterMicros: number) => planCron('* * * * * *', 'UTC', afterMicros, 1)
    expect(first(noon - 1)).toEqual([noon])
    expect(first(noon)).toEqual([noon + 1_000_000])
    expect(first(noon + 999_999)).toEqual([noon + 1_000_000])
  })

  test('have seconds when there are six fields, and years when there are seven', () => {
    expect(next('15,45 30 4 1 1 *', 'UTC', '2026-07-03T12:00:00Z', 2)).toEqual([
      '2027-01-01T04:30:15Z',
      '2027-01-01T04:30:45Z',
    ])
    expect(next('0 0 0 1 1 * 2031', 'UTC', '2026-07-03T12:00:00Z')).toEqual(['2031-01-01T00:00:00Z'])
  })

  test('come once after the gap in spring, and once in the hour that comes twice in autumn', () => {
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
    ])
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00Z',
      '2026-10-26T01:30:00Z',
    ])
  })

  test('follow the clock through both when the hours have a wildcard', () => {
    expect(next('30 * * * *', 'Europe/Berlin', '2026-03-29T00:15:00Z')).toEqual([
      '2026-03-29T00:30:00Z',
      '2026-03-29T01:30:00Z',
      '2026-03-29T02:30:00Z',
    ])
    expect(next('30 * * * *', 'Europe/Berlin', '2026-10-25T00:15:00Z')).toEqual([
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T02:30:00Z',
    ])
  })

  test('are none for a day that there is not, and are found at once', () => {
    expect(next('0 0 30 2 *', 'Europe/Berlin', '2026-01-01T00:00:00Z')).toEqual([])
    expect(next('0 0 0 1 1 * 2020', 'UTC', '2026-01-01T00:00:00Z')).toEqual([])
  })

  test('end where microseconds do, for none of them would reach the log', () => {
    const rare = next('0 0 29 2 +1', 'UTC', '2026-01-01T00:00:00Z', 48)
    expect(rare[0]).toBe('2044-02-29T00:00:00Z')
    expect(rare.length).toBeLessThan(10)
    expect(next('0 0 0 1 1 * 2400', 'UTC', '2026-01-01T00:00:00Z')).toEqual([])
  })

  test('are the same whether they are asked for one by one or together', () => {
    const specs = fc.constantFrom('*/7 * * * *', '30 2 * * *', '0 0 29 2 *', '*/13 */5 2 * * *', '0 0 L * *')
    const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Apia')
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
    fc.assert(
      fc.property(specs, zones, seconds, (spec, timeZone, start) => {
        const afterMicros = start * 1_000_000
        const together = planCron(spec, timeZone, afterMicros, 6)
        let at = afterMicros
        for (const expected of together) {
          const [found = 0] = planCron(spec, timeZone, at, 1)
          expect(found).toBe(expected)
          expect(found).toBeGreaterThan(at)
          at = found
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('an expression that is none', () => {
  test.each([
    ['', 'UTC'],
    ['every day', 'UTC'],
    ['61 * * * *', 'UTC'],
    ['* * * *', 'UTC'],
    ['2026-01-01T00:00:00', 'UTC'],
    ['* * * * *', 'Mars/Olympus'],
    ['0 0 30 2 *', 'UTC'],
    ['0 0 0 1 1 * 2400', 'UTC'],
  ])('is refused: %j in %s', (spec, timeZone) => {
    expect(() => checkCron(spec, timeZone)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  test('is not a nickname', () => {
    expect(() => checkCron('@daily', 'Europe/Berlin')).not.toThrow()
    expect(next('@daily', 'UTC', '2026-07-03T12:00:00Z', 1)).toEqual(['2026-07-04T00:00:00Z'])
  })
})
