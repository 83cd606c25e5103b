import { describe, expect, test } from 'vitest'
import { defineQueue, isTroupeError, type ReceivedMessage, type Troupe } from '../../src/index.ts'
import { type ApplicationContext, type FaultKind, simulateApplication } from '../../src/simulation.ts'

const KEYS = 3
const jobs = defineQueue<Job>('jobs', { lease: 3000, maxAttempts: 1000 })

interface Job {
  readonly sender: string
  readonly number: number
}

/** What the applications of one run have been told, whichever of them died since. */
class Record {
  readonly accepted = new Set<string>()
  readonly delivered = new Set<string>()
  readonly acknowledged = new Set<string>()
  /** Of each key of each sender: the newest that is acknowledged. */
  readonly #newest = new Map<string, number>()

  get isDone(): boolean {
    return [...this.accepted].every((name) => this.delivered.has(name))
  }

  accept(job: Job): void {
    this.accepted.add(nameOf(job))
  }

  /** Acknowledges by `call`, which may fail. */
  async acknowledge(job: Job, key: string, call: () => Promise<void>): Promise<void> {
    const name = nameOf(job)
    const line = `${job.sender} ${key}`
    const newest = this.#newest.get(line) ?? -1
    await call()
    if (this.acknowledged.has(name)) throw new Error(`${name} was acknowledged twice`)
    if (newest > job.number) throw new Error(`${name} of ${key} was begun with after ${newest} was done`)
    this.acknowledged.add(name)
    this.#newest.set(line, Math.max(this.#newest.get(line) ?? -1, job.number))
  }
}

const nameOf = ({ sender, number }: Job): string => `${sender}.${number}`

/** Fails on what is not the faults' doing. */
async function underFaults(call: Promise<unknown>, ...more: string[]): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    const isExpected = isTroupeError(error) && [...EXPECTED, ...more].includes(error.code)
    if (!isExpected) throw error
    return false
  }
}
const EXPECTED = ['NO_QUORUM', 'OUTCOME_UNKNOWN', 'TIMEOUT', 'UNREACHABLE', 'OVERLOADED']

async function send(troupe: Troupe, { node, start, signal, sleep }: ApplicationContext, record: Record): Promise<void> {
  const sender = `${node}-${start}`
  for (let number = 0; !signal.aborted; number++) {
    const job = { sender, number }
    const sent = troupe.queue(jobs).send(job, { key: `k${number % KEYS}`, timeout: 5000 })
    if (await underFaults(sent)) record.accept(job)
    await sleep(100)
  }
}

async function receive(
  troupe: Troupe,
  { sleep }: ApplicationContext,
  record: Record,
  ended: AbortSignal,
): Promise<void> {
  const handle = async (message: ReceivedMessage<Job>): Promise<void> => {
    record.delivered.add(nameOf(message.value))
    await sleep(20)
    const acknowledge = () => message.acknowledge({ timeout: 10_000 })
    await underFaults(record.acknowledge(message.value, message.key, acknowledge), 'FENCED', 'LEASE_LOST')
  }
  try {
    for await (const message of troupe.queue(jobs).receive({ prefetch: 4, signal: ended })) await handle(message)
  } catch (error) {
    if (!ended.aborted) throw error
  }
}

async function run(
  seed: number,
  faults: readonly FaultKind[],
): Promise<{ failure: string | undefined; record: Record }> {
  const record = new Record()
  const { failure } = await simulateApplication(
    async (troupe, context) => {
      const end = new AbortController()
      const receiving = receive(troupe, context, record, end.signal)
      await send(troupe, context, record)
      while (!record.isDone) await context.sleep(100)
      end.abort()
      await receiving
    },
    { seed, nodes: 3, shards: 2, virtualSeconds: 20, faults },
  )
  return { failure, record }
}

describe('a queue under faults', () => {
  const cases: readonly (readonly [number, readonly FaultKind[]])[] = [
    [13, ['crash', 'slow-disk']],
    [14, ['power', 'pause']],
    [28, ['pause', 'partition']],
    [30, ['pause', 'clock']],
    [35, ['crash', 'power', 'pause', 'partition']],
    [6, ['crash', 'power', 'pause', 'partition', 'clock', 'slow-disk', 'network']],
  ]
  test.each(cases)(
    'loses nothing that it accepted, settles each message once, and keeps the order of keys: seed %i, %j',
    async (seed, faults) => {
      const { failure, record } = await run(seed, faults)
      expect(failure).toBeUndefined()
      expect(record.isDone).toBe(true)
      // How much depends on what the faults allowed, but what was delivered last was also acknowledged.
      expect(record.acknowledged.size).toBeGreaterThan(0)
    },
    60_000,
  )
})
