/** A queue client is an application process of the kill campaign: it sends or receives, and keeps a ledger of what it is told. */

import { setTimeout as sleep } from 'node:timers/promises'
import { LedgerFile, now } from './ledger-file.mjs'

/**
 * @typedef {object} Task
 * @property {'produce' | 'consume'} role
 * @property {readonly string[]} addresses
 * @property {string} ledger the file to append to
 * @property {number} firstKey
 * @property {number} keys
 * @property {number} messages how many of each key
 * @property {number} seconds over which they are spread
 */

/** @type {typeof import('../../src/index.ts')} */
const { defineQueue, isTroupeError, open } = await import(new URL('../../dist/index.js', import.meta.url).href)

const CALL_MS = 3_000
const WINDOW_MS = 120_000
const PREFETCH = 512
const PAUSE_MS = 20
const RETRY_MS = 50
/** Every so many messages the first delivery fails. */
const FAILING = 499
/** Every so many take a while, so that there is always something under way when a process is killed. */
const SLOW = 16
const SLOW_MS = 100

/** @type {import('../../src/index.ts').QueueDefinition<{ key: number, serial: number, filling: string }>} */
const work = defineQueue('work', { lease: 5_000, maxAttempts: 1_000 })
const filling = 'x'.repeat(200)

/** @type {Task} */
const task = JSON.parse(String(process.argv[2]))
const ledger = new LedgerFile(task.ledger)
const troupe = await open({ connect: task.addresses })
const queue = troupe.queue(work)
const ending = new AbortController()
let deliveries = 0
process.on('SIGTERM', () => ending.abort())

if (task.role === 'produce') await produce()
else await consume()
ledger.flush()
await troupe.close()
console.log('done')

/** One message of a key is under way at a time, so that the order in which they are accepted is known. */
async function produce() {
  const began = now()
  const keys = Array.from({ length: task.keys }, (_, at) => task.firstKey + at)
  await Promise.all(
    keys.map(async (key, at) => {
      for (let serial = 0; serial < task.messages; serial++) {
        const due = began + ((serial + at / task.keys) * task.seconds * 1_000) / task.messages
        if (due > now()) await sleep(due - now())
        await send(key, serial)
      }
    }),
  )
}

/**
 * Sends until the message is accepted. Even keys say by an id that it is the same message; what is sent of an odd key without
 * an answer may be there twice, and so may what is sent again when the id's window may be over.
 * @param {number} key
 * @param {number} serial
 */
async function send(key, serial) {
  const options = { key: `key-${key}`, timeout: CALL_MS }
  const isRecognized = key % 2 === 0
  const deduplicate = { id: `${key}.${serial}`, window: WINDOW_MS }
  const began = now()
  for (;;) {
    try {
      const { id } = await queue.send({ key, serial, filling }, isRecognized ? { ...options, deduplicate } : options)
      ledger.note('sent', { key, serial, id: numberOf(id), delivery: 0, attempt: 0 })
      void ledger.written()
      return
    } catch (error) {
      if (!isTroupeError(error) || !(error.retryable || error.outcome === 'unknown')) throw error
      const isRisky = isRecognized ? now() - began > WINDOW_MS - 2 * CALL_MS : error.outcome === 'unknown'
      if (isRisky) ledger.note('unsure', { key, serial, id: 0, delivery: 0, attempt: 0 })
      await sleep(PAUSE_MS)
    }
  }
}

async function consume() {
  try {
    for await (const message of queue.receive({ prefetch: PREFETCH, signal: ending.signal })) void handle(message)
  } catch (error) {
    if (!ending.signal.aborted) throw error
  }
}

/**
 * What it is about to do is written down before anybody else can know of it.
 * @param {import('../../src/index.ts').ReceivedMessage<{ key: number, serial: number }>} message
 */
async function handle(message) {
  const { key, serial } = message.value
  const { attempt } = message
  const subject = { key, serial, id: numberOf(message.id), delivery: ++deliveries, attempt }
  ledger.note('delivered', subject)
  if ((serial + key) % SLOW === 0) await sleep(SLOW_MS)
  const fails = (serial * 31 + key) % FAILING === 0 && attempt === 1
  ledger.note(fails ? 'retrying' : 'acknowledging', subject)
  await ledger.written()
  if (message.lost.aborted) {
    ledger.note('lost', subject)
    return
  }
  try {
    if (fails) await message.retry(new Error('not now'), { delay: RETRY_MS, timeout: CALL_MS })
    else await message.acknowledge({ timeout: CALL_MS })
    ledger.note(fails ? 'retried' : 'acknowledged', subject)
  } catch (error) {
    if (isTroupeError(error, 'FENCED')) ledger.note('refused', subject)
    else if (isTroupeError(error, 'OUTCOME_UNKNOWN')) ledger.note('unanswered', subject)
    else if (isTroupeError(error) && error.retryable) ledger.note('failed', subject)
    else throw error
  }
  void ledger.written()
}

/** @param {string} id `shard.number` */
function numberOf(id) {
  return Number(id.slice(id.indexOf('.') + 1))
}
