import { expect, test } from 'vitest'
import { Planner, type PlannerPorts } from '../../../../src/cluster/duty/planner.ts'
import type { ReplyTarget } from '../../../../src/cluster/source.ts'

test('of many schedules a few are planned in one turn, and the others as those are done', () => {
  const unplanned = new Set(Array.from({ length: 50 }, (_, at) => `s${at}`))
  const underWay: ReplyTarget[] = []
  const planner = new Planner({
    isActive: () => true,
    time: { now: () => 0 } as unknown as PlannerPorts['time'],
    schedules: () => ({
      version: 1,
      *unplanned() {
        for (const id of unplanned)
          yield { id, queue: 'q', generation: 1, cron: '0 3 * * *', timeZone: 'UTC', after: 0 }
      },
    }),
    propose: (target) => underWay.push(target),
  })
  let turns = 0
  for (; unplanned.size > 0 && turns < 100; turns++) {
    planner.advance()
    expect(underWay.length).toBeGreaterThan(0)
    expect(underWay.length).toBeLessThanOrEqual(4)
    for (const target of underWay.splice(0)) {
      const [first = ''] = unplanned
      unplanned.delete(first)
      target.reply(0, 0, new Uint8Array(0))
    }
  }
  expect([unplanned.size, turns]).toEqual([0, 13])
})
