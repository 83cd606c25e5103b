/** The promises of queues about flows, and about results that somebody waits for. */

import type { Delivered, OutgoingFlow } from '../contract.ts'
import { bytes, check, checkEqual, checkRejects } from './case.ts'
import { MESSAGE, only, QueueScene, type TimedConformanceCase, texts } from './message-case.ts'

/** A flow of the scene's queue with children in another, which live in shards of their own. */
function flowOf(scene: QueueScene, children: readonly string[]): OutgoingFlow {
  const queue = { ...scene.queue, name: `${scene.queue.name}-part` }
  return {
    name: 'flow',
    queue: scene.queue,
    message: { ...MESSAGE, payload: bytes('whole') },
    children: children.map((text) => ({ queue, message: { ...MESSAGE, key: text, payload: bytes(text) } })),
  }
}

function partsOf(scene: QueueScene, credit: number): AsyncIterator<Delivered> {
  const queue = { ...scene.queue, name: `${scene.queue.name}-part` }
  return scene.facet.consume(queue, { consumer: 'consumer', credit })[Symbol.asyncIterator]()
}

function arrive(message: Delivered, result: string): Promise<void> {
  const parent = message.headers['troupe-parent'] ?? ''
  return message.commit([{ type: 'arrive', parent, value: bytes(result) }], {})
}

export const FLOW_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a flow comes once, when all its children are done, with their results in their order',
    async run(context) {
      const scene = new QueueScene(context)
      const { id } = await scene.facet.sendFlow(flowOf(scene, ['a', 'b', 'c']), {})
      const consumer = partsOf(scene, 3)
      const children = await scene.take(consumer, 3)
      for (const child of children.slice(1)) await arrive(child, `done ${texts([child]).join('')}`)
      checkEqual(await scene.drain(500), [], 'before the last child')
      const known = await scene.facet.children(context.name, id, {})
      checkEqual(known.filter((result) => result !== undefined).length, 2, 'results so far')
      await arrive(only(children), `done ${texts(children.slice(0, 1)).join('')}`)
      const whole = only(await scene.take(scene.consume(), 1))
      checkEqual([whole.id, texts([whole])], [id, ['whole']], 'the flow')
      const results = await scene.facet.children(context.name, id, {})
      checkEqual(results, [bytes('done a'), bytes('done b'), bytes('done c')], 'results')
      await whole.acknowledge({})
      checkEqual(await scene.facet.children(context.name, id, {}), [], 'results of a flow that is done')
    },
  },
  {
    name: 'a flow waits for a child that fails, and for one that is a dead letter until it is redriven',
    async run(context) {
      const scene = new QueueScene(context, { maxAttempts: 2 })
      await scene.facet.sendFlow(flowOf(scene, ['a', 'b']), {})
      const consumer = partsOf(scene, 2)
      for (const child of await scene.take(consumer, 2)) {
        if (texts([child])[0] === 'a') await arrive(child, 'A')
        else await child.retry(0, bytes('{}'), {})
      }
      await only(await scene.take(consumer, 1)).retry(0, bytes('{}'), {})
      checkEqual(await scene.drain(500), [], 'while a child is dead')
      checkEqual(await scene.facet.redrive(`${context.name}-part`, { limit: 9 }, {}), 1, 'redriven')
      await arrive(only(await scene.take(consumer, 1)), 'B')
      checkEqual(await scene.drain(1000), ['whole'], 'the flow')
    },
  },
  {
    name: 'the same flow again changes nothing, nor does a child that is done twice',
    async run(context) {
      const scene = new QueueScene(context)
      const flow = flowOf(scene, ['a', 'b'])
      const { id } = await scene.facet.sendFlow(flow, {})
      const again = await scene.facet.sendFlow(flow, {})
      checkEqual([again.id, again.isDuplicate], [id, true], 'answer')
      const consumer = partsOf(scene, 4)
      const [one, two] = await scene.take(consumer, 2)
      check(one !== undefined && two !== undefined, 'two children')
      const third = consumer.next()
      checkEqual(await Promise.race([third.then(() => 'came'), scene.sleep(300)]), undefined, 'a third child')
      await arrive(one, '1')
      await checkRejects(arrive(one, '1'), 'FENCED')
      checkEqual(await scene.drain(500), [], 'with one child missing')
      await arrive(two, '2')
      checkEqual(await scene.drain(1000), ['whole'], 'the flow')
      await consumer.return?.()
    },
  },
]

export const RESULT_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'who waits for a result gets it once the message is done, and undefined when it left none',
    async run(context) {
      const scene = new QueueScene(context)
      const ids = [await scene.send('a'), await scene.send('b')]
      const results = ids.map((id) => scene.facet.result(context.name, id, { timeout: 20_000 }))
      const [first, second] = await scene.take(scene.consume(2), 2)
      await scene.sleep(200)
      await first?.commit([{ type: 'result', value: bytes('42'), keep: 60_000 }], {})
      const soon = await Promise.race([results[0], scene.sleep(500)])
      checkEqual(soon, bytes('42'), 'the result, soon')
      await second?.acknowledge({})
      checkEqual(await results[1], undefined, 'no result')
      checkEqual(await scene.facet.result(context.name, ids[0] ?? '', {}), bytes('42'), 'the result, later')
    },
  },
  {
    name: 'who waits for the result of a message that dies is told DEAD_LETTER',
    async run(context) {
      const scene = new QueueScene(context)
      const result = scene.facet.result(context.name, await scene.send('a'), {})
      const refused = checkRejects(result, 'DEAD_LETTER')
      await only(await scene.take(scene.consume(), 1)).reject('rejected', bytes('{"name":"no"}'), {})
      const { details } = await refused
      checkEqual([details.death, details.failure], ['rejected', '{"name":"no"}'], 'details')
    },
  },
  {
    name: 'who waits for a result in vain is told TIMEOUT, and one whose signal aborts its reason',
    async run(context) {
      const scene = new QueueScene(context)
      const id = await scene.send('a')
      await checkRejects(scene.facet.result(context.name, id, { timeout: 300 }), 'TIMEOUT')
      const controller = new AbortController()
      const reason = new Error('enough')
      const result = scene.facet
        .result(context.name, id, { signal: controller.signal })
        .catch((error: unknown) => error)
      await scene.sleep(100)
      controller.abort(reason)
      check((await result) === reason, 'the reason of the signal')
    },
  },
]
