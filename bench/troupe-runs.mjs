/** What is measured of Troupe, on whatever it is opened with: the calls that an application makes. */

import { built, VALUE_BYTES } from './built.mjs'
import { Inbox, Roundtrips, repeat } from './inbox.mjs'

/** @typedef {import('../src/index.ts').Troupe} Troupe */
/** @typedef {import('./system.d.ts').Run} Run */

const ROUNDTRIP_CONCURRENCY = 256
const value = new Uint8Array(VALUE_BYTES)

/** @type {Record<import('./system.d.ts').WorkloadName, (parts: Parts, inflight: number) => Run>} */
const runs = {
  'map.set': ({ map }) => ({ operation: (worker, sequence) => map.set(keyOf(worker, sequence), value) }),
  'map.get linearizable': ({ map }) => ({ operation: (worker, sequence) => map.get(keyOf(worker, sequence)) }),
  'queue.send': ({ queue }) => {
    const sent = queue('bench-send')
    return { operation: () => sent.send(value), end: async () => void (await sent.purge('all')) }
  },
  'queue.sendAll': ({ queue }, inflight) => {
    const sent = queue('bench-send')
    const values = Array.from({ length: inflight }, () => value)
    return { operation: () => sent.sendAll(values), batch: inflight, end: async () => void (await sent.purge('all')) }
  },
  'queue.receive+ack': receive,
  'queue.roundtrip': roundtrip,
  'topic.publish': ({ topic }) => {
    const published = topic('bench-publish')
    return { operation: () => published.publish(value) }
  },
  'topic.consume': consume,
  lock: ({ troupe }) => ({
    operation: async (worker, sequence) => (await troupe.lock(keyOf(worker, sequence))).release(),
  }),
}

export const workloads = /** @type {import('./system.d.ts').WorkloadName[]} */ (Object.keys(runs))

/**
 * @typedef {object} Parts
 * @property {Troupe} troupe
 * @property {import('../src/index.ts').TroupeMap<Uint8Array>} map
 * @property {(name: string) => import('../src/index.ts').TroupeQueue<unknown>} queue
 * @property {(name: string) => import('../src/index.ts').TroupeTopic<unknown>} topic
 * @property {{ published: number, groups: number }} consumed what the topic to consume holds, and who has read it
 */

/**
 * @param {Troupe} troupe
 * @returns {Promise<import('./system.d.ts').SystemClient>}
 */
export async function runsOf(troupe) {
  /** @type {typeof import('../src/index.ts')} */
  const { defineMap, defineQueue, defineTopic } = await built('index')
  /** @type {import('../src/index.ts').MapDefinition<Uint8Array>} */
  const definition = defineMap('bench')
  const parts = {
    troupe,
    map: troupe.map(definition),
    queue: (/** @type {string} */ name) => troupe.queue(defineQueue(name)),
    topic: (/** @type {string} */ name) => troupe.topic(defineTopic(name)),
    consumed: { published: 0, groups: 0 },
  }
  return { begin: ({ workload, inflight }) => runs[workload](parts, inflight), close: () => troupe.close() }
}

/**
 * A worker whose handlers are done when whoever asked for a message has acknowledged it.
 * @param {Parts} parts
 * @param {number} inflight
 * @returns {Run}
 */
function receive({ queue: queueOf }, inflight) {
  const queue = queueOf('bench-receive')
  const inbox = new Inbox()
  const worker = queue.work((_, context) => inbox.pushAll(1, () => context.commit()), {
    concurrency: inflight,
    prefetch: 0,
  })
  const fill = (/** @type {number} */ count) => repeat(count, () => queue.send(value))
  const end = async () => {
    await worker.close()
    await queue.purge('all')
  }
  return { operation: inbox.operation, fill, end: () => inbox.end(end) }
}

/**
 * @param {Parts} parts
 * @returns {Run}
 */
function roundtrip({ queue: queueOf }) {
  const queue = queueOf('bench-roundtrip')
  const trips = new Roundtrips((payload) => queue.send(payload))
  const worker = queue.work(
    async (message, context) => {
      await context.commit()
      trips.arrived(/** @type {Uint8Array} */ (message.value))
    },
    { concurrency: ROUNDTRIP_CONCURRENCY, prefetch: 0 },
  )
  return { operation: trips.operation, end: () => worker.close() }
}

/**
 * A group of its own for each cell, which reads from the beginning.
 * @param {Parts} parts
 * @param {number} inflight
 * @returns {Run}
 */
function consume({ topic: topicOf, consumed }, inflight) {
  const topic = topicOf('bench-consume')
  const inbox = new Inbox()
  const ending = new AbortController()
  const subscription = topic.subscribe({ group: `group-${++consumed.groups}`, batch: inflight, signal: ending.signal })
  const read = async () => {
    /** @type {Promise<unknown>} */
    let committed = Promise.resolve()
    for await (const batch of subscription) {
      const settled = inbox.pushAll(batch.records.length, () => batch.commit())
      await committed
      committed = settled
    }
  }
  read().catch((error) => {
    if (!ending.signal.aborted) inbox.fail(error)
  })
  let wanted = 0
  const fill = async (/** @type {number} */ count) => {
    wanted += count
    await repeat(wanted - consumed.published, () => topic.publish(value))
    consumed.published = Math.max(consumed.published, wanted)
  }
  return { operation: inbox.operation, fill, end: () => inbox.end(async () => ending.abort()) }
}

/**
 * @param {number} worker
 * @param {number} sequence
 */
function keyOf(worker, sequence) {
  return `k${worker}:${sequence % 1000}`
}
