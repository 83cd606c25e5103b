import { expect, test } from 'vitest'
import { defineQueue } from '../../../src/message/queue.ts'
import type { TroupeQueue } from '../../../src/message/troupe-queue.ts'
import { openWorld } from './world.ts'

/** The three modes that the documentation of BullMQ shows by examples ("Deduplication"). */
const paint = defineQueue<string>('paint')

type SendOptions = Parameters<TroupeQueue<string>['send']>[1]

interface Scene {
  /** Whether another message stands for it. */
  readonly send: (value: string, options: SendOptions) => Promise<boolean>
  readonly seen: readonly string[]
  readonly pass: (duration: number) => Promise<void>
}

/** A worker that takes two seconds for each. */
function openScene(): Scene {
  const { troupe, time, pass } = openWorld()
  const queue = troupe.queue(paint)
  const seen: string[] = []
  queue.work(async ({ value }) => {
    await new Promise<void>((resolve) => void time.at(time.now() + 2000, resolve))
    seen.push(`${value} at ${time.now()}`)
  })
  return { send: async (value, options) => (await queue.send(value, options)).isDuplicate, seen, pass }
}

test('simple: as long as the first is not done, others with its id are dropped', async () => {
  const { send, seen, pass } = openScene()
  const deduplicate = { id: 'custom-dedup-id', window: 0 }
  expect(await send('white', { deduplicate })).toBe(false)
  await pass(1000)
  expect(await send('black', { deduplicate })).toBe(true)
  await pass(2000)
  expect(await send('red', { deduplicate })).toBe(false)
  await pass(2000)
  expect(seen).toEqual(['white at 2000', 'red at 5000'])
})

test('throttle: for five seconds others are dropped, though the first is long done', async () => {
  const { send, seen, pass } = openScene()
  const deduplicate = { id: 'custom-dedup-id', window: 5000 }
  expect(await send('white', { deduplicate })).toBe(false)
  await pass(4999)
  expect(await send('black', { deduplicate })).toBe(true)
  await pass(1)
  expect(await send('red', { deduplicate })).toBe(false)
  await pass(5000)
  expect(seen).toEqual(['white at 2000', 'red at 7000'])
})

test('debounce: within five seconds each takes the place of the one before, and only the last is delivered', async () => {
  const { send, seen, pass } = openScene()
  const options = { delay: 5000, deduplicate: { id: 'custom-dedup-id', mode: 'debounce', window: 5000 } } as const
  for (const value of ['white', 'black', 'red']) {
    await send(value, options)
    await pass(3000)
  }
  await pass(20_000)
  expect(seen).toEqual(['red at 13000'])
})
