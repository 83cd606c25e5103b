import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SeededRandom } from '../../../src/base/random.ts'
import { RealClock, RealScheduler } from '../../../src/platform/clock.ts'

describe('the real scheduler', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('runs thousands of timers in order of their time, on one timer of the system', () => {
    const clock = new RealClock(globalThis)
    const scheduler = new RealScheduler(clock, globalThis)
    const random = new SeededRandom(1)
    const ran: number[] = []
    const start = clock.now()
    for (let count = 0; count < 5000; count++) {
      const at = start + random.below(100_000) / 10
      scheduler.at(at, () => {
        expect(clock.now()).toBeGreaterThanOrEqual(at)
        ran.push(at)
      })
    }
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(10_001)
    expect(ran).toHaveLength(5000)
    expect(ran).toEqual([...ran].sort((a, b) => a - b))
    expect(vi.getTimerCount()).toBe(0)
  })

  test('runs no cancelled timer, and does not keep them', () => {
    const clock = new RealClock(globalThis)
    const scheduler = new RealScheduler(clock, globalThis)
    let ran = 0
    const timers = Array.from({ length: 1000 }, (_, at) => scheduler.at(clock.now() + at, () => ran++))
    for (const timer of timers.slice(10)) timer.cancel()
    vi.advanceTimersByTime(20)
    timers[0]?.cancel()
    expect(ran).toBe(10)
    vi.advanceTimersByTime(2000)
    expect([ran, vi.getTimerCount()]).toEqual([10, 0])
  })

  test('never runs what is due at infinity, and waits for what is months away', () => {
    const clock = new RealClock(globalThis)
    const scheduler = new RealScheduler(clock, globalThis)
    let ran = 0
    scheduler.at(Number.POSITIVE_INFINITY, () => ran++)
    scheduler.at(clock.now() + 2 ** 31 + 5000, () => ran++)
    vi.advanceTimersByTime(2 ** 31)
    expect(ran).toBe(0)
    vi.advanceTimersByTime(6000)
    expect(ran).toBe(1)
  })

  test('goes on with the other timers after one that throws', () => {
    const clock = new RealClock(globalThis)
    const scheduler = new RealScheduler(clock, globalThis)
    let ran = 0
    scheduler.at(clock.now() + 1, () => {
      throw new Error('a bug')
    })
    scheduler.at(clock.now() + 2, () => ran++)
    expect(() => vi.advanceTimersByTime(1)).toThrow('a bug')
    vi.advanceTimersByTime(10)
    expect(ran).toBe(1)
  })
})
