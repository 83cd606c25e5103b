/**
 * The lock workload has programs hold locks and an office, and write to maps and queues under their tokens, also when
 * they have long lost them.
 */

import type { Millis } from '../../base/time.ts'
import type { Lock } from '../../data/lock.ts'
import { checkLocks } from '../check/lock.ts'
import type { ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { CALL_MS, type HoldParts, LOOK_MS, LockHold, type LockLog, registers, type Share } from './hold.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const CANDIDATES = 4
/** The last one is an office, the others are locks. */
const NAMES = ['left', 'right', 'office'] as const
/** Between two turns, on average. */
const PAUSE_MS: Millis = 150

export function lockWorkload({ scenario, random, coverage }: WorkloadPorts): Workload {
  const hasOneShard = scenario.shards === 1
  const log: LockLog = { events: [], coverage, working: new Set(), isAudited: false, hasOneShard }
  const ttl = 1000 + random.below(3000)
  const lockDelay = random.next() < 0.3 ? random.below(1000) : 0
  const terms = { ttl, lockDelay }
  return {
    programs: [auditorOf(log, terms), ...Array.from({ length: CANDIDATES }, (_, at) => candidate(at, log, terms))],
    isDone: () => log.isAudited,
    judge: () => checkLocks(log.events),
    history: log.events,
  }
}

interface Terms {
  readonly ttl: Millis
  readonly lockDelay: Millis
}

function candidate(number: number, log: LockLog, terms: Terms): ReturnType<typeof producer> {
  return producer(`candidate-${number}`, {
    working: log.working,
    pauseMs: PAUSE_MS,
    make(context, _, troupe) {
      const lock = NAMES[context.random.below(NAMES.length)] ?? NAMES[0]
      return new Turn(lock, { troupe, context, log }).take(terms, 1 + context.random.below(8))
    },
  })
}

/** After the faults every lock can be had again, and what it guards has kept every count. */
function auditorOf(log: LockLog, terms: Terms): ReturnType<typeof auditor> {
  return auditor(log, async (troupe, context) => {
    for (const lock of NAMES) {
      while (!(await new Turn(lock, { troupe, context, log }).take(terms, 1)));
      const found = await untilOk(context, () => troupe.map(registers).get(lock, { timeout: CALL_MS }))
      log.events.push({ type: 'final', place: `register ${lock}`, count: found?.value.count ?? 0 })
    }
  })
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
  readonly #share: Share
  readonly #parts: HoldParts

  constructor(name: string, parts: HoldParts) {
    this.#share = { name, permits: 1, of: 1, isBeside: false }
    this.#parts = parts
  }

  /** Waits for the lock and counts its register up; resolves to whether it got so far. */
  async take(terms: Terms, steps: number): Promise<boolean> {
    const { now, random } = this.#parts.context
    const askedAt = now()
    const asked = await attempt(this.#acquire(terms), 'LOCKED', 'LEASE_LOST')
    if (asked.outcome !== 'ok') return false
    const hold = new LockHold(asked.value, this.#share, askedAt, this.#parts)
    const counted = await this.#count(hold, steps)
    await hold.stay(LOOK_MS)
    // Some forget to release: their time runs out while they go on.
    if (!counted || random.next() < 0.9) await hold.release()
    else await this.#overstay(hold, terms)
    return counted
  }

  #acquire({ ttl, lockDelay }: Terms): Promise<Lock> {
    const { troupe, context } = this.#parts
    const { random, name: candidate } = context
    const { name } = this.#share
    const timeout = 1000 + random.below(10_000)
    if (name === 'office') return troupe.campaign(name, { ttl, timeout, candidate })
    return troupe.lock(name, { ttl, lockDelay, timeout, wait: random.next() < 0.9 })
  }

  /** Claims the register under the lock's token, so that it takes no older one; from then on its count is known. */
  async #count(hold: LockHold, steps: number): Promise<boolean> {
    const { troupe, context } = this.#parts
    const { random } = context
    const found = await attempt(troupe.map(registers).get(this.#share.name, { timeout: CALL_MS }))
    if (found.outcome !== 'ok') return false
    let count = found.value?.value.count ?? 0
    if (!(await hold.write({ count }, { ifRevision: found.value?.revision ?? 0n }))) return false
    for (let step = 0; step < steps; step++) {
      await hold.stay(random.below(200))
      count++
      if (!(await hold.write({ count }, { count }))) return false
      if (random.next() < 0.3) await hold.send()
      if (random.next() < 0.1) await hold.verify()
    }
    return true
  }

  /** Stays until its time is over, and then writes: a holder that slept and does not know what it missed. */
  async #overstay(hold: LockHold, { ttl }: Terms): Promise<void> {
    const { random, sleep } = this.#parts.context
    await hold.stay(random.below(3 * ttl))
    await hold.release()
    await sleep(random.below(ttl))
    // Its count may be outdated, but not what the fence does about it.
    await hold.send()
    await hold.verify()
  }
}
