import { describe, expect, test } from 'vitest'
import { defineQueue } from '../../../src/message/queue.ts'
import { fixedDelay } from '../../../src/message/retry.ts'
import { openWorld } from './world.ts'

const pages = defineQueue<number>('pages', { retry: fixedDelay(1000), maxAttempts: 3 })
const covers = defineQueue<string>('covers')
const books = defineQueue<string>('books', { retry: fixedDelay(1000) })

describe('a flow', () => {
  test('runs once with the results of all its children, though a child and the flow itself fail at first', async () => {
    const { troupe, pass } = openWorld()
    const runs: unknown[] = []
    troupe.queue(pages).work(
      async ({ value }, context) => {
        if (value === 2 && context.attempt === 1) throw new Error('out of ink')
        context.result(`page ${value}`)
      },
      { concurrency: 2 },
    )
    troupe.queue(covers).work(() => undefined)
    troupe.queue(books).work(async ({ value }, context) => {
      runs.push([value, await context.children()])
      if (context.attempt === 1) throw new Error('bound badly')
    })
    await troupe.queue(books).sendFlow('atlas', (children) => {
      for (const page of [1, 2, 3]) children.send(pages, page)
      children.send(covers, 'blue')
    })
    await pass(900)
    expect(runs).toEqual([])
    await pass(5000)
    const whole = ['atlas', ['page 1', 'page 2', 'page 3', undefined]]
    expect(runs).toEqual([whole, whole])
    expect(await troupe.queue(books).stats()).toMatchObject({ waiting: 0, delayed: 0, dead: 0 })
  })

  test('goes on when a child was received by hand', async () => {
    const { troupe, pass } = openWorld()
    await troupe.queue(books).sendFlow('a', (children) => children.send(pages, 1))
    for await (const message of troupe.queue(pages).receive()) {
      await message.acknowledge()
      break
    }
    let results: readonly unknown[] | undefined
    troupe.queue(books).work(async (_, context) => {
      results = await context.children()
    })
    await pass(1)
    expect(results).toEqual([undefined])
  })

  test('says what it cannot be', async () => {
    const queue = openWorld().troupe.queue(books)
    await expect(queue.sendFlow('a', () => undefined)).rejects.toThrow('a flow has children')
    await expect(queue.sendFlow('a', () => undefined, { delay: 5 } as object)).rejects.toThrow("'delay'")
    const many = queue.sendFlow('a', (children) => {
      for (let at = 0; at <= 1000; at++) children.send(pages, at)
    })
    await expect(many).rejects.toThrow('at most 1000 children')
  })
})

describe('a request', () => {
  test('resolves with the result of the handler, and with undefined when it left none', async () => {
    const { troupe, pass } = openWorld()
    troupe.queue(pages).work(({ value }, context) => {
      if (value > 0) context.result({ square: value * value })
    })
    const replies = Promise.all([troupe.queue(pages).request(7), troupe.queue(pages).request(0)])
    await pass(10)
    expect(await replies).toEqual([{ square: 49 }, undefined])
  })

  test('that is not done in time may still be, and its result can be asked for', async () => {
    const { troupe, pass } = openWorld()
    const refused = troupe
      .queue(pages)
      .request(7, { timeout: 500 })
      .catch((error: unknown) => error)
    await pass(600)
    const error = (await refused) as { readonly code: string; readonly details: { readonly message: string } }
    expect(error.code).toBe('OUTCOME_UNKNOWN')
    troupe.queue(pages).work((_, context) => context.result('late'))
    const result = troupe.queue(pages).result(error.details.message)
    await pass(10)
    expect(await result).toBe('late')
  })

  test('of a message that dies is rejected with the reason', async () => {
    const { troupe, pass } = openWorld()
    const doomed = defineQueue<number>('doomed', { retry: () => 'reject' })
    troupe.queue(doomed).work(() => Promise.reject(new Error('never')))
    const refused = troupe
      .queue(doomed)
      .request(1)
      .catch((error: unknown) => error)
    await pass(10)
    expect(await refused).toMatchObject({ code: 'DEAD_LETTER', details: { death: 'rejected' } })
  })
})
