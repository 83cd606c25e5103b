import { expect, test } from 'vitest'
import { defineQueue } from '../../../src/message/queue.ts'
import { exponentialDelay, fixedDelay, linearDelay, type RetryPolicy } from '../../../src/message/retry.ts'
import { openWorld } from './world.ts'

test.each<[string, RetryPolicy, readonly number[]]>([
  ['the same each time', fixedDelay(500), [0, 500, 1000, 1500]],
  ['longer by a step, up to a limit', linearDelay(1000, { most: 2500 }), [0, 1000, 3000, 5500]],
  [
    'longer by a factor, up to a limit',
    exponentialDelay({ first: 1000, factor: 3, most: 8000 }),
    [0, 1000, 4000, 12_000],
  ],
  [
    'by the class of the error',
    (error, attempt) => (error instanceof TypeError ? 10 ** attempt : 'reject'),
    [0, 10, 110, 1110],
  ],
])(
  'a message is tried again as its policy says (%s), and shows attempts and errors when it has died',
  async (_, retry, expected) => {
    const { troupe, time, pass } = openWorld()
    const queue = troupe.queue(defineQueue<string>('flaky', { retry, maxAttempts: 4 }))
    const { id } = await queue.send('x')
    const times: number[] = []
    queue.work((_, { attempt }) => {
      times.push(time.now())
      throw new TypeError(`attempt ${attempt}`)
    })
    await pass(60_000)
    expect(times).toEqual(expected)
    const dead = await queue.inspect(id)
    expect(dead).toMatchObject({ state: 'dead', death: 'attempts', attempts: 4 })
    expect(dead?.firstError).toMatchObject({ name: 'TypeError', message: 'attempt 1' })
    expect(dead?.lastError).toMatchObject({ message: 'attempt 4' })
  },
)

test('retries are spread by the jitter of their policy, each within its share of the delay', async () => {
  const { troupe, time, pass } = openWorld()
  const retry = fixedDelay(1000, { jitter: 0.5 })
  const queue = troupe.queue(defineQueue<number>('spread', { retry, maxAttempts: 2, order: 'none' }))
  await queue.sendAll(Array.from({ length: 30 }, (_, at) => at))
  const again: number[] = []
  const handle = (_: unknown, { attempt }: { attempt: number }): void => {
    if (attempt === 1) throw new Error('not yet')
    again.push(time.now())
  }
  queue.work(handle, { concurrency: 30 })
  await pass(1000)
  expect(again).toHaveLength(30)
  expect(Math.min(...again)).toBeGreaterThanOrEqual(500)
  expect(Math.max(...again) - Math.min(...again)).toBeGreaterThan(300)
})
