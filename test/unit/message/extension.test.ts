import { describe, expect, test } from 'vitest'
import { defineQueue } from '../../../src/message/queue.ts'
import { openWorld } from './world.ts'

describe('a worker', () => {
  test.each([
    ['for longer', 60_000],
    ['for less', 200],
  ])('keeps a lease that its handler extended %s, at that length', async (_, length) => {
    const { troupe, driver, time, pass } = openWorld()
    const queue = troupe.queue(defineQueue<string>('slow', { lease: 1000 }))
    await queue.send('x')
    const signals: AbortSignal[] = []
    const extensions: number[] = []
    queue.work(async (_message, { signal, extend }) => {
      signals.push(signal)
      await extend(length)
      const from = time.now()
      await new Promise<void>((resolve) => void time.at(from + 5000, resolve))
      extensions.push(time.now() - from)
    })
    await pass(3000)
    expect((await driver.queue?.stats('slow', {}))?.leased).toBe(1)
    await pass(6000)
    expect([signals.map(({ aborted }) => aborted), extensions]).toEqual([[false], [5000]])
  })

  test('is not cut short by the worker: what was extended for long may be busy for long', async () => {
    const { troupe, pass, time } = openWorld()
    const queue = troupe.queue(defineQueue<string>('slow', { lease: 1000 }))
    await queue.send('x')
    const leases: number[] = []
    const queueOf = troupe.queue(defineQueue<string>('slow', { keepRules: true }))
    queue.work(async (_message, { extend }) => {
      await extend(60_000)
      await new Promise<void>((resolve) => void time.at(time.now() + 20_000, resolve))
    })
    await pass(10_000)
    for (const { oldestUnsettledMs, lastPollMs } of (await queueOf.stats()).consumers)
      leases.push(oldestUnsettledMs, lastPollMs)
    // Had the worker extended it every half second, that would be its last poll.
    expect(leases).toEqual([10_000, 10_000])
  })
})
