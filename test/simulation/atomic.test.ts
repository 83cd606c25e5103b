import { expect, test } from 'vitest'
import { defineMap, defineQueue, fixedDelay, type Troupe } from '../../src/index.ts'
import { type Application, Scene } from './scene.ts'

const placement = 'shop'
const orders = defineQueue<string>('orders', { placement, lease: 2000, retry: fixedDelay(100), maxAttempts: 1000 })
const stock = defineMap<string>('stock', { placement })
const ledger = defineMap<string>('ledger', { placement })
const letters = defineQueue<string>('letters', { placement })
const reminders = defineQueue<string>('reminders', { placement })

/** Steps of everybody from a send until nothing of it is left to be done. */
const SPAN = 160
const VICTIMS = ['whoever takes the step', 'every node', 'the worker', 'every node and the worker'] as const

/** What a handler leaves, all of it with its acknowledgement; each run says which it was. */
function work({ troupe }: Application, run: string): void {
  troupe.queue(orders).work(({ key }, context) => {
    context.set(stock, key, run)
    context.set(ledger, key, run)
    context.emit(letters, run, { key })
    context.emit(reminders, run, { key, delay: 3_600_000 })
    context.result(run, { keep: 3_600_000 })
  })
}

/** What can be seen of an order: whether it is done, and by which runs something was left at each place. */
type Sight = readonly [isDone: boolean, result: unknown, ...places: (readonly unknown[])[]]

async function look(troupe: Troupe, key: string, id: string): Promise<Sight> {
  const sent = async (queue: typeof letters, state: 'waiting' | 'delayed'): Promise<readonly unknown[]> => {
    const found: unknown[] = []
    for await (const { value } of troupe.queue(queue).peek({ state, limit: 100 })) found.push(value)
    return found
  }
  const { state, result } = (await troupe.queue(orders).inspect(id)) ?? {}
  const [first, second] = [await troupe.map(stock).get(key), await troupe.map(ledger).get(key)]
  const values = [first?.value, second?.value].filter((value) => value !== undefined)
  return [state === 'done', result, values, await sent(letters, 'waiting'), await sent(reminders, 'delayed')]
}

const NOTHING: Sight = [false, undefined, [], [], []]
const allOf = (run: unknown): Sight => [true, run, [run, run], [run], [run]]

class Shop {
  readonly scene: Scene
  readonly client: Application
  #worker: Application
  #runs = 0

  constructor(scene: Scene) {
    this.scene = scene
    this.client = scene.application()
    this.#worker = this.#hire()
  }

  #hire(): Application {
    const worker = this.scene.application()
    work(worker, `run-${++this.#runs}`)
    return worker
  }

  /** Sends an order and kills at a step from then on. What is there when all have come back but the worker, and at last. */
  async killAt(point: number, key: string): Promise<readonly [seen: Sight, last: Sight]> {
    const { scene, client } = this
    const { cluster, random } = scene
    const sent = client.troupe.queue(orders).send('buy', { key, timeout: 30_000 })
    await this.#strike(VICTIMS[point % VICTIMS.length], 1 + random.below(SPAN))
    cluster.abandon(this.#worker.computer)
    await scene.pass(random.below(300))
    for (const node of cluster.nodes) cluster.restart(node)
    const { id } = await scene.settled(sent)
    await scene.pass(500)
    const seen = await scene.settled(look(client.troupe, key, id))
    this.#worker = this.#hire()
    await scene.settled(client.troupe.queue(orders).result(id, { timeout: 60_000 }))
    const last = await scene.settled(look(client.troupe, key, id))
    for (const queue of [letters, reminders]) await scene.settled(client.troupe.queue(queue).purge('all'))
    return [seen, last]
  }

  /** Lets so many steps be taken, and then no more of its own by the victim. */
  async #strike(victim: (typeof VICTIMS)[number] | undefined, steps: number): Promise<void> {
    const { cluster } = this.scene
    let left = steps
    cluster.onStep = (node) => {
      // An event is nobody's before it is taken: whoever takes the next step in the middle of a turn is cut there.
      if (--left > 0 || (victim === 'whoever takes the step' && node === undefined)) return
      cluster.onStep = () => {}
      left = Number.NEGATIVE_INFINITY
      if (victim === 'whoever takes the step' && node !== undefined) cluster.crash(node)
      if (victim === 'every node' || victim === 'every node and the worker') {
        for (const each of cluster.nodes) cluster.crash(each)
      }
      if (victim === 'the worker' || victim === 'every node and the worker') cluster.abandon(this.#worker.computer)
    }
    await this.scene.until(this.scene.now + 60_000, () => left === Number.NEGATIVE_INFINITY)
  }
}

test.each([1, 2, 3, 4, 5])(
  'what a handler did is there whole or not at all, whatever is killed at whichever of 200 steps: seed %i',
  async (seed) => {
    const scene = await Scene.begin({ seed, logBytes: 256 * 1024 })
    const shop = new Shop(scene)
    const ends = { all: 0, none: 0 }
    for (let point = 0; point < 200; point++) {
      const [seen, last] = await shop.killAt(point, `order-${point}`)
      const [isDone, run] = seen
      expect(seen).toEqual(isDone ? allOf(run) : NOTHING)
      expect(last).toEqual(allOf(isDone ? run : last[1]))
      ends[isDone ? 'all' : 'none']++
    }
    scene.close()
    expect(Math.min(ends.all, ends.none)).toBeGreaterThan(40)
  },
  300_000,
)
