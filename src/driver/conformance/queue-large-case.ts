/** The promises of queues about payloads that no single command can carry. */

import type { Delivered, OutgoingMessage } from '../contract.ts'
import { check, checkEqual } from './case.ts'
import { gather, MESSAGE, only, QueueScene, type TimedConformanceCase } from './message-case.ts'

const LARGE_BYTES = 1_500_000

/** Bytes that no run of repeats looks like. */
function payloadOf(seed: number): Uint8Array {
  const payload = new Uint8Array(LARGE_BYTES)
  for (let at = 0, value = seed; at < payload.length; at++) {
    value = (value * 1_103_515_245 + 12_345) & 0x7fffffff
    payload[at] = value >>> 16
  }
  return payload
}

function largeMessage(seed: number, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { ...MESSAGE, payload: payloadOf(seed), ...more }
}

async function contentOf({ large, payload }: Delivered): Promise<Uint8Array> {
  return large === undefined ? payload : large.fetch()
}

function isSame(found: Uint8Array, wanted: Uint8Array): boolean {
  return found.length === wanted.length && found.every((byte, at) => byte === wanted[at])
}

export const LARGE_CASES: readonly TimedConformanceCase[] = [
  {
    name: 'a payload beyond a megabyte is delivered as it was sent, among others of its key',
    async run(context) {
      const scene = new QueueScene(context)
      await scene.send('before', { key: 'k' })
      await scene.facet.send(scene.queue, largeMessage(1, { key: 'k', headers: { of: 'mine' } }), {})
      await scene.send('after', { key: 'k' })
      const consumer = scene.consume()
      const contents: Uint8Array[] = []
      for (let number = 0; number < 3; number++) {
        const message = only(await scene.take(consumer, 1))
        contents.push(await contentOf(message))
        if (number === 1) checkEqual(message.headers.of, 'mine', 'header')
        await message.acknowledge({})
      }
      checkEqual(
        contents.map(({ length }) => length),
        [6, LARGE_BYTES, 5],
        'lengths',
      )
      check(isSame(contents[1] ?? new Uint8Array(0), payloadOf(1)), 'the payload is what was sent')
      await consumer.return?.()
    },
  },
  {
    name: 'a large payload stays with its message through retries, its death and its return',
    async run(context) {
      const scene = new QueueScene(context, { maxAttempts: 2 })
      const { id } = await scene.facet.send(scene.queue, largeMessage(2), {})
      const consumer = scene.consume()
      for (let attempt = 1; attempt <= 2; attempt++) {
        const message = only(await scene.take(consumer, 1))
        check(isSame(await contentOf(message), payloadOf(2)), `attempt ${attempt} has the payload`)
        await message.retry(0, new Uint8Array(0), {})
      }
      const dead = await gather(scene.facet.peek(context.name, 'dead', { limit: 10 }))
      checkEqual(
        dead.map((message) => message.id),
        [id],
        'dead letters',
      )
      checkEqual(await scene.facet.redrive(context.name, { ids: [id] }, {}), 1, 'redriven')
      const message = only(await scene.take(consumer, 1))
      check(isSame(await contentOf(message), payloadOf(2)), 'what came back has the payload')
      await message.acknowledge({})
      await consumer.return?.()
    },
  },
  {
    name: 'a large payload is deduplicated like others',
    async run(context) {
      const scene = new QueueScene(context)
      const deduplication = { id: 'd', mode: 'drop' as const, window: 60_000 }
      const first = await scene.facet.send(scene.queue, largeMessage(3, { deduplication }), {})
      const second = await scene.facet.send(scene.queue, largeMessage(4, { deduplication }), {})
      checkEqual([second.id, second.isDuplicate], [first.id, true], 'second')
      const replacing = { ...deduplication, mode: 'replace' as const }
      await scene.facet.send(scene.queue, largeMessage(5, { deduplication: replacing }), {})
      const consumer = scene.consume()
      const message = only(await scene.take(consumer, 1))
      check(isSame(await contentOf(message), payloadOf(5)), 'the newest content is delivered')
      await message.acknowledge({})
      await consumer.return?.()
    },
  },
]
