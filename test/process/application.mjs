/** An application is a client process that a test can kill: it does one thing, and says a line of JSON whenever something happened. */

import { setTimeout as sleep } from 'node:timers/promises'

/** @type {typeof import('../../src/index.ts')} */
const { defineMap, defineQueue, isTroupeError, open } = await import(
  new URL('../../dist/index.js', import.meta.url).href
)

/**
 * @typedef {object} Task
 * @property {keyof typeof ROLES} role
 * @property {readonly string[]} addresses
 * @property {{ readonly name: string, readonly options?: import('../../src/index.ts').QueueOptions }} [queue]
 * @property {{ readonly name: string, readonly options?: import('../../src/index.ts').QueueOptions }} [next]
 * @property {{ readonly name: string, readonly options?: import('../../src/index.ts').MapOptions }} [map]
 * @property {number} [count]
 * @property {number} [ttl]
 */

const ROLES = { hold, attach, receive, transfer, send }
const PAUSE_MS = 20
const AT_ONCE = 256

/** @type {Task} */
const task = JSON.parse(String(process.argv[2]))
const { ttl = 1_000, count = 1 } = task
const queue = defineQueue(task.queue?.name ?? 'queue', task.queue?.options)
const next = defineQueue(task.next?.name ?? 'next', task.next?.options)
const map = defineMap(task.map?.name ?? 'map', task.map?.options)
const troupe = await open({ connect: task.addresses })
await ROLES[task.role]()

/** @param {{ readonly type: string } & Record<string, unknown>} event */
function say(event) {
  console.log(JSON.stringify(event))
}

/** Holds a lock and writes under it, again and again, however that ends. */
async function hold() {
  const lock = await troupe.lock('office', { ttl })
  lock.signal.addEventListener('abort', () => say({ type: 'lost', code: lock.signal.reason.code }))
  say({ type: 'held', token: Number(lock.token) })
  for (let number = 0; ; number++) {
    await tell('map', () => troupe.map(map).set('key', `${lock.token}`, { fence: lock }))
    await tell('queue', () => troupe.queue(queue).send(number, { key: 'key', fence: lock }))
    await sleep(PAUSE_MS)
  }
}

/**
 * @param {string} what
 * @param {() => Promise<unknown>} write
 */
async function tell(what, write) {
  try {
    await write()
    say({ type: 'written', what })
  } catch (error) {
    say({ type: 'refused', what, code: isTroupeError(error) ? error.code : String(error) })
  }
}

/** Keeps keys for as long as it lives. */
async function attach() {
  const lease = await troupe.lease({ ttl })
  await Promise.all(Array.from({ length: count }, (_, at) => lease.set(map, `key-${at}`, at)))
  say({ type: 'attached' })
}

/** Takes messages and settles none. */
async function receive() {
  for await (const { value, attempt } of troupe.queue(queue).receive({ prefetch: count })) {
    say({ type: 'received', value, attempt })
  }
}

/** For each message one entry in the map, under its key, and one message in the next queue. */
async function transfer() {
  const worker = troupe.queue(queue).work(
    async (message, context) => {
      context.set(map, message.key, message.value)
      await sleep(Math.random() * PAUSE_MS)
      context.emit(next, message.value, { key: `next-${message.key}` })
    },
    { concurrency: AT_ONCE },
  )
  say({ type: 'working' })
  await worker.ended
}

/** Sends as many messages with ids of their own, until each is accepted. */
async function send() {
  let number = 0
  const senders = Array.from({ length: AT_ONCE }, async () => {
    for (let id = number++; id < count; id = number++) {
      await troupe.queue(queue).send(id, { key: `key-${id}`, deduplicate: `${id}` })
      say({ type: 'sent', id })
    }
  })
  await Promise.all(senders)
  say({ type: 'done' })
  await troupe.close()
}
