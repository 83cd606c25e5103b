import { describe, expect, test } from 'vitest'
import { Computer } from '../../../../src/simulation/world/computer.ts'
import { EPOCH, EventQueue } from '../../../../src/simulation/world/event-queue.ts'

function run(queue: EventQueue, until = Number.POSITIVE_INFINITY): void {
  while (queue.step(until));
}

describe('virtual time', () => {
  test('runs events in the order of their time, those of one instant as they were scheduled', () => {
    const queue = new EventQueue()
    const order: string[] = []
    for (const [at, name] of [
      [5, 'c'],
      [1, 'a'],
      [5, 'd'],
      [3, 'b'],
    ] as const)
      queue.at(at, () => order.push(`${name}${queue.now()}`))
    run(queue)
    expect(order).toEqual(['a1', 'b3', 'c5', 'd5'])
  })

  test('runs what is deferred after all that is due at that instant, and before time goes on', () => {
    const queue = new EventQueue()
    const order: string[] = []
    queue.at(1, () => {
      queue.defer(() => order.push('deferred'))
      queue.at(1, () => order.push('same instant'))
      order.push('first')
    })
    queue.at(2, () => order.push('later'))
    run(queue)
    expect(order).toEqual(['first', 'same instant', 'deferred', 'later'])
  })

  test('stops at the given time', () => {
    const queue = new EventQueue()
    queue.at(10, () => expect.unreachable())
    run(queue, 9)
    expect(queue.now()).toBe(9)
  })

  test('a cancelled event and one at Infinity never run', () => {
    const queue = new EventQueue()
    queue.at(1, () => expect.unreachable()).cancel()
    queue.at(Number.POSITIVE_INFINITY, () => expect.unreachable())
    expect(queue.step(100)).toBe(false)
  })

  test('agrees with sorting for many events', () => {
    const queue = new EventQueue()
    const seen: number[] = []
    const times = Array.from({ length: 2000 }, (_, at) => (at * 7919) % 997)
    for (const at of times) queue.at(at, () => seen.push(at))
    run(queue)
    expect(seen).toEqual([...times].sort((a, b) => a - b))
  })
})

describe('a computer', () => {
  test('keeps what became due during a pause until it resumes', () => {
    const queue = new EventQueue()
    const computer = new Computer(queue, 'c')
    const seen: number[] = []
    for (const at of [1, 2, 3]) computer.at(at, () => seen.push(at))
    computer.pause()
    run(queue, 10)
    expect(seen).toEqual([])
    computer.resume()
    computer.at(computer.now() + 1, () => seen.push(computer.now()))
    run(queue)
    expect(seen).toEqual([1, 2, 3, 11])
  })

  test('that stands still goes on later in the same task, and does all else after it, but not what was cancelled', () => {
    const queue = new EventQueue()
    const computer = new Computer(queue, 'c')
    const seen: (string | number)[] = []
    computer.at(1, () => {
      computer.standStill(4)
      computer.standStill(1)
      seen.push('stood until', computer.now())
      cancelled.cancel()
      computer.defer(() => seen.push('deferred', queue.now()))
    })
    computer.at(2, () => seen.push('due at 2', queue.now()))
    const cancelled = computer.at(3, () => expect.unreachable())
    queue.at(3, () => seen.push('world', queue.now()))
    run(queue)
    expect(seen).toEqual(['stood until', 6, 'world', 3, 'deferred', 6, 'due at 2', 6])
  })

  test('runs nothing more once its power is off', () => {
    const queue = new EventQueue()
    const computer = new Computer(queue, 'c')
    computer.at(1, () => expect.unreachable())
    computer.powerOff()
    expect(queue.step(10)).toBe(false)
  })

  test('has timers on its own clock, which may run fast', () => {
    const queue = new EventQueue()
    const computer = new Computer(queue, 'c', 2)
    const seen: number[] = []
    computer.at(10, () => seen.push(queue.now(), computer.now()))
    run(queue)
    expect(seen).toEqual([5, 10])
  })

  test('never fires a timer before its own clock has reached the time', () => {
    const queue = new EventQueue()
    for (let step = 1; step < 300; step++) {
      const computer = new Computer(queue, 'c', 0.9 + step / 1500)
      const at = computer.now() + step / 7
      computer.at(at, () => expect(computer.now()).toBeGreaterThanOrEqual(at))
      run(queue)
    }
  })

  test('has a calendar that can be set without touching its timers', () => {
    const queue = new EventQueue()
    const computer = new Computer(queue, 'c')
    computer.stepWall(-3_600_000)
    run(queue, 1000)
    expect(computer.wallTime()).toBe(EPOCH + 1000 - 3_600_000)
    expect(computer.now()).toBe(1000)
  })
})
