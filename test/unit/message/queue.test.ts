import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineMap } from '../../../src/data/map.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { fixedDelay } from '../../../src/message/retry.ts'
import { defineTopic } from '../../../src/message/topic.ts'
import type { TroupeQueue } from '../../../src/message/troupe-queue.ts'
import { openWith } from './open-with.ts'
import { openWorld } from './world.ts'

const Email = z.object({ to: z.string() })
const emails = defineQueue('emails', { schema: Email, retry: fixedDelay(1000), maxAttempts: 3 })
const texts = defineQueue<string>('texts', { retry: fixedDelay(1000), maxAttempts: 3 })

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = []
  for await (const item of items) collected.push(item)
  return collected
}

describe('sending', () => {
  test('refuses what does not fit the schema, with the issues, and sends nothing', async () => {
    const { troupe } = openWorld()
    const queue = troupe.queue(emails)
    const issues = [expect.objectContaining({ path: ['to'] })]
    const sent = queue.send({ to: 7 } as unknown as { to: string })
    await expect(sent).rejects.toMatchObject({ code: 'VALIDATION', details: { issues } })
    expect((await queue.stats()).waiting).toBe(0)
  })

  test('names options it does not know and values it cannot take', async () => {
    const queue = openWorld().troupe.queue(texts)
    await expect(queue.send('a', { dely: 5 } as object)).rejects.toThrow("did you mean 'delay'?")
    await expect(queue.send('a', { priority: 10 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(queue.send('a', { delay: 1, at: 5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(queue.send(Symbol.iterator as unknown as string)).rejects.toMatchObject({ code: 'UNSERIALIZABLE' })
    await expect(queue.send(new Uint8Array(256 * 1024 * 1024) as unknown as string)).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
    expect((await queue.stats()).waiting).toBe(0)
  })

  test('to a driver without queues is UNSUPPORTED and names both', async () => {
    const { driver } = openWorld()
    const { queue: _queue, ...rest } = driver
    const send = openWith({ ...rest, name: 'plain' })
      .queue(texts)
      .send('a')
    await expect(send).rejects.toMatchObject({ code: 'UNSUPPORTED', details: { driver: 'plain', facet: 'queue' } })
  })

  test('passes the headers of another message on, but not what the engine said of it', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    const seen: Readonly<Record<string, string>>[] = []
    queue.work(({ headers }) => void seen.push(headers))
    const headers = {
      traceparent: '00-1',
      'troupe-parent': '[0,"flow","q"]',
      'troupe-large': '9.9',
      'troupe-firing': 'a@1',
    }
    await queue.send('on', { headers })
    await pass(1)
    expect(seen).toEqual([{ traceparent: '00-1', 'troupe-firing': 'a@1' }])
  })

  test('a delay in the past is due now, and one in the future is not early', async () => {
    const { troupe, time, pass } = openWorld()
    const seen: string[] = []
    troupe.queue(texts).work(({ value }) => void seen.push(`${value} at ${time.now()}`), { concurrency: 4 })
    await troupe.queue(texts).send('late', { at: time.wallTime() - 5000 })
    await troupe.queue(texts).send('soon', { delay: 30_000 })
    await pass(29_999)
    expect(seen).toEqual(['late at 0'])
    await pass(1)
    expect(seen).toEqual(['late at 0', 'soon at 30000'])
    const years = 5 * 365 * 86_400_000
    await troupe.queue(texts).send('far', { delay: years })
    await pass(years - 1)
    expect(seen).toHaveLength(2)
    await pass(1)
    expect(seen).toHaveLength(3)
  })
})

describe('a worker', () => {
  test('keeps the order of a key through retries while other keys go on', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    await queue.sendAll(['a1', 'a2', 'a3'], { key: 'a' })
    await queue.sendAll(['b1', 'b2'], { key: 'b' })
    const done: string[] = []
    let failures = 1
    queue.work(
      ({ value }) => {
        if (value === 'a1' && failures-- > 0) throw new Error('not yet')
        done.push(value)
      },
      { concurrency: 8 },
    )
    await pass(999)
    expect(done).toEqual(['b1', 'b2'])
    await pass(1)
    expect(done).toEqual(['b1', 'b2', 'a1', 'a2', 'a3'])
  })

  test('makes a dead letter at once of what the policy rejects', async () => {
    const { troupe, pass } = openWorld()
    const retry = (error: unknown) => (error instanceof RangeError ? 'reject' : 10)
    const queue = troupe.queue(defineQueue<string>('classes', { retry }))
    await queue.send('x')
    queue.work(() => Promise.reject(new RangeError('never')))
    await pass(5)
    expect(await collect(queue.deadLetters())).toMatchObject([{ death: 'rejected', attempts: 1 }])
  })

  test('extends the lease while its handler runs', async () => {
    const { troupe, driver, time, pass } = openWorld()
    const queue = troupe.queue(defineQueue<string>('slow', { lease: 1000 }))
    await queue.send('x')
    let runs = 0
    queue.work(async () => {
      runs += 1
      await new Promise<void>((resolve) => void time.at(time.now() + 10_000, resolve))
    })
    await pass(9999)
    expect([runs, (await queue.stats()).leased]).toEqual([1, 1])
    await pass(1)
    expect((await driver.queue?.stats('slow', {}))?.leased).toBe(0)
  })

  test('drains: lets handlers finish, gives back what waits, and says what it had to abandon', async () => {
    const { troupe, time, pass } = openWorld()
    const queue = troupe.queue(texts)
    await queue.sendAll(['quick', 'endless', 'waiting 1', 'waiting 2'])
    const signals: AbortSignal[] = []
    const worker = queue.work(
      async ({ value }, { signal }) => {
        signals.push(signal)
        const duration = value === 'quick' ? 100 : 1e9
        await new Promise<void>((resolve) => void time.at(time.now() + duration, resolve))
      },
      { concurrency: 2 },
    )
    await pass(10)
    const draining = worker.drain({ timeout: 5000 })
    await pass(6000)
    expect(await draining).toEqual({ finished: 1, released: 2, abandoned: 1 })
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true])
    expect(await queue.stats()).toMatchObject({ waiting: 3, leased: 0, consumers: [] })
  })

  test('drains with its Troupe, whose handles handlers can use until the last of them is done', async () => {
    const { troupe, time, pass } = openWorld()
    const queue = troupe.queue(texts)
    await queue.sendAll(['first', 'second'])
    const aborted: boolean[] = []
    const worker = queue.work(
      async ({ value }, { signal, set }) => {
        await new Promise<void>((resolve) => void time.at(time.now() + 100, resolve))
        await troupe.map(defineMap<string>('seen')).set('by call', value)
        set(defineMap('seen'), 'by commit', value)
        aborted.push(signal.aborted)
      },
      { concurrency: 1, prefetch: 1 },
    )
    await pass(10)
    let facts: unknown
    const draining = troupe.drain({ timeout: Number.POSITIVE_INFINITY }).then(() => 'drained')
    time.at(time.now() + 95, () => {
      facts = [troupe.signal.aborted, aborted]
    })
    await pass(1000)
    expect(facts).toEqual([true, [false]])
    expect(await draining).toBe('drained')
    expect(await worker.drain()).toEqual({ finished: 1, released: 1, abandoned: 0 })
  })

  test('ends at once when its Troupe closes, also while it drains', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    await queue.send('endless')
    const reasons: unknown[] = []
    const worker = queue.work(
      (_, { signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => reasons.push(signal.reason))
        }),
    )
    await pass(10)
    const both = [worker.drain(), worker.drain(), troupe.drain()]
    await pass(10)
    await troupe.close()
    expect(await Promise.all(both)).toMatchObject([{ abandoned: 1 }, { abandoned: 1 }, undefined])
    expect(reasons.length).toBe(1)
  })

  test('tells a handler that goes on after its commit when the worker ends', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    await queue.send('a')
    const reasons: unknown[] = []
    const worker = queue.work(async (_message, context) => {
      await context.commit()
      await new Promise<void>((resolve) => {
        context.signal.addEventListener('abort', () => {
          reasons.push(context.signal.reason)
          resolve()
        })
      })
    })
    await pass(10)
    expect([reasons, await queue.stats()]).toMatchObject([[], { waiting: 0, leased: 0 }])
    await worker.close()
    expect(reasons).toMatchObject([{ message: 'the worker has ended' }])
  })

  test('rejects what no longer fits the schema, with the issues, and goes on', async () => {
    const { troupe, pass } = openWorld()
    await troupe.queue(defineQueue<unknown>('emails')).send({ to: 5 })
    await troupe.queue(emails).send({ to: 'ann' })
    const seen: string[] = []
    troupe.queue(emails).work(({ value }) => void seen.push(value.to))
    await pass(1)
    expect(seen).toEqual(['ann'])
    const [dead] = await collect(troupe.queue(emails).deadLetters())
    expect(dead).toMatchObject({ death: 'validation', value: { to: 5 } })
    expect(dead?.lastError).toMatchObject({ code: 'VALIDATION', issues: [{ path: ['to'] }] })
  })

  test('ends with the Troupe without an error', async () => {
    const { troupe } = openWorld()
    const worker = troupe.queue(texts).work(() => undefined)
    await troupe.close()
    await expect(worker.ended).resolves.toBeUndefined()
  })
})

describe('a worker of batches', () => {
  const jobs = defineQueue<number>('jobs', { retry: fixedDelay(1000), maxAttempts: 3 })

  test('takes what is there once the batch is full, or its first message has waited', async () => {
    const { troupe, time, pass } = openWorld()
    const queue = troupe.queue(jobs)
    await queue.sendAll([1, 2, 3, 4, 5])
    const batches: string[] = []
    queue.workBatches(
      (messages) => void batches.push(`${messages.map(({ value }) => value).join()} at ${time.now()}`),
      {
        size: 2,
        linger: 50,
      },
    )
    await pass(49)
    expect(batches).toEqual(['1,2 at 0', '3,4 at 0'])
    await pass(1)
    expect(batches[2]).toBe('5 at 50')
    await pass(1000)
    await queue.send(6)
    await pass(49)
    await queue.send(7)
    await pass(0)
    expect(batches[3]).toBe('6,7 at 1099')
    expect(await queue.stats()).toMatchObject({ waiting: 0, leased: 0, dead: 0 })
  })

  test('fails single messages while the others are done, with what was to happen along with each', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(jobs)
    const next = defineQueue<number>('next')
    const [, second] = await queue.sendAll([1, 2, 3])
    const seen: string[] = []
    const failures: string[] = []
    queue.workBatches(
      (messages, context) => {
        seen.push(messages.map(({ value, attempt }) => `${value}#${attempt}`).join())
        for (const message of messages) {
          context.of(message).emit(next, message.value)
          if (message.value === 2 && message.attempt === 1) context.fail(message, new Error('not two'))
        }
      },
      { size: 3, onFailure: ({ message }) => failures.push(message) },
    )
    await pass(100)
    expect(await queue.stats()).toMatchObject({ delayed: 1, leased: 0 })
    expect((await queue.inspect(second?.id ?? ''))?.lastError).toMatchObject({ message: 'not two' })
    expect((await collect(troupe.queue(next).peek())).map(({ value }) => value)).toEqual([1, 3])
    await pass(2000)
    expect([seen, failures]).toEqual([['1#1,2#1,3#1', '2#2'], ['not two']])
  })

  test('fails all that are not committed when it throws, and takes one message of a key at a time', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(jobs)
    await queue.sendAll([1, 2], { key: 'k' })
    await queue.sendAll([3])
    const seen: number[][] = []
    queue.workBatches(
      async (messages, context) => {
        seen.push(messages.map(({ value }) => value))
        for (const message of messages) if (message.value === 3) await context.of(message).commit()
        if (seen.length === 1) throw undefined
      },
      { size: 10 },
    )
    await pass(999)
    expect(await queue.stats()).toMatchObject({ waiting: 1, delayed: 1, leased: 0 })
    await pass(2000)
    expect(seen).toEqual([[1, 3], [1], [2]])
  })

  test('says which options it cannot take, and gives back what waits when it drains', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(jobs)
    expect(() => queue.workBatches(() => undefined, { size: 0 })).toThrow('size is a whole number')
    await queue.sendAll([1, 2, 3])
    const worker = queue.workBatches(() => undefined, { size: 10, linger: 1000 })
    await pass(10)
    expect(await worker.drain()).toEqual({ finished: 0, released: 3, abandoned: 0 })
    expect(await queue.stats()).toMatchObject({ waiting: 3, consumers: [] })
  })
})

describe('what a handler emits', () => {
  const next = defineQueue<number>('next', { placement: 'p' })
  const sums = defineMap<number>('sums', { placement: 'p' })
  const events = defineTopic<string>('events')

  test('happens with the acknowledgement: messages, map changes, records, a result; of one key the last change', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    const { id } = await queue.send('x')
    queue.work((_, context) => {
      context.emit(next, 1)
      context.set(sums, 'k', 1)
      context.set(sums, 'k', 2)
      context.publish(events, 'done')
      context.result({ ok: true })
    })
    await pass(1)
    expect((await troupe.map(sums).get('k'))?.value).toBe(2)
    expect((await troupe.queue(next).stats()).waiting).toBe(1)
    expect(await queue.inspect(id)).toMatchObject({ state: 'done', result: { ok: true } })
    expect((await troupe.topic(events).groups()).length).toBe(0)
  })

  test('deletes a key of a compacted topic by null, as publishing does', async () => {
    const { troupe, pass } = openWorld()
    const names = defineTopic<string | null>('names', { compact: true })
    await troupe.topic(names).publish('Ann', { key: 'a' })
    const table = await troupe.topic(names).table()
    expect(table.get('a')).toBe('Ann')
    await troupe.queue(texts).send('x')
    troupe.queue(texts).work((_, context) => context.publish(names, null, { key: 'a' }))
    await pass(1)
    expect(table.size).toBe(0)
    await table.close()
  })

  test('is nothing when it throws, however much it emitted', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    const { id } = await queue.send('x')
    queue.work((_, context) => {
      for (let at = 0; at < 3; at++) context.emit(next, at)
      context.set(sums, 'k', 1)
      throw new Error('after three')
    })
    await pass(1)
    expect((await troupe.queue(next).stats()).waiting).toBe(0)
    expect(await troupe.map(sums).get('k')).toBeUndefined()
    expect((await queue.inspect(id))?.attempts).toBe(1)
  })

  test('fails the attempt when it does not fit its schema', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(texts)
    const { id } = await queue.send('x')
    queue.work((_, context) => context.emit(emails, { to: 1 } as unknown as { to: string }))
    await pass(1)
    expect((await queue.inspect(id))?.lastError).toMatchObject({ code: 'VALIDATION' })
  })
})

describe('dead letters', () => {
  async function threeDead(): Promise<{ queue: TroupeQueue<string>; pass: (duration: number) => Promise<void> }> {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(defineQueue<string>('poison', { retry: () => 'reject' }))
    await queue.sendAll(['a', 'b', 'c'])
    const worker = queue.work(() => Promise.reject(new Error('no')))
    await pass(1)
    await worker.close()
    return { queue, pass }
  }

  test('come back by number, with their attempts at 0', async () => {
    const { queue } = await threeDead()
    expect(await queue.redrive({ limit: 2 })).toBe(2)
    expect(await queue.stats()).toMatchObject({ waiting: 2, dead: 1 })
    expect((await collect(queue.peek())).map(({ value, attempts }) => [value, attempts])).toEqual([
      ['a', 0],
      ['b', 0],
    ])
  })

  test('come back by what they hold', async () => {
    const { queue } = await threeDead()
    expect(await queue.redrive({ filter: ({ value }) => value !== 'b' })).toBe(2)
    expect((await collect(queue.deadLetters())).map(({ value }) => value)).toEqual(['b'])
  })

  test('do not come back by a filter that answers later, for each would be accepted', async () => {
    const { queue } = await threeDead()
    const later = (async ({ value }: { value: unknown }) => value === 'b') as unknown as () => boolean
    await expect(queue.redrive({ filter: later })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await queue.stats()).dead).toBe(3)
  })

  test('come back by rate each once, though they die again meanwhile', async () => {
    const { queue, pass } = await threeDead()
    const tries: string[] = []
    queue.work(({ value }) => {
      tries.push(value)
      throw new Error('still no')
    })
    const redriven = queue.redrive({ rate: { messages: 1, per: 1000 } })
    await pass(20_000)
    expect(await redriven).toBe(3)
    expect(tries).toEqual(['a', 'b', 'c'])
  })

  test('come back by a tool that keeps the rules of the queue, to their places in their keys', async () => {
    const { troupe, pass } = openWorld()
    const queue = troupe.queue(defineQueue<string>('poison', { retry: () => 'reject', limit: 3 }))
    await queue.sendAll(['a', 'b'], { key: 'k' })
    const worker = queue.work(() => Promise.reject(new Error('no')))
    await pass(1)
    await worker.close()
    await queue.send('c', { key: 'k' })
    const tool = troupe.queue(defineQueue<string>('poison', { keepRules: true }))
    expect(await tool.redrive({ filter: ({ value }) => value === 'b' })).toBe(1)
    expect((await collect(tool.peek())).map(({ value }) => value)).toEqual(['b', 'c'])
    await tool.send('d')
    await expect(tool.send('e')).rejects.toMatchObject({ code: 'FULL' })
    expect(() => defineQueue('poison', { keepRules: true, limit: 5 })).toThrow("'limit' cannot be set")
  })

  test('come back no faster than asked', async () => {
    const { queue, pass } = await threeDead()
    const redriven = queue.redrive({ rate: { messages: 1, per: 1000 } })
    await pass(1500)
    expect((await queue.stats()).dead).toBe(1)
    await pass(5000)
    expect(await redriven).toBe(3)
  })
})

test('a list of messages that ends in the middle has sent nothing', async () => {
  const { troupe } = openWorld()
  const queue = troupe.queue(texts)
  function* broken(): Generator<string> {
    yield 'a'
    throw new Error('no more')
  }
  await expect(queue.sendAll(broken())).rejects.toThrow('no more')
  expect((await queue.stats()).waiting).toBe(0)
})

test('receiving by hand settles by hand, and what is unsettled when the loop ends goes back', async () => {
  const { troupe } = openWorld()
  const queue = troupe.queue(texts)
  await queue.sendAll(['a', 'b', 'c'])
  for await (const message of queue.receive({ prefetch: 3 })) {
    if (message.value === 'b') break
    await message.acknowledge()
    await expect(message.acknowledge()).rejects.toMatchObject({ code: 'FENCED' })
  }
  expect((await collect(queue.peek())).map(({ value }) => value)).toEqual(['b', 'c'])
})

test('a schedule fires at its times, once each, and the same one again changes nothing', async () => {
  const { troupe, pass } = openWorld()
  const queue = troupe.queue(texts)
  const firings: string[] = []
  queue.work(({ value, headers }) => void firings.push(`${value} ${headers['troupe-firing']?.split('@')[0]}`))
  for (let start = 0; start < 3; start++) await troupe.schedule(texts, 'beat', { every: 1000 }, { value: 'tick' })
  await pass(3500)
  expect(firings).toEqual(['tick beat', 'tick beat', 'tick beat'])
  expect(await troupe.schedules()).toMatchObject([{ id: 'beat', queue: 'texts', missedCount: 0, value: 'tick' }])
  expect(await troupe.unschedule(texts, 'beat')).toBe(true)
  await pass(5000)
  expect(firings.length).toBe(3)
  const never = troupe.schedule(texts, 'never', { cron: 'never' }, { value: 'x' })
  await expect(never).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})
