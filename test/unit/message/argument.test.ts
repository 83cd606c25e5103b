import { describe, expect, test } from 'vitest'
import { defineMap } from '../../../src/data/map.ts'
import type { HandlerContext } from '../../../src/message/handler.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { exponentialDelay, linearDelay, type RetryPolicy } from '../../../src/message/retry.ts'
import { defineTopic } from '../../../src/message/topic.ts'
import { openWorld } from './world.ts'

const { troupe } = openWorld()
const jobs = defineQueue<unknown>('jobs')
const queue = troupe.queue(jobs)
const topic = troupe.topic(defineTopic('events'))
const map = defineMap<number>('m')
/** As from JavaScript, where nothing is checked before it runs. */
const bad = <Value>(value: unknown): Value => value as Value
const FAR = 2 ** 53
const HUGE_HEADERS = { 'x-note': 'x'.repeat(20_000) }

const attempts: [string, () => unknown, code?: string][] = [
  ['a delay of centuries', () => queue.send(1, { delay: FAR })],
  ['a delay that is no number', () => queue.send(1, { delay: Number.NaN })],
  ['a time beyond the calendar', () => queue.send(1, { at: FAR })],
  ['a ttl of centuries', () => queue.send(1, { ttl: FAR })],
  ['a window of centuries', () => queue.send(1, { deduplicate: { id: 'a', window: FAR } })],
  ['headers that are null', () => queue.send(1, { headers: bad(null) })],
  ['headers that are a text', () => queue.send(1, { headers: bad('text') })],
  ['headers that are a list', () => queue.send(1, { headers: bad(['a']) })],
  ['headers that are those of a request', () => queue.send(1, { headers: bad(new Headers({ a: 'b' })) })],
  ['a request without options', () => queue.request(1, bad(null))],
  ['a policy of an unknown option', () => exponentialDelay(bad({ frist: 1 }))],
  ['a policy whose delays grow by no number', () => exponentialDelay({ factor: Number.NaN })],
  ['a policy up to no delay', () => linearDelay(5, { most: Number.NaN })],
  ['headers beyond their limit', () => queue.send(1, { headers: HUGE_HEADERS }), 'TOO_LARGE'],
  ['headers with half a surrogate pair', () => queue.send(1, { headers: { a: '\ud800' } })],
  ['a value that is yet to come', () => queue.send(Promise.resolve(1)), 'UNSERIALIZABLE'],
  ['a signal that is null', () => queue.send(1, { signal: bad(null) })],
  ['a list of messages that is none', () => queue.sendAll(bad(undefined))],
  ['a list of messages that is a number', () => queue.sendAll(bad(7))],
  ['a flow without a function', () => queue.sendFlow(1, bad(undefined))],
  ['a child for no queue', () => queue.sendFlow(1, ({ send }) => send(bad<typeof jobs>({}), 1))],
  ['an id that is a number', () => queue.inspect(bad(7))],
  ['no id', () => queue.remove(bad(undefined))],
  ['an id of a result that is null', () => queue.result(bad(null))],
  ['a move to no time', () => queue.move('0.1', { at: Number.NaN })],
  ['a state that there is not', () => queue.peek({ state: bad('lost') })],
  ['a limit that is no number', () => queue.peek({ limit: Number.NaN })],
  ['a filter that is no function', () => queue.redrive({ filter: bad('all') })],
  ['a redrive of no number', () => queue.redrive({ limit: Number.NaN })],
  ['a redrive at no rate', () => queue.redrive({ rate: { messages: Number.NaN, per: 1000 } })],
  ['a redrive of no reason', () => queue.redrive({ reason: bad('bored') })],
  ['a worker with a name that is a number', () => queue.work(() => 1, { consumer: bad(7) })],
  ['a worker with a signal that is none', () => queue.work(() => 1, { signal: bad({}) })],
  ['a listener that is no function', () => queue.work(() => 1, { onFailure: bad('log') })],
  ['a batch option where there are no batches', () => queue.work(() => 1, bad({ batch: { size: 3 } }))],
  ['rules that are kept by a text', () => defineQueue('jobs', { keepRules: bad('yes') })],
  ['a single queue by a number', () => defineQueue('jobs', { single: bad(1) })],
  ['weights that are a number', () => defineQueue('jobs', { perKey: { weights: bad(7) } })],
  ['weights in a map', () => defineQueue('jobs', { perKey: { weights: bad(new Map([['a', 2]])) } })],
  ['the weight of half a surrogate pair', () => defineQueue('jobs', { perKey: { weights: { '\ud800': 2 } } })],
  ['a lease for ever', () => defineQueue('jobs', { lease: Number.POSITIVE_INFINITY })],
  ['a rate of no time', () => defineQueue('jobs', { rate: { messages: 1, per: Number.POSITIVE_INFINITY } })],
  ['a policy whose delays are texts', () => linearDelay(bad('5'))],
  ['a policy that begins with a text', () => exponentialDelay({ first: bad('5') })],
  ['a worker with a big integer of handlers', () => queue.work(() => 1, { concurrency: bad(5n) })],
  ['a lease of centuries', () => defineQueue('jobs', { lease: FAR })],
  ['compaction by a text', () => defineTopic('events', { compact: bad('yes') })],
  ['a list of records that is none', () => topic.publishAll(bad(null))],
  ['records with headers beyond their limit', () => topic.publish(1, { headers: HUGE_HEADERS }), 'TOO_LARGE'],
  ['a group that is a number', () => topic.subscribe({ group: bad(7) })],
  ['a position that there is not', () => topic.subscribe({ from: bad('begin') })],
  ['a position at no time', () => topic.reset('billing', { time: Number.NaN })],
  ['offsets that are numbers', () => topic.reset('billing', { offsets: bad(new Map([[0, 7]])) })],
  ['an offset of a partition that there is not', () => topic.subscribe({ from: { offsets: new Map([[8, 0n]]) } })],
  ['an offset below all', () => topic.reset('billing', { offsets: new Map([[0, -1n]]) })],
  ['an offset beyond the end', () => topic.reset('billing', { offsets: new Map([[0, 2n ** 64n]]) })],
  ['offsets of many topics', () => troupe.subscribe('*', { from: { offsets: new Map() } })],
  ['a group with a slash', () => topic.subscribe({ group: 'a/b' })],
  ['a group to be reset with a slash', () => topic.reset('a/b', 'earliest')],
  ['a group with a long name', () => topic.subscribe({ group: 'g'.repeat(4095) }), 'TOO_LARGE'],
  ['a topic that keeps more than numbers count', () => defineTopic('t', { retention: { count: FAR } })],
  ['a commit by a text', () => topic.subscribe({ autoCommit: bad('yes') })],
  ['a schedule in no time', () => troupe.schedule(jobs, 'nightly', { every: FAR }, { value: 1 })],
  [
    'a schedule whose id is half a surrogate pair',
    () => troupe.schedule(jobs, '\ud800', { every: 1000 }, { value: 1 }),
  ],
  ['a schedule without options', () => troupe.schedule(jobs, 'nightly', { every: 1000 }, bad(undefined))],
  ['an update without a function', () => troupe.map(defineMap('m')).update('a', bad(undefined))],
  ['a lock without a name', () => troupe.lock('')],
  ['a lock for ever', () => troupe.lock('a', { ttl: Number.POSITIVE_INFINITY })],
  ['a lock for no function', () => troupe.withLock('a', bad(undefined))],
  ['an office for no function', () => troupe.singleton('a', bad(undefined))],
  ['a once of no function', () => troupe.once('a', bad(undefined))],
  ['a lock beside null', () => troupe.lock('a', { with: bad(null) })],
  ['a candidate that is a number', () => troupe.campaign('a', { candidate: bad(7) })],
  ['a key of a lease in no map', async () => (await troupe.lease()).set(bad<typeof map>({}), 'k', 1)],
  [
    'a key of a lease in what looks like a map',
    async () => (await troupe.lease()).set(bad<typeof map>({ name: '~lock' }), 'k', 1),
  ],
  ['an undefined key of a lease', async () => (await troupe.lease()).set(defineMap('m'), 'k', undefined)],
  ['a lock that stays shut for two days', () => troupe.lock('a', { lockDelay: 2 * 86_400_000 })],
  ['a holder that says much of itself', () => troupe.lock('a', { value: 'x'.repeat(1024) }), 'TOO_LARGE'],
  ['a long candidate', () => troupe.campaign('a', { candidate: 'x'.repeat(1024) }), 'TOO_LARGE'],
  ['an arrival with an option that there is not', () => troupe.barrier('b', 2).arrive(bad({ tiemout: 5 }))],
  ['a step with an option that there is not', () => troupe.latch('l', 2).countDown(bad({ tiemout: 5 }))],
  ['a fence without a name', () => troupe.verify({ name: '', token: 1n })],
  ['a fence that UTF-8 cannot carry', () => troupe.verify({ name: '\ud800', token: 1n })],
  ['a fence with a long name', () => troupe.verify({ name: 'x'.repeat(4097), token: 1n }), 'TOO_LARGE'],
  ['the pause of a schedule of no queue', () => troupe.pauseSchedule(bad({}), 'nightly')],
  ['the end of a schedule of no queue', () => troupe.unschedule(bad({}), 'nightly')],
  [
    'a cron in a time zone that is empty',
    () => troupe.schedule(jobs, 'a', { cron: '* * * * *', timeZone: '' }, { value: 1 }),
  ],
  ['a fence that is undefined', () => troupe.verify(bad(undefined))],
]

test.each(attempts)(
  '%s is refused with a code before anything happens',
  async (_, attempt, code = 'INVALID_ARGUMENT') => {
    const outcome = async (): Promise<unknown> => attempt()
    await expect(outcome()).rejects.toMatchObject({ code })
  },
)

test('to keep no dead letters is not to keep them for ever, which is how rules say 0', () => {
  expect(defineQueue('jobs', { deadLetter: { keep: 0 } }).rules?.deadKeepMs).toBe(1)
  expect(defineQueue('jobs', { deadLetter: { keep: Number.POSITIVE_INFINITY } }).rules?.deadKeepMs).toBe(
    Number.POSITIVE_INFINITY,
  )
})

test('a message that was received is settled with options that are known', async () => {
  const world = openWorld()
  const received = world.troupe.queue(jobs)
  await received.send(1)
  for await (const message of received.receive()) {
    const unknown = bad<object>({ tiemout: 5 })
    const settle = [
      () => message.acknowledge(unknown),
      () => message.retry(1, unknown),
      () => message.reject(1, unknown),
      () => message.release(unknown),
      () => message.extend(5, unknown),
      () => message.progress(1, unknown),
      () => message.acknowledge({ timeout: Number.NaN }),
    ]
    for (const each of settle) await expect(each()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await message.acknowledge()
    break
  }
  expect(await received.stats()).toMatchObject({ waiting: 0, leased: 0 })
})

test('a handler that misspells an option of what it emits has failed, and nothing was emitted', async () => {
  const world = openWorld()
  const once = defineQueue<number>('once', { maxAttempts: 1 })
  const others = defineQueue<number>('others')
  const failures: string[] = []
  const onFailure = ({ message }: { message: string }): unknown => failures.push(message)
  const attempts = [
    ({ emit }: HandlerContext) => emit(others, 1, bad({ dealy: 5 })),
    ({ publish }: HandlerContext) => publish(defineTopic('events'), 1, bad({ kye: 'a' })),
    ({ emit, result }: HandlerContext) => [emit(others, 1), result(1, bad({ kepe: 5 }))],
  ]
  for (const attempt of attempts) {
    const worker = world.troupe.queue(once).work((_, context) => attempt(context), { onFailure })
    await world.troupe.queue(once).send(1)
    await world.pass(100)
    await worker.close()
  }
  expect(failures.map((text) => /'(\w+)'/.exec(text)?.[1])).toEqual(['dealy', 'kye', 'kepe'])
  expect(await world.troupe.queue(others).stats()).toMatchObject({ waiting: 0 })
  const flow = world.troupe.queue(once).sendFlow(1, ({ send }) => send(others, 1, bad({ dealy: 5 })))
  await expect(flow).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

describe('a handler', () => {
  test('takes what it needs of its context apart', async () => {
    const world = openWorld()
    const others = defineQueue<number>('others')
    const done: unknown[] = []
    world.troupe.queue(defineQueue<number>('tasks')).work(({ value }, { emit, result, signal }: HandlerContext) => {
      emit(others, value + 1)
      result(signal.aborted)
    })
    world.troupe.queue(others).workBatches(
      ([message], { of, fail }) => {
        if (message !== undefined) done.push(message.value, typeof of(message).commit, typeof fail)
      },
      { size: 1 },
    )
    await world.troupe.queue(defineQueue<number>('tasks')).send(1)
    await world.pass(100)
    expect(done).toEqual([2, 'function', 'function'])
  })

  test('whose listener to failures throws goes on with what comes next', async () => {
    const world = openWorld()
    const seen: number[] = []
    const handler = ({ value }: { value: number }) => {
      seen.push(value)
      if (value === 1) throw new Error('not this one')
    }
    const onFailure = () => {
      throw new Error('nor the listener')
    }
    const tasks = world.troupe.queue(defineQueue<number>('tasks', { maxAttempts: 1 }))
    tasks.work(handler, { onFailure })
    await tasks.sendAll([1, 2])
    await world.pass(100)
    expect(new Set(seen)).toEqual(new Set([1, 2]))
  })

  const policies: [string, RetryPolicy][] = [
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
    ],
    ['answers nothing', () => bad(undefined)],
    ['answers no number', () => Number.NaN],
  ]
  test.each(policies)('whose retry policy %s is tried again after a second', async (_, retry) => {
    const world = openWorld()
    const seen: number[] = []
    const tasks = world.troupe.queue(defineQueue('tasks', { retry }))
    tasks.work(() => {
      seen.push(world.time.now())
      throw new Error('again')
    })
    await tasks.send(1)
    await world.pass(1500)
    expect(seen).toEqual([0, 1000])
  })
})
