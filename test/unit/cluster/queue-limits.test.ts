import { describe, expect, test } from 'vitest'
import type { TroupeError } from '../../../src/base/error.ts'
import type { Driver, NamedQueue, OutgoingMessage, QueueFacet, QueueRules } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const NO_ERROR = new TextEncoder().encode('{}')

function queueOf(rules: Partial<QueueRules>): NamedQueue {
  return { name: 'jobs', rules: { ...RULES, ...rules } }
}

function messageOf(text: string, key: string): OutgoingMessage {
  const plain = { headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0, deduplication: undefined }
  return { ...plain, key, payload: new TextEncoder().encode(text) }
}

function facetOf(driver: Driver): QueueFacet {
  if (driver.queue === undefined) throw new Error('the driver has no queues')
  return driver.queue
}

interface Step {
  readonly key: string
  readonly number: number
}

/** Many applications that work a queue off, each message for a while. */
class Workforce {
  readonly cluster: TestCluster = new TestCluster(['n1', 'n2', 'n3'])
  /** What has been begun, in this order, and what has been worked off, once or more. */
  readonly begun: Step[] = []
  readonly done = new Map<string, Step>()
  readonly #workers: Driver[] = []
  readonly #queue: NamedQueue
  readonly #sender: QueueFacet

  constructor(rules: Partial<QueueRules>) {
    this.#queue = queueOf(rules)
    this.#sender = facetOf(this.cluster.application(true))
  }

  /** Sends so many messages of each key. */
  async send(keys: number, count: number): Promise<void> {
    for (let number = 0; number < count; number++) {
      const sent = Array.from({ length: keys }, (_, key) =>
        this.#sender.send(this.#queue, messageOf(String(number), `k${key}`), {}),
      )
      let isDone = false
      void Promise.all(sent).then(() => {
        isDone = true
      })
      while (!isDone) await this.cluster.run(5)
    }
  }

  hire(count: number, credit: number, workMs: number): void {
    for (let at = 0; at < count; at++) {
      const worker = this.cluster.application(at % 2 === 0)
      this.#workers.push(worker)
      void this.#work(worker, credit, workMs)
    }
  }

  /** The one that was hired first dies with what it has in its hands. */
  killOne(): void {
    const worker = this.#workers.shift()
    if (worker !== undefined) this.cluster.kill(worker)
  }

  async finish(count: number): Promise<number> {
    const { queue } = this.cluster
    const begin = queue.now()
    while (this.done.size < count && queue.now() < begin + 600_000) await this.cluster.run(50)
    return queue.now() - begin
  }

  async #work(driver: Driver, credit: number, workMs: number): Promise<void> {
    const { queue } = this.cluster
    const computer = this.cluster.computerOf(driver)
    for await (const delivered of facetOf(driver).consume(this.#queue, { consumer: 'worker', credit })) {
      const { key } = delivered
      const step = { key, number: Number(new TextDecoder().decode(delivered.payload)) }
      this.begun.push(step)
      computer.at(queue.now() + workMs, () => {
        this.done.set(`${key}.${step.number}`, step)
        // Who was too late, or has no answer, leaves it to the next one.
        void delivered.acknowledge({}).catch(() => {})
      })
    }
  }
}

const KEYS = 1000
const MESSAGES = 100_000

/** Every five seconds another worker dies and is replaced, and once a node. */
function disturb(force: Workforce): { cancel: () => void } {
  const { queue } = force.cluster
  let isOver = false
  const crash = (number: number): void => {
    if (isOver) return
    force.killOne()
    force.hire(1, 1, 20)
    if (number === 3) force.cluster.crash('n3')
    queue.at(queue.now() + 5000, () => crash(number + 1))
  }
  queue.at(queue.now() + 5000, () => crash(1))
  const cancel = (): void => {
    isOver = true
  }
  return { cancel }
}

/** What was begun before its predecessor, or after its successor: the last one of a key may be begun again. */
function outOfOrder(begun: readonly Step[]): readonly Step[] {
  const newest = new Map<string, number>()
  return begun.filter(({ key, number }) => {
    const before = newest.get(key) ?? -1
    newest.set(key, number)
    return number !== before && number !== before + 1
  })
}

describe('a queue that many work off', () => {
  test('of a thousand keys keeps their order while consumers and a node die, and sixteen consumers are more than eight times as fast as with one key', async () => {
    const one = new Workforce({})
    await one.send(1, 40)
    one.hire(16, 1, 20)
    const alone = (await one.finish(40)) / 40
    const many = new Workforce({})
    await many.send(KEYS, MESSAGES / KEYS)
    many.hire(16, 1, 20)
    const crashes = disturb(many)
    const together = (await many.finish(MESSAGES)) / MESSAGES
    crashes.cancel()
    for (const { begun } of [one, many]) expect(outOfOrder(begun)).toEqual([])
    expect([one.done.size, many.done.size]).toEqual([40, MESSAGES])
    // What was in the hands of the dead was begun again, and little else.
    expect(many.begun.length).toBeGreaterThan(MESSAGES + 10)
    expect(many.begun.length).toBeLessThan(MESSAGES + 200)
    expect(alone / together).toBeGreaterThan(8)
  }, 300_000)
})

test.each(['dies', 'is redriven'] as const)(
  'of ten thousand messages a hundred are poisonous: just these die, and come back when they are redriven, though a node crashes while one %s',
  async (when) => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const facet = facetOf(cluster.application(true))
    const queue = queueOf({ maxAttempts: 2 })
    const poison = (number: number): boolean => number % 100 === 7
    const settled = { good: new Set<number>(), bad: new Set<number>(), count: 0 }
    const refusals: string[] = []
    let isPoisonous = true
    for (let number = 0; number < 10_000; number += 500) {
      for (let at = number; at < number + 500; at++) void facet.send(queue, messageOf(String(at), `k${at % 97}`), {})
      await cluster.run(200)
    }
    void (async () => {
      for await (const delivered of facet.consume(queue, { consumer: 'worker', credit: 256 })) {
        const number = Number(new TextDecoder().decode(delivered.payload))
        const isBad = poison(number) && isPoisonous
        settled[isBad ? 'bad' : 'good'].add(number)
        settled.count++
        const answer = isBad ? delivered.retry(0, NO_ERROR, {}) : delivered.acknowledge({})
        void answer.catch((error: TroupeError) => refusals.push(error.code))
      }
    })()
    for (let round = 0; round < 2000 && settled.bad.size < 50; round++) await cluster.run(5)
    if (when === 'dies') cluster.crash('n3')
    const dead = async (): Promise<number> => {
      const stats = facet.stats('jobs', {})
      await cluster.run(2000)
      const { waiting, delayed, leased, dead } = await stats
      return waiting + delayed + leased === 0 ? dead : -1
    }
    while ((await dead()) < 0) expect(cluster.queue.now()).toBeLessThan(600_000)
    expect([settled.good.size, settled.bad.size, await dead()]).toEqual([9900, 100, 100])
    isPoisonous = false
    const redriven = facet.redrive('jobs', { limit: 1_000_000, reason: 'attempts' }, { timeout: 60_000 })
    if (when === 'is redriven') {
      await cluster.run(1)
      cluster.crash('n3')
    }
    await cluster.run(10_000)
    // Who asked may not learn how many it was in the shard that lost its leader.
    const told = await redriven.catch((error: TroupeError) => error.outcome)
    expect(when === 'dies' ? told : 100).toBe(100)
    if (told !== 100) {
      void facet.redrive('jobs', { limit: 1_000_000, reason: 'attempts' }, {})
      await cluster.run(5000)
    }
    expect([settled.good.size, await dead()]).toEqual([10_000, 0])
    // What the node that crashed had handed out came again from another one.
    expect(refusals.filter((code) => code !== 'FENCED')).toEqual([])
  },
  60_000,
)
