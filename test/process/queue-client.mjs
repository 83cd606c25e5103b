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
const { defineQueue, isTroupeError, open } = await built('index')
/** @type {typeof import('../../src/base/codec.ts')} */
const { ValueCodec } = await built('base/codec')

const CALL_MS = 3_000
const WINDOW_MS = 120_000
const PREFETCH = 512
const PAUSE_MS = 20
const RETRY_MS = 50
const TICK_MS = 200
/** Every so many messages the first delivery fails. */
const FAILING = 499
/** Every so many take a while, so that there is always something under way when a process is killed. */
const SLOW = 16
const SLOW_MS = 100

/** @type {import('../../src/index.ts').QueueDefinition<{ key: number, serial: number, filling: string }>} */
const work = defineQueue('work', { lease: 5_000, maxAttempts: 1_000 })
const filling = 'x'.repeat(200)
const NOTHING = new Uint8Array(0)

/** @type {Task} */
const task = JSON.parse(String(process.argv[2]))
const ledger = new LedgerFile(task.ledger)
const { driver, clock } = await connect(task.addresses)
const codec = new ValueCodec()
const troupe = await open({ driver })
const queue = troupe.queue(work)
const ending = new AbortController()
/** How late this process is: what comes now may have been sent so long ago. */
let lateMs = 0
let tickAt = now() + TICK_MS
// It keeps the process alive, too, which timers of Troupe do not.
const ticking = setInterval(() => {
  lateMs = Math.max(0, now() - tickAt)
  tickAt = now() + TICK_MS
}, TICK_MS)
let deliveries = 0
process.on('SIGTERM', () => ending.abort())

if (task.role === 'produce') await produce()
else await consume()
ledger.flush()
await troupe.close()
clearInterval(ticking)
console.log('done')

/** @param {string} module of the built package */
function built(module) {
  return import(new URL(`../../dist/${module}.js`, import.meta.url).href)
}

/**
 * What `open({ connect })` makes, with the driver in hand: the front does not show the tokens of leases.
 * @param {readonly string[]} seeds
 */
async function connect(seeds) {
  /** @type {typeof import('../../src/driver/native/native.ts')} */
  const { nativeDriver } = await built('driver/native/native')
  /** @type {typeof import('../../src/platform/clock.ts')} */
  const { RealClock, RealScheduler } = await built('platform/clock')
  /** @type {typeof import('../../src/base/random.ts')} */
  const { SeededRandom } = await built('base/random')
  /** @type {typeof import('../../src/platform/random.ts')} */
  const { randomSeed } = await built('platform/random')
  /** @type {typeof import('../../src/platform/tcp-channel.ts')} */
  const { connectChannel } = await built('platform/tcp-channel')
  const clock = new RealClock()
  const ports = { clock, scheduler: new RealScheduler(clock), random: new SeededRandom(randomSeed()) }
  /** @param {string} address */
  const dial = async (address) => (await connectChannel(address, { secret: undefined, cluster: '' })).channel
  return { driver: nativeDriver({ ...ports, connect: dial, seeds, direct: true }), clock }
}

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
 * Sends until the message is accepted. Even keys say by an id that it is the same message; what is sent of an odd key
 * without an answer may be there twice, and so may what is sent again when the id's window may be over.
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
      ledger.note('sent', { key, serial, id: numberOf(id), delivery: 0, attempt: 0, token: 0, until: 0 })
      void ledger.written()
      return
    } catch (error) {
      if (!isTroupeError(error) || !(error.retryable || error.outcome === 'unknown')) throw error
      const isRisky = isRecognized ? now() - began > WINDOW_MS - 2 * CALL_MS : error.outcome === 'unknown'
      if (isRisky) ledger.note('unsure', { key, serial, id: 0, delivery: 0, attempt: 0, token: 0, until: 0 })
      await sleep(PAUSE_MS)
    }
  }
}

async function consume() {
  const options = { consumer: 'consumer', credit: PREFETCH, signal: ending.signal }
  const messages = /** @type {import('../../src/index.ts').QueueFacet} */ (driver.queue).consume(work, options)
  try {
    for await (const message of messages) {
      void handle(/** @type {import('../../src/driver/native/queue/delivered.ts').DeliveredMessage} */ (message))
    }
  } catch (error) {
    if (!ending.signal.aborted) throw error
  }
}

/**
 * What it is about to do is written down before anybody else can know of it.
 * @param {import('../../src/driver/native/queue/delivered.ts').DeliveredMessage} message
 */
async function handle(message) {
  const { key, serial } = /** @type {{ key: number, serial: number }} */ (codec.decode(message.payload))
  const { attempt, token } = message
  const until = now() + (message.deadline?.priority ?? clock.now()) - clock.now() - lateMs
  const subject = { key, serial, id: numberOf(message.id), delivery: ++deliveries, attempt, token, until }
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
    if (fails) await message.retry(RETRY_MS, NOTHING, { timeout: CALL_MS })
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
