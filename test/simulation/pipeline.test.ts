import { describe, expect, test } from 'vitest'
import { defineQueue, isTroupeError, type Troupe } from '../../src/index.ts'
import { type ApplicationContext, type FaultKind, simulateApplication } from '../../src/simulation.ts'

const quick = { lease: 3000, maxAttempts: 1000, retry: () => 200 }
const raw = defineQueue<string>('raw', quick)
const cooked = defineQueue<string>('cooked', quick)
const served = defineQueue<string>('served')
const pages = defineQueue<string>('pages', quick)
const books = defineQueue<string>('books', quick)
const shelf = defineQueue<string>('shelf')

/** Tries until it is certain: what is sent again under the same name is not there twice. */
async function surely(call: () => Promise<unknown>, { sleep }: ApplicationContext): Promise<void> {
  for (;;) {
    try {
      await call()
      return
    } catch (error) {
      if (!isTroupeError(error)) throw error
      await sleep(100)
    }
  }
}

function work(troupe: Troupe, { random, sleep }: ApplicationContext): void {
  const fails = (): void => {
    if (random.next() < 0.1) throw new Error('this time it fails')
  }
  const pass = (from: typeof raw, to: typeof raw): void => {
    troupe.queue(from).work(
      async ({ key, value }, context) => {
        context.emit(to, value, { key: `${value} ${key}` })
        await sleep(20)
        fails()
      },
      { concurrency: 4 },
    )
  }
  pass(raw, cooked)
  pass(cooked, served)
  troupe.queue(pages).work(
    async ({ value }, context) => {
      context.result(value)
      await sleep(20)
      fails()
    },
    { concurrency: 4 },
  )
  troupe.queue(books).work(async ({ value }, context) => {
    const children = await context.children()
    context.emit(shelf, `${value}: ${children.join()}`)
    fails()
  })
}

/** What was acknowledged to a sender, whatever has become of that since. */
interface Accepted {
  readonly messages: Set<string>
  readonly flows: Set<string>
}

async function send(troupe: Troupe, context: ApplicationContext, accepted: Accepted): Promise<void> {
  const { node, start, signal, sleep } = context
  for (let number = 0; !signal.aborted; number++) {
    const name = `${node}-${start}-${number}`
    await surely(() => troupe.queue(raw).send(name, { key: name, deduplicate: name, timeout: 5000 }), context)
    accepted.messages.add(name)
    const parts = (children: { send: (queue: typeof pages, value: string) => void }): void => {
      for (let page = 0; page < 3; page++) children.send(pages, `${page}`)
    }
    await surely(() => troupe.queue(books).sendFlow(name, parts, { name, timeout: 5000 }), context)
    accepted.flows.add(name)
    await sleep(200)
  }
}

async function valuesOf(troupe: Troupe, queue: typeof raw): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of troupe.queue(queue).peek({ limit: 100_000 })) values.push(String(value))
  return values.sort()
}

async function isOver(troupe: Troupe): Promise<boolean> {
  const all = await Promise.all([raw, cooked, pages, books].map((queue) => troupe.queue(queue).stats()))
  return all.every(({ waiting, delayed, leased }) => waiting + delayed + leased === 0)
}

describe('a pipeline over several shards, and flows, under faults', () => {
  const cases: readonly (readonly [number, readonly FaultKind[]])[] = [
    [8, ['crash', 'partition']],
    [12, ['power', 'network']],
    [14, ['crash', 'power', 'pause', 'partition']],
  ]
  test.each(cases)(
    'bring each message to its end once, and each flow with the results of all its children: seed %i, %j',
    { timeout: 120_000 },
    async (seed, faults) => {
      const accepted: Accepted = { messages: new Set(), flows: new Set() }
      let ends: readonly string[] = []
      let flows: readonly string[] = []
      const { failure } = await simulateApplication(
        async (troupe, context) => {
          work(troupe, context)
          await send(troupe, context, accepted)
          for (;;) {
            await context.sleep(500)
            const over = await isOver(troupe).catch(() => false)
            if (over) break
          }
          ends = await valuesOf(troupe, served)
          flows = await valuesOf(troupe, shelf)
        },
        { seed, nodes: 3, shards: 4, virtualSeconds: 12, faults },
      )
      expect(failure).toBeUndefined()
      expect(accepted.flows.size).toBeGreaterThan(10)
      expect(new Set(ends).size).toBe(ends.length)
      expect(new Set(flows).size).toBe(flows.length)
      expect(ends).toEqual(expect.arrayContaining([...accepted.messages]))
      expect(flows).toEqual(expect.arrayContaining(Array.from(accepted.flows, (name) => `${name}: 0,1,2`)))
      expect(flows.filter((flow) => !flow.endsWith(': 0,1,2'))).toEqual([])
    },
  )
})
