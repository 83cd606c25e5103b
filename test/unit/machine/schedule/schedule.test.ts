import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeHeaders, encodeHeaders } from '../../../../src/base/headers.ts'
import {
  decodeScheduleStatus,
  encodeScheduleName,
  encodeSchedulePause,
  encodeSchedulePlan,
  encodeScheduleSet,
  SCHEDULE_COMMAND,
  SCHEDULE_QUERY,
  type ScheduleDefinition,
  type ScheduleStatus,
} from '../../../../src/machine/schedule/command.ts'
import { ScheduleTable } from '../../../../src/machine/schedule/schedule.ts'
import { encodePage } from '../../../../src/machine/topic/command.ts'
import { ask, give, type Neighbourhood, neighbourhood, restored, sectionsOf } from '../topic/operations.ts'

const SECOND = 1_000_000
const START = 1_800_000_000 * SECOND
const plain: ScheduleDefinition = {
  rule: 'every',
  spec: '',
  timeZone: '',
  everyMs: 0,
  at: 0,
  until: 0,
  missed: 'skip',
  headers: new Uint8Array(0),
  payload: Uint8Array.of(7),
}
const every = (seconds: number, more: Partial<ScheduleDefinition> = {}) => ({
  ...plain,
  everyMs: seconds * 1000,
  ...more,
})
const at = (time: number, more: Partial<ScheduleDefinition> = {}) => ({
  ...plain,
  rule: 'at' as const,
  at: time,
  ...more,
})
const cron = (more: Partial<ScheduleDefinition> = {}) => ({
  ...plain,
  rule: 'cron' as const,
  spec: '* * * * *',
  timeZone: 'UTC',
  ...more,
})

function begin(): { table: ScheduleTable; neighbours: Neighbourhood } {
  const neighbours = neighbourhood()
  return { table: new ScheduleTable(neighbours), neighbours }
}

const set = (table: ScheduleTable, time: number, definition: ScheduleDefinition, name = 'q/s') => {
  const [queue = '', id = ''] = name.split('/')
  return give(table, time, SCHEDULE_COMMAND.scheduleSet, (writer) =>
    encodeScheduleSet(writer, { queue, id }, definition),
  )
}
const plan = (table: ScheduleTable, time: number, generation: number, times: number[]) =>
  give(table, time, SCHEDULE_COMMAND.schedulePlan, (writer) =>
    encodeSchedulePlan(writer, { queue: 'q', id: 's' }, generation, times),
  )
const pause = (table: ScheduleTable, time: number, isPaused: boolean) =>
  give(table, time, SCHEDULE_COMMAND.schedulePause, (writer) => encodeSchedulePause(writer, 'q', 's', isPaused))
const advance = (table: ScheduleTable, time: number) => {
  if (table.dueAt <= time) table.advance(time)
}
const ids = ({ sent }: Neighbourhood) => sent.map(({ deduplicationId }) => deduplicationId)
const seconds = ({ sent }: Neighbourhood) =>
  sent.map(({ deduplicationId }) => (Number(deduplicationId.split('@')[1]) - START) / SECOND)

function statusOf(table: ScheduleTable, id = 's'): ScheduleStatus {
  const reply = ask(table, SCHEDULE_QUERY.schedule, (writer) => encodeScheduleName(writer, 'q', id))
  if (reply === undefined) throw new Error('no such schedule')
  reply.u53()
  return decodeScheduleStatus(reply)
}

function list(table: ScheduleTable, after = '', limit = 100): { ids: string[]; more: boolean } {
  const reply = ask(table, SCHEDULE_QUERY.schedules, (writer) => encodePage(writer, after, limit))
  if (reply === undefined) throw new Error('no list')
  reply.u53()
  const more = reply.u8() === 1
  const found = Array.from({ length: reply.u32() }, () => decodeScheduleStatus(reply))
  return { ids: found.map(({ queue, id }) => `${queue}/${id}`), more }
}

describe('a schedule', () => {
  test('sends its message with the id of the firing as header and deduplication id', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10, { headers: encodeHeaders({ a: 'b' }) }))
    advance(table, START + 10 * SECOND + 5)
    const [message] = neighbours.sent
    const firing = `s@${START + 10 * SECOND}`
    expect(message).toMatchObject({ queue: 'q', key: 's', payload: Uint8Array.of(7), deduplicationId: firing })
    expect(decodeHeaders(message?.headers ?? new Uint8Array(0))).toEqual({ a: 'b', 'troupe-firing': firing })
    expect(statusOf(table)).toMatchObject({ firedAt: START + 10 * SECOND, nextAt: START + 20 * SECOND })
  })

  test('of an interval does not drift, however late each firing is', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10))
    for (let n = 1; n <= 100; n++) advance(table, table.dueAt + 900_000)
    expect(seconds(neighbours)).toEqual(Array.from({ length: 100 }, (_, n) => (n + 1) * 10))
  })

  test('of an interval keeps to the steps of its first time, also of one that has passed', () => {
    const { table } = begin()
    set(table, START, every(10, { at: START + 3 * SECOND }))
    expect(table.dueAt).toBe(START + 3 * SECOND)
    set(table, START, every(10, { at: START - 1003 * SECOND }))
    expect(table.dueAt).toBe(START + 7 * SECOND)
  })

  test('of a single time fires once, and stays to be listed', () => {
    const { table, neighbours } = begin()
    const definition = at(START + 5 * SECOND)
    const { revision } = set(table, START, definition)
    for (let n = 0; n < 20; n++) advance(table, START + n * SECOND)
    expect(seconds(neighbours)).toEqual([5])
    expect(statusOf(table)).toMatchObject({ firedAt: START + 5 * SECOND, nextAt: undefined, missedCount: 0 })
    expect(set(table, START + 30 * SECOND, definition)).toEqual({ status: 'ok', revision })
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('fires at its last time and not after it', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10, { until: START + 30 * SECOND }))
    for (let n = 0; n < 60; n++) advance(table, START + n * SECOND)
    expect(seconds(neighbours)).toEqual([10, 20, 30])
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('that is set again begins anew only when its definition differs', () => {
    const { table } = begin()
    const first = set(table, START, every(10))
    expect(set(table, START + 4 * SECOND, every(10))).toEqual(first)
    expect(table.dueAt).toBe(START + 10 * SECOND)
    const second = set(table, START + 4 * SECOND, every(20))
    expect(second.revision).toBeGreaterThan(first.revision)
    expect(table.dueAt).toBe(START + 24 * SECOND)
  })

  test.each([
    ['skip', [40], 3],
    ['latest', [30, 40], 2],
    ['all', [10, 20, 30, 40], 0],
  ] as const)('that was paused has missed what came meanwhile: %s', (missed, firings, count) => {
    const { table, neighbours } = begin()
    set(table, START, every(10, { missed }))
    pause(table, START + 1, true)
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
    // To set it again, as each start of a program does, does not resume it.
    set(table, START + 20 * SECOND, every(10, { missed }))
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
    const later = restored(sectionsOf(table), new ScheduleTable(neighbours))
    pause(later, START + 35 * SECOND, false)
    advance(later, START + 35 * SECOND)
    advance(later, START + 41 * SECOND)
    expect(seconds(neighbours)).toEqual(firings)
    expect(statusOf(later).missedCount).toBe(count)
  })

  test('of a cron that was paused goes on with what is planned, and asks for more', () => {
    const { table, neighbours } = begin()
    set(table, START, cron({ missed: 'all' }))
    const { generation } = statusOf(table)
    plan(table, START, generation, [START + 10 * SECOND, START + 20 * SECOND])
    pause(table, START + 1, true)
    expect([...table.unplanned()]).toEqual([])
    pause(table, START + 60 * SECOND, false)
    advance(table, START + 60 * SECOND)
    expect(seconds(neighbours)).toEqual([10, 20])
    expect([...table.unplanned()]).toMatchObject([{ after: START + 60 * SECOND }])
  })

  test('that is removed is gone', () => {
    const { table } = begin()
    const remove = () =>
      give(table, START, SCHEDULE_COMMAND.scheduleRemove, (writer) => encodeScheduleName(writer, 'q', 's'))
    set(table, START, every(10))
    expect(remove().status).toBe('ok')
    expect(remove().status).toBe('absent')
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
    expect(sectionsOf(table)).toEqual([])
  })

  test('without a time or with damaged headers is malformed', () => {
    const { table } = begin()
    for (const definition of [every(0), at(0), cron({ spec: '' }), every(1, { headers: Uint8Array.of(9) })]) {
      expect(() => set(table, START, definition)).toThrow('malformed')
    }
  })
})

describe('schedules together', () => {
  test('fire in the order of their times, then of their queues and ids', () => {
    const { table, neighbours } = begin()
    for (const name of ['q/b', 'q/a', 'p/z']) set(table, START, every(10, { missed: 'all' }), name)
    set(table, START, every(5, { missed: 'all' }), 'q/m')
    advance(table, START + 10 * SECOND)
    expect(neighbours.sent.map(({ queue, key }) => queue + key)).toEqual(['qm', 'pz', 'qa', 'qb', 'qm'])
  })

  test('are listed page by page in the order of their keys', () => {
    const { table } = begin()
    for (const id of ['c', 'a', 'b']) set(table, START, every(10), `q/${id}`)
    expect(list(table, '', 2)).toEqual({ ids: ['q/a', 'q/b'], more: true })
    expect(list(table, 'q\0b', 2)).toEqual({ ids: ['q/c'], more: false })
  })

  test('that have ended are kept up to a thousand, the latest', () => {
    const { table } = begin()
    for (let n = 0; n < 1010; n++) set(table, START, at(START + n), `q/s${n}`)
    for (let n = 0; n < 1010; n++) advance(table, START + n)
    expect(sectionsOf(table)).toHaveLength(1000)
    expect(list(table, '', 1000).ids).not.toContain('q/s9')
    expect(list(table, '', 1000).ids).toContain('q/s1009')
  })
})

describe('times that passed while nobody led', () => {
  test.each([
    ['skip', [], [10, 20, 30, 40, 50, 60]],
    ['latest', [60], [10, 20, 30, 40, 50]],
    ['all', [10, 20, 30, 40, 50, 60], []],
  ] as const)('are made up for as %s says, and listed when not', (missed, expected, listed) => {
    const { table, neighbours } = begin()
    set(table, START, every(10, { missed }))
    advance(table, START + 65 * SECOND)
    expect(seconds(neighbours)).toEqual(expected)
    const missedTimes = listed.map((second) => START + second * SECOND)
    expect(statusOf(table)).toMatchObject({ missedCount: listed.length, missedTimes, nextAt: START + 70 * SECOND })
  })

  test('do not keep the one from firing that is due now', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10))
    advance(table, START + 60 * SECOND + 1)
    expect(seconds(neighbours)).toEqual([60])
    expect(statusOf(table).missedCount).toBe(5)
  })

  test('are at most 64, however long it took, and the rest is counted', () => {
    const { table, neighbours } = begin()
    set(table, START, every(1, { missed: 'all' }))
    advance(table, START + 1_000_000 * SECOND)
    expect(seconds(neighbours)).toEqual(Array.from({ length: 64 }, (_, n) => 1_000_000 - 63 + n))
    const { missedCount, missedTimes } = statusOf(table)
    expect(missedCount).toBe(1_000_000 - 64)
    const before = Array.from({ length: 16 }, (_, n) => START + (1_000_000 - 64 - 15 + n) * SECOND)
    expect(missedTimes).toEqual(before)
  })
})

describe('a cron', () => {
  const times = (...all: number[]) => all.map((second) => START + second * SECOND)

  test('wants a plan until it has more than 16 times, and fires at each', () => {
    const { table, neighbours } = begin()
    const { revision } = set(table, START, cron())
    expect([...table.unplanned()]).toEqual([
      { id: 's', queue: 'q', generation: revision, cron: '* * * * *', timeZone: 'UTC', after: START },
    ])
    plan(table, START, revision, times(...Array.from({ length: 17 }, (_, at) => (at + 1) * 60)))
    expect([...table.unplanned()]).toEqual([])
    advance(table, START + 60 * SECOND)
    expect([...table.unplanned()]).toMatchObject([{ after: START + 17 * 60 * SECOND }])
    expect(seconds(neighbours)).toEqual([60])
  })

  test('is planned once for each time, though two leaders send the same plan', () => {
    const { table, neighbours } = begin()
    const { revision } = set(table, START, cron({ missed: 'all' }))
    plan(table, START, revision, times(60, 120))
    plan(table, START, revision, times(60, 120, 180))
    advance(table, START + 130 * SECOND)
    plan(table, START + 130 * SECOND, revision, times(60, 120, 180))
    advance(table, START + 180 * SECOND)
    expect(seconds(neighbours)).toEqual([60, 120, 180])
  })

  test('refuses the plan of an older generation', () => {
    const { table } = begin()
    const { revision } = set(table, START, cron())
    const next = set(table, START, cron({ spec: '5 * * * *' }))
    expect(plan(table, START, revision, times(60))).toEqual({ status: 'absent', revision: next.revision })
    expect(table.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('that never fires again has ended', () => {
    const { table } = begin()
    const { revision } = set(table, START, cron())
    expect(plan(table, START, revision, []).status).toBe('ok')
    expect([...table.unplanned()]).toEqual([])
    expect(list(table).ids).toEqual(['q/s'])
  })

  test('ends with the last time that may fire', () => {
    const { table, neighbours } = begin()
    const { revision } = set(table, START, cron({ until: START + 120 * SECOND }))
    plan(table, START, revision, times(60, 120, 180))
    for (const second of [60, 120, 180]) advance(table, START + second * SECOND)
    expect(seconds(neighbours)).toEqual([60, 120])
    expect([...table.unplanned()]).toEqual([])
  })

  test('goes on from now when its plan ran out long ago', () => {
    const { table, neighbours } = begin()
    const { revision } = set(table, START, cron({ missed: 'latest' }))
    plan(table, START, revision, times(60, 120, 180))
    advance(table, START + 10_000 * SECOND)
    expect(seconds(neighbours)).toEqual([180])
    expect([...table.unplanned()]).toMatchObject([{ after: START + 10_000 * SECOND }])
  })
})

describe('any sequence of advances', () => {
  const gaps = fc.array(fc.oneof(fc.nat(3 * SECOND), fc.nat(200 * SECOND)), { maxLength: 40 })
  const rules = fc.record({
    interval: fc.integer({ min: 1, max: 30 }),
    missed: fc.constantFrom('skip' as const, 'latest' as const, 'all' as const),
    leaps: fc.array(fc.nat(39), { maxLength: 3 }),
  })

  test('gives each due time one firing at most, exactly one with "all", and the same to a replica that was restored', () => {
    fc.assert(
      fc.property(gaps, rules, (steps, { interval, missed, leaps }) => {
        const { table, neighbours } = begin()
        let replica = table
        set(table, START, every(interval, { missed }))
        let time = START
        steps.forEach((gap, index) => {
          time += Math.min(gap, 60 * interval * SECOND)
          if (leaps.includes(index)) replica = restored(sectionsOf(replica), new ScheduleTable(neighbours))
          advance(replica, time)
        })
        const fired = ids(neighbours)
        expect(new Set(fired).size).toBe(fired.length)
        const passed = Math.floor((time - START) / (interval * SECOND))
        const due = Array.from({ length: passed }, (_, n) => (n + 1) * interval)
        const status = statusOf(replica)
        expect(fired.length + status.missedCount).toBe(passed)
        const unexpected = seconds(neighbours).filter((second) => !due.includes(second))
        expect(missed === 'all' ? seconds(neighbours) : unexpected).toEqual(missed === 'all' ? due : [])
      }),
    )
  })
})

describe('a frozen table of schedules', () => {
  test('stays what it was, and becomes an equal table', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10), 'q/a')
    set(table, START, at(START + 1), 'q/b')
    const { revision } = set(table, START, cron())
    plan(table, START, revision, [START + 7 * SECOND, START + 8 * SECOND])
    advance(table, START + 2 * SECOND)
    const frozen = table.freeze()
    const before = sectionsOf(table)
    advance(table, START + 100 * SECOND)
    expect([...frozen.sections()]).toEqual(before)
    frozen.release()
    const copy = restored(before, new ScheduleTable(neighbours))
    expect(sectionsOf(copy)).toEqual(before)
    expect(copy.dueAt).toBe(START + 7 * SECOND)
    expect([...copy.unplanned()]).toHaveLength(1)
    advance(copy, START + 100 * SECOND)
    expect(statusOf(copy)).toEqual(statusOf(table))
  })

  test('is refused when its bytes are damaged', () => {
    const { table, neighbours } = begin()
    set(table, START, every(10))
    const [section = new Uint8Array(0)] = sectionsOf(table)
    expect(() => restored([section, section], new ScheduleTable(neighbours))).toThrow('twice')
    expect(() => restored([section.slice(0, -1)], new ScheduleTable(neighbours))).toThrow('malformed')
    expect(() => restored([Uint8Array.of(2)], new ScheduleTable(neighbours))).toThrow('version')
  })
})
