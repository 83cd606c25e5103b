import { describe, expect, test } from 'vitest'
import { defineMap } from '../../../src/data/map.ts'
import type { StandardSchema } from '../../../src/data/schema.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { fixedDelay } from '../../../src/message/retry.ts'
import { defineTopic } from '../../../src/message/topic.ts'
import { openWorld, settle, type World } from '../message/world.ts'

const never = (): Promise<never> => new Promise(() => undefined)
const ended = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** Takes anything at once until it hangs; then it never answers. */
function hangingSchema(): { schema: StandardSchema<unknown, string>; hang: () => void } {
  let hangs = false
  const validate = (value: unknown) => (hangs ? never() : { value: String(value) })
  return {
    schema: { '~standard': { version: 1, vendor: 'test', validate } },
    hang: () => {
      hangs = true
    },
  }
}

describe('an update whose change never settles', () => {
  const counts = defineMap<number>('counts')

  test('ends with TIMEOUT, by default after ten seconds, and writes nothing', async () => {
    const { troupe, pass } = openWorld()
    const map = troupe.map(counts)
    const ends = [ended(map.update('n', never, { timeout: 500 })), ended(map.update('n', never))]
    await pass(500)
    expect(await ends[0]).toMatchObject({ code: 'TIMEOUT' })
    await pass(9500)
    expect(await ends[1]).toMatchObject({ code: 'TIMEOUT' })
    expect(await map.get('n')).toBeUndefined()
  })

  test('ends with the reason of its signal', async () => {
    const { troupe } = openWorld()
    const abort = new AbortController()
    const end = ended(troupe.map(counts).update('n', never, { signal: abort.signal }))
    await settle()
    abort.abort(new Error('enough'))
    expect(await end).toMatchObject({ message: 'enough' })
  })

  test('writes nothing when it settles later after all, and is no unhandled rejection when it throws', async () => {
    const { troupe, time, pass } = openWorld()
    const map = troupe.map(counts)
    const late = (): Promise<number> => new Promise((resolve) => void time.at(time.now() + 1000, () => resolve(1)))
    const broken = (): Promise<number> =>
      new Promise((_, reject) => void time.at(time.now() + 1000, () => reject(new Error('late'))))
    const ends = [late, broken].map((change) => ended(map.update('n', change, { timeout: 500 })))
    await pass(5000)
    expect(await Promise.all(ends)).toMatchObject([{ code: 'TIMEOUT' }, { code: 'TIMEOUT' }])
    expect(await map.get('n')).toBeUndefined()
  })
})

describe('a schema that never settles', () => {
  async function timesOut({ pass }: World, call: Promise<unknown>): Promise<void> {
    const end = ended(call)
    await pass(500)
    expect(await end).toMatchObject({ code: 'TIMEOUT' })
  }

  test('costs a map no more than the time of the call', async () => {
    const world = openWorld()
    const { schema, hang } = hangingSchema()
    const map = world.troupe.map(defineMap('m', { schema }))
    await map.set('k', 'v')
    hang()
    await timesOut(world, map.set('k', 'w', { timeout: 500 }))
    await timesOut(world, map.get('k', { timeout: 500 }))
    await timesOut(
      world,
      map.update('k', () => 'w', { timeout: 500 }),
    )
    await timesOut(world, map.scan({ timeout: 500 })[Symbol.asyncIterator]().next())
    expect((await world.troupe.map(defineMap('m')).get('k'))?.value).toBe('v')
  })

  test('costs a queue and a topic no more than the time of the call, and sends nothing', async () => {
    const world = openWorld()
    const { schema, hang } = hangingSchema()
    hang()
    const queue = world.troupe.queue(defineQueue('q', { schema }))
    const topic = world.troupe.topic(defineTopic('t', { schema }))
    await timesOut(world, queue.send('v', { timeout: 500 }))
    await timesOut(
      world,
      queue.sendFlow('v', ({ send }) => send(defineQueue('other'), 1), { timeout: 500 }),
    )
    await timesOut(world, topic.publish('v', { timeout: 500 }))
    expect(await queue.stats()).toMatchObject({ waiting: 0 })
    expect((await topic.partitions()).every(({ end }) => end === 0n)).toBe(true)
  })

  test('ends a loop when its signal aborts', async () => {
    const { troupe, pass } = openWorld()
    const { schema, hang } = hangingSchema()
    const map = troupe.map(defineMap('m', { schema }))
    const queue = troupe.queue(defineQueue('q', { schema }))
    const topic = troupe.topic(defineTopic('t', { schema }))
    const abort = new AbortController()
    const { signal } = abort
    const ends = [
      map.watch({ signal }),
      queue.receive({ signal }),
      topic.subscribe({ group: 'g', from: 'earliest', signal }),
    ].map((loop) => ended(loop[Symbol.asyncIterator]().next()))
    await pass(1000)
    const plain = { queue: defineQueue('q'), topic: defineTopic('t') }
    hang()
    await troupe.map(defineMap('m')).set('k', 'v')
    await troupe.queue(plain.queue).send('v')
    await troupe.topic(plain.topic).publish('v')
    await pass(1000)
    abort.abort(new Error('enough'))
    await pass(1000)
    expect(await Promise.all(ends)).toMatchObject([{ message: 'enough' }, { message: 'enough' }, { message: 'enough' }])
  })
})

describe('a task that never settles', () => {
  test('of a once: who started it hears its time and signal like the others, and it keeps its turn', async () => {
    const { troupe, pass } = openWorld()
    let starts = 0
    const task = (): Promise<never> => {
      starts++
      return never()
    }
    const abort = new AbortController()
    const ends = [
      ended(troupe.once('o', task, { timeout: 500 })),
      ended(troupe.once('o', task, { signal: abort.signal })),
    ]
    await pass(500)
    expect(await ends[0]).toMatchObject({ code: 'TIMEOUT' })
    abort.abort(new Error('enough'))
    expect(await ends[1]).toMatchObject({ message: 'enough' })
    expect(await ended(troupe.lock('troupe/once/o', { wait: false }))).toMatchObject({ code: 'LOCKED' })
    expect(starts).toBe(1)
  })

  test('of a once counts when it settles after all', async () => {
    const { troupe, time, pass } = openWorld()
    const task = (): Promise<string> => new Promise((resolve) => void time.at(time.now() + 1000, () => resolve('late')))
    const end = ended(troupe.once('o', task, { timeout: 500 }))
    await pass(2000)
    expect(await end).toMatchObject({ code: 'TIMEOUT' })
    expect(await troupe.once('o', () => 'again')).toBe('late')
  })

  test('of a singleton: its signal ends the wait and tells the office, which is held until the task has ended', async () => {
    const { troupe } = openWorld()
    const abort = new AbortController()
    let told: AbortSignal | undefined
    let finish = (): void => {}
    const end = ended(
      troupe.singleton(
        's',
        ({ signal }) => {
          told = signal
          return new Promise<void>((resolve) => {
            finish = resolve
          })
        },
        { signal: abort.signal },
      ),
    )
    await settle()
    abort.abort(new Error('enough'))
    expect(await end).toMatchObject({ message: 'enough' })
    expect(told?.aborted).toBe(true)
    expect(await ended(troupe.semaphore('s', 1, { wait: false }))).toMatchObject({ code: 'LOCKED' })
    finish()
    await settle()
    await (await troupe.semaphore('s', 1, { wait: false })).release()
  })
})

test('a listener of failures that fails later costs nothing', async () => {
  const { troupe, pass } = openWorld()
  const queue = troupe.queue(defineQueue('q', { maxAttempts: 2, retry: fixedDelay(10) }))
  const heard: number[] = []
  const worker = queue.work(() => Promise.reject(new Error('no')), {
    onFailure: async (_, { attempt }) => {
      heard.push(attempt)
      await settle()
      throw new Error('listener')
    },
  })
  await queue.send(1)
  await pass(60_000)
  expect(heard).toEqual([1, 2])
  await worker.close()
})
