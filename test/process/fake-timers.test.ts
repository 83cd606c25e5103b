import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { defineMap, defineQueue, memoryDriver, open } from '../../src/index.ts'

const places = defineMap<string>('places')
const mails = defineQueue<string>('mails')

/** What test frameworks put in the place of their own, all of it. */
beforeEach(() => {
  const timers = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ] as const
  vi.useFakeTimers({ toFake: [...timers, 'Date', 'performance', 'queueMicrotask'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test.each(['thread', 'inline'] as const)(
  'an engine (%s) goes on while a test has made time stand still',
  async (engine) => {
    const troupe = await open({ engine })
    await troupe.map(places).set('ann', 'Bonn')
    expect(await troupe.map(places).get('ann')).toMatchObject({ value: 'Bonn' })
    expect(await troupe.withLock('mails', async () => 'locked')).toBe('locked')
    const delivered = new Promise((resolve) => troupe.queue(mails).work(({ value }) => resolve(value)))
    await troupe.queue(mails).send('hello', { delay: 50 })
    expect(await delivered).toBe('hello')
    await troupe.drain()
  },
)

test('what waits in memory waits for the time that the test makes', async () => {
  const troupe = await open({ driver: memoryDriver() })
  const delivered: string[] = []
  troupe.queue(mails).work(({ value }) => void delivered.push(value))
  await troupe.queue(mails).send('hello', { delay: 3_600_000 })
  await vi.advanceTimersByTimeAsync(3_599_000)
  expect(delivered).toEqual([])
  await vi.advanceTimersByTimeAsync(1_001)
  expect(delivered).toEqual(['hello'])

  await troupe.schedule(mails, 'morning', { cron: '0 9 * * *', timeZone: 'UTC' }, { value: 'good morning' })
  await vi.advanceTimersByTimeAsync(2 * 24 * 3_600_000)
  expect(delivered).toEqual(['hello', 'good morning', 'good morning'])
  await troupe.close()
})
