import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Clock, Millis } from '../../../src/base/time.ts'
import { LeaderTime } from '../../../src/cluster/leader-time.ts'

const START: Millis = 1_900_000_000_000
const HOUR: Millis = 3_600_000
const MINUTE: Millis = 60_000

/** A computer's two clocks, moved by hand. */
class Computer implements Clock {
  #now: Millis
  #calendar: Millis

  constructor(uptime: Millis, calendar: Millis = START) {
    this.#now = uptime
    this.#calendar = calendar
  }

  now(): Millis {
    return this.#now
  }

  wallTime(): Millis {
    return this.#calendar
  }

  pass(millis: Millis): void {
    this.#now += millis
    this.#calendar += millis
  }

  step(millis: Millis): void {
    this.#calendar += millis
  }
}

const millis = (time: LeaderTime) => time.next() / 1000

/** A node that has led for a while, by a calendar that is right. */
function leading(computer: Computer): LeaderTime {
  const time = new LeaderTime(computer, 0)
  time.next()
  return time
}

/** How long a delay takes on the monotonic clock, when the leader looks again as a group's timer does. */
function delay(computer: Computer, time: LeaderTime, length: Millis, meanwhile: (passed: Millis) => void): Millis {
  const began = computer.now()
  const due = time.next() + length * 1000
  while (time.next() < due) {
    computer.pass(Math.max(1, Math.min(1000, time.when(due) - computer.now())))
    meanwhile(computer.now() - began)
  }
  return computer.now() - began
}

describe('a delay of 30 s', () => {
  test.each([HOUR, -HOUR, 900, -900, 10 * 365 * 24 * HOUR])(
    'takes as long when the calendar steps by %d ms',
    (step) => {
      const computer = new Computer(5)
      const time = leading(computer)
      let stepped = false
      const took = delay(computer, time, 30_000, (passed) => {
        if (!stepped && passed > 7000) computer.step(step)
        stepped ||= passed > 7000
      })
      expect(Math.abs(took - 30_000)).toBeLessThan(250)
    },
  )

  test('takes as long whatever the steps, and time never goes back', () => {
    const steps = fc.array(fc.record({ at: fc.nat(30_000), by: fc.integer({ min: -2 * HOUR, max: 2 * HOUR }) }))
    fc.assert(
      fc.property(steps, (plan) => {
        const computer = new Computer(5)
        const time = leading(computer)
        const pending = [...plan].sort((a, b) => b.at - a.at)
        let last = 0
        const took = delay(computer, time, 30_000, (passed) => {
          while ((pending.at(-1)?.at ?? Number.POSITIVE_INFINITY) <= passed) computer.step(pending.pop()?.by ?? 0)
          const present = time.next()
          expect(present).toBeGreaterThanOrEqual(last)
          last = present
        })
        expect(Math.abs(took - 30_000)).toBeLessThan(250)
      }),
    )
  })

  test.each([HOUR, -HOUR])('takes as long when its leader fails and the next one’s calendar is %d ms away', (away) => {
    const [first, second] = [new Computer(5), new Computer(77, START + away)]
    const old = leading(first)
    const follower = new LeaderTime(second, 0)
    const due = old.next() + 30_000_000
    follower.observe(old.next(), true)
    for (const computer of [first, second]) computer.pass(10_000)
    follower.observe(old.next(), true)
    second.pass(5000)
    const began = second.now()
    while (follower.next() < due) second.pass(Math.max(1, follower.when(due) - second.now()))
    expect(Math.abs(second.now() - began - 15_000)).toBeLessThan(250)
  })
})

describe('a calendar', () => {
  test('that is ahead is believed after ten minutes, not before', () => {
    const computer = new Computer(5)
    const time = leading(computer)
    computer.step(HOUR)
    time.next()
    for (let minute = 1; minute < 10; minute++) {
      computer.pass(MINUTE)
      expect(millis(time) - computer.wallTime()).toBeLessThan(-HOUR + MINUTE)
    }
    computer.pass(MINUTE)
    expect(millis(time)).toBeCloseTo(computer.wallTime(), 0)
  })

  test('that was ahead for a moment only is not believed later', () => {
    const computer = new Computer(5)
    const time = leading(computer)
    computer.step(HOUR)
    time.next()
    computer.step(-HOUR)
    time.next()
    computer.pass(20 * MINUTE)
    computer.step(HOUR)
    expect(millis(time) - START).toBeLessThan(21 * MINUTE)
  })

  test('that was ahead when the node led last has to stay so for ten minutes of leading again', () => {
    const [computer, other] = [new Computer(5), new Computer(9)]
    const time = leading(computer)
    const successor = leading(other)
    computer.step(HOUR)
    time.next()
    for (const each of [computer, other]) each.pass(20 * MINUTE)
    time.observe(successor.next(), true)
    expect(millis(time) - START).toBeLessThan(21 * MINUTE)
  })

  test('that is behind is waited for, at most 1 ms in 256', () => {
    const computer = new Computer(5)
    const time = leading(computer)
    computer.step(-2000)
    const began = millis(time)
    for (let second = 0; second < 256; second++) {
      computer.pass(1000)
      time.next()
    }
    expect(millis(time) - began).toBeCloseTo(255_000, -1)
    computer.pass(10 * MINUTE)
    expect(millis(time)).toBeCloseTo(computer.wallTime(), 0)
  })

  test('counts at once on a node that has heard no leader since it started, but time does not go back for it', () => {
    const computer = new Computer(5)
    expect(millis(new LeaderTime(computer, (START - 24 * HOUR) * 1000))).toBe(START)
    expect(millis(new LeaderTime(computer, (START + HOUR) * 1000))).toBe(START + HOUR)
  })

  test('of a node that has heard a leader since it started does not', () => {
    const computer = new Computer(5, START + HOUR)
    const time = new LeaderTime(computer, 0)
    time.observe((START - 5000) * 1000, false)
    time.observe(START * 1000, true)
    computer.pass(1000)
    expect(millis(time)).toBeLessThan(START + 1100)
  })
})

test('what falls due is due when it was said that it would be, without another look', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 * HOUR }), fc.integer({ min: -HOUR, max: 1000 }), (length, step) => {
      const computer = new Computer(5)
      const time = leading(computer)
      computer.step(step)
      const due = time.next() + length * 1000
      const at = time.when(due)
      computer.pass(at - computer.now())
      // A microsecond for rounding at a magnitude of 10^12 ms.
      expect(time.next()).toBeGreaterThanOrEqual(due - 1)
    }),
  )
})
