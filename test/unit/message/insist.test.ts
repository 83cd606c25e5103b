import { describe, expect, test } from 'vitest'
import { TroupeError } from '../../../src/base/error.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { mapStream } from '../../../src/data/stream.ts'
import type { Delivered } from '../../../src/driver/contract.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { openWorld, type World } from './world.ts'

const orders = defineQueue<string>('orders', { lease: 30_000 })
const SETTLEMENTS: readonly string[] = ['acknowledge', 'retry', 'reject', 'release', 'commit']

/** A troupe whose first settlements end with `code`, done or not. */
function openUnlucky({ driver, time }: World, code: 'TIMEOUT' | 'OUTCOME_UNKNOWN', isDone: boolean): Troupe {
  let failures = 2
  const unlucky = (delivered: Delivered): Delivered =>
    new Proxy(delivered, {
      get(target, name) {
        const found: unknown = Reflect.get(target, name, target)
        if (typeof found !== 'function') return found
        if (!SETTLEMENTS.includes(String(name)) || failures === 0) return found.bind(target)
        return async (...given: unknown[]) => {
          failures--
          if (isDone) await Reflect.apply(found, target, given)
          throw new TroupeError(code, 'no answer')
        }
      },
    })
  const { queue } = driver
  if (queue === undefined) throw new Error('the memory driver has queues')
  const consume: typeof queue.consume = (name, options) => mapStream(() => queue.consume(name, options), unlucky)
  const facet = new Proxy(queue, {
    get: (target, name) => (name === 'consume' ? consume : Reflect.get(target, name, target).bind(target)),
  })
  return createTroupe({
    driver: { ...driver, queue: facet },
    clock: time,
    scheduler: time,
    random: new SeededRandom(7),
  })
}

describe('a settlement without an answer', () => {
  test('is asked for again within the lease, and the handler runs once', async () => {
    const world = openWorld()
    const troupe = openUnlucky(world, 'TIMEOUT', false)
    let runs = 0
    const worker = troupe.queue(orders).work(() => runs++)
    await troupe.queue(orders).send('one')
    await world.pass(1000)
    expect(await troupe.queue(orders).stats()).toMatchObject({ waiting: 0, leased: 0 })
    await world.pass(100_000)
    expect(runs).toBe(1)
    await worker.close()
  })

  test('of a failure is asked for again too: the next attempt comes when its delay is over', async () => {
    const world = openWorld()
    const troupe = openUnlucky(world, 'TIMEOUT', false)
    const attempts: number[] = []
    const worker = troupe.queue(defineQueue('orders', { lease: 30_000, retry: () => 100 })).work((_, { attempt }) => {
      attempts.push(attempt)
      if (attempt === 1) throw new Error('no')
    })
    await troupe.queue(orders).send('one')
    await world.pass(2000)
    expect(attempts).toEqual([1, 2])
    await worker.close()
  })

  test('that was done after all is refused the second time, which costs nothing', async () => {
    const world = openWorld()
    const troupe = openUnlucky(world, 'OUTCOME_UNKNOWN', true)
    let runs = 0
    const worker = troupe.queue(orders).work(() => runs++)
    await troupe.queue(orders).send('one')
    await world.pass(100_000)
    expect([runs, (await troupe.queue(orders).stats()).dead]).toEqual([1, 0])
    await worker.close()
  })
})
