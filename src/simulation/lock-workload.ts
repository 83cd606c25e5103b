/** The lock workload has programs hold locks and an office, and write to maps and queues under their tokens, also when they have long lost them. */

import type { Millis } from '../base/time.ts'
import type { Lock } from '../data/lock.ts'
import { defineMap } from '../data/map.ts'
import { defineQueue } from '../message/queue.ts'
import type { Troupe } from '../runtime/troupe.ts'
import { attempt } from './attempt.ts'
import type { Coverage } from './coverage.ts'
import { hold, LOOK_MS } from './hold.ts'
import { checkLocks, type FencedRecord, type GrantRecord, type LockEvent } from './lock-check.ts'
import type { Program, ProgramContext } from './program.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const CANDIDATES = 4
/** The last one is an office, the others are locks. */
const NAMES = ['left', 'right', 'office'] as const
const CALL_MS: Millis = 5000

interface Count {
  readonly count: number
}

const registers = defineMap<Count>('registers')
const effects = defineQueue<string>('effects')

export function lockWorkload({ random, coverage }: WorkloadPorts): Workload {
  const log: LockLog = { events: [], coverage, working: new Set(), isAudited: false }
  const ttl = 1000 + random.below(3000)
  const lockDelay = random.next() < 0.3 ? random.below(1000) : 0
  const terms = { ttl, lockDelay }
  return {
    programs: [
      auditor(log, terms),
      ...Array.from({ length: CANDIDATES }, (_, at) => candidate(`candidate-${at}`, log, terms)),
    ],
    isDone: () => log.isAudited,
    judge: () => checkLocks(log.events),
    history: log.events,
  }
}

interface LockLog {
  readonly events: LockEvent[]
  readonly coverage: Coverage
  /** Candidates that have not returned. */
  readonly working: Set<string>
  isAudited: boolean
}

interface Terms {
  readonly ttl: Millis
  readonly lockDelay: Millis
}

function candidate(name: string, log: LockLog, terms: Terms): Program {
  return {
    name,
    async run(troupe, context) {
      const { random, closing, sleep } = context
      log.working.add(name)
      while (!closing.aborted) {
        const lock = NAMES[random.below(NAMES.length)] ?? NAMES[0]
        await new Turn(lock, troupe, context, log).take(terms, 1 + random.below(8))
        await sleep(random.below(300))
      }
      log.working.delete(name)
    },
  }
}

/** After the faults every lock can be had again, and what it guards has kept every count. */
function auditor(log: LockLog, terms: Terms): Program {
  return {
    name: 'auditor',
    isSpared: true,
    async run(troupe, context) {
      const { closing, sleep } = context
      while (!closing.aborted || log.working.size > 0) await sleep(100)
      for (const lock of NAMES) {
        while (!(await new Turn(lock, troupe, context, log).take(terms, 1)));
        const found = await untilOk(context, () => troupe.map(registers).get(lock, { timeout: CALL_MS }))
        log.events.push({ type: 'final', place: `register ${lock}`, count: found?.value.count ?? 0 })
      }
      log.isAudited = true
    },
  }
}

async function untilOk<Value>({ sleep }: ProgramContext, call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    const made = await attempt(call())
    if (made.outcome === 'ok') return made.value
    await sleep(100)
  }
}

/** One program's turn with one lock. */
class Turn {
  readonly #name: string
  readonly #troupe: Troupe
  readonly #context: ProgramContext
  readonly #log: LockLog

  constructor(name: string, troupe: Troupe, context: ProgramContext, log: LockLog) {
    this.#name = name
    this.#troupe = troupe
    this.#context = context
    this.#log = log
  }

  /** Waits for the lock and counts its register up; resolves to whether it got so far. */
  async take(terms: Terms, steps: number): Promise<boolean> {
    const { now, random } = this.#context
    const askedAt = now()
    const asked = await attempt(this.#acquire(terms), 'LOCKED', 'LEASE_LOST')
    if (asked.outcome !== 'ok') return false
    const lock = asked.value
    const grant = this.#granted(lock, askedAt)
    const counted = await this.#count(lock, grant, steps)
    await hold(lock, grant, LOOK_MS, this.#context)
    if (lock.signal.aborted) this.#log.coverage.reached('lock-lost')
    // Some forget to release: their time runs out while they go on.
    if (!counted || random.next() < 0.9) await attempt(lock.release({ timeout: CALL_MS }))
    else await this.#overstay(lock, grant, terms)
    return counted
  }

  #acquire({ ttl, lockDelay }: Terms): Promise<Lock> {
    const { random, name } = this.#context
    const timeout = 1000 + random.below(10_000)
    if (this.#name === 'office') return this.#troupe.campaign(this.#name, { ttl, timeout, candidate: name })
    return this.#troupe.lock(this.#name, { ttl, lockDelay, timeout, wait: random.next() < 0.9 })
  }

  #granted({ token }: Lock, askedAt: Millis): GrantRecord {
    const { name, now } = this.#context
    const grantedAt = now()
    const grant = {
      type: 'grant' as const,
      lock: this.#name,
      holder: name,
      token,
      permits: 1,
      of: 1,
      askedAt,
      grantedAt,
      heldAt: grantedAt,
    }
    this.#log.events.push(grant)
    return grant
  }

  /** Claims the register under the lock's token, so that it takes no older one; from then on its count is known. */
  async #count(lock: Lock, grant: GrantRecord, steps: number): Promise<boolean> {
    const { random } = this.#context
    const map = this.#troupe.map(registers)
    const found = await attempt(map.get(this.#name, { timeout: CALL_MS }))
    if (found.outcome !== 'ok') return false
    let count = found.value?.value.count ?? 0
    if (!(await this.#write(lock, undefined, { count }, found.value?.revision ?? 0n))) return false
    for (let step = 0; step < steps; step++) {
      await hold(lock, grant, random.below(200), this.#context)
      count++
      if (!(await this.#write(lock, count, { count }, undefined))) return false
      if (random.next() < 0.3) await this.#send(lock)
      if (random.next() < 0.1) await this.#verify(lock)
    }
    return true
  }

  async #write(lock: Lock, count: number | undefined, value: Count, ifRevision: bigint | undefined): Promise<boolean> {
    const record = this.#fenced('register', lock.token, count)
    const options = { fence: lock, timeout: CALL_MS, ...(ifRevision === undefined ? {} : { ifRevision }) }
    const written = await attempt(this.#troupe.map(registers).set(this.#name, value, options), 'FENCED', 'CONFLICT')
    if (written.outcome === 'ok') record.position = written.value.revision
    this.#note(record, written)
    return record.outcome === 'ok'
  }

  async #send(lock: Lock): Promise<void> {
    const record = this.#fenced('queue', lock.token, undefined)
    const options = { key: this.#name, fence: lock, timeout: CALL_MS }
    const sent = await attempt(this.#troupe.queue(effects).send(`by ${lock.token}`, options), 'FENCED')
    if (sent.outcome === 'ok') record.position = BigInt(sent.value.id.split('.')[1] ?? 0)
    this.#note(record, sent)
  }

  async #verify({ token }: Lock): Promise<void> {
    const { now } = this.#context
    const invokedAt = now()
    const said = await attempt(this.#troupe.verify({ name: this.#name, token }, { timeout: CALL_MS }))
    if (said.outcome !== 'ok') return
    this.#log.events.push({ type: 'verify', lock: this.#name, token, invokedAt, isHeld: said.value })
  }

  /** Stays until its time is over, and then writes: a holder that slept and does not know what it missed. */
  async #overstay(lock: Lock, grant: GrantRecord, { ttl }: Terms): Promise<void> {
    const { random, sleep } = this.#context
    await hold(lock, grant, random.below(3 * ttl), this.#context)
    await attempt(lock.release({ timeout: CALL_MS }))
    await sleep(random.below(ttl))
    // Its count may be outdated, but not what the fence does about it.
    await this.#send(lock)
    await this.#verify(lock)
  }

  #fenced(kind: string, token: bigint, count: number | undefined): FencedRecord {
    const { now } = this.#context
    const place = `${kind} ${this.#name}`
    const record: FencedRecord = {
      type: 'fenced',
      lock: this.#name,
      place,
      token,
      count,
      invokedAt: now(),
      outcome: 'unknown',
      position: undefined,
    }
    this.#log.events.push(record)
    return record
  }

  #note(record: FencedRecord, { outcome, ...more }: { outcome: 'ok' | 'failed' | 'unknown'; code?: string }): void {
    record.outcome = more.code === 'FENCED' ? 'fenced' : outcome
    if (record.outcome === 'fenced') this.#log.coverage.reached('write-fenced')
  }
}
