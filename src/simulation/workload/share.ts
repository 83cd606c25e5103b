/**
 * The share workload has programs hold permits of a semaphore, read and write locks, and an office that they resign and
 * hand over, and write under what they share.
 */

import type { Millis } from '../../base/time.ts'
import type { Office } from '../../data/election.ts'
import type { Lock } from '../../data/lock.ts'
import { checkLocks } from '../check/lock.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { CALL_MS, type HoldParts, LockHold, type LockLog, registers, type Share } from './hold.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const HOLDERS = 6
/** Readers take one share of it each, a writer all. */
const SHARES = HOLDERS + 2
/** Longer than all others together hold it. */
const OFFICE_MS: Millis = 60_000
/** Whoever waits for so long has a place in line, where there are no faults. */
const PATIENT_MS: Millis = 500
/** Between two turns, on average. */
const PAUSE_MS: Millis = 100

export function shareWorkload({ scenario, random, coverage }: WorkloadPorts): Workload {
  const lockDelay = random.next() < 0.3 ? random.below(1000) : 0
  const ttl = 1000 + random.below(3000)
  const terms = { ttl, lockDelay, permits: 1 + random.below(4), isBeside: random.next() < 0.5 }
  // A lease that does not outlast a few round trips is lost without any fault, and its place in line with it.
  const isQuiet = scenario.faults.length === 0 && terms.ttl > 20 * scenario.network.delayMs[1]
  const hasOneShard = scenario.shards === 1
  const log: ShareLog = { events: [], coverage, working: new Set(), isAudited: false, hasOneShard, waiting: new Map() }
  const rules = { terms, isQuiet }
  return {
    programs: [auditorOf(log, rules), ...Array.from({ length: HOLDERS }, (_, at) => holderOf(at, log, rules))],
    isDone: () => log.isAudited,
    judge: () => checkLocks(log.events),
    history: log.events,
  }
}

interface ShareLog extends LockLog {
  /** Candidates for the office, and since when. */
  readonly waiting: Map<string, Millis>
}

interface Terms {
  readonly ttl: Millis
  readonly lockDelay: Millis
  readonly permits: number
  /** Gate and book live beside what is written under them. */
  readonly isBeside: boolean
}

interface Rules {
  readonly terms: Terms
  readonly isQuiet: boolean
}

interface Parts extends HoldParts {
  readonly log: ShareLog
}

function holderOf(number: number, log: ShareLog, rules: Rules): ReturnType<typeof producer> {
  return producer(`holder-${number}`, {
    working: log.working,
    pauseMs: PAUSE_MS,
    make(context, _, troupe) {
      const holder = new Holder({ troupe, context, log }, rules)
      const kind = context.random.below(5)
      if (kind < 2) return holder.permit()
      return kind < 4 ? holder.book(context.random.next() < 0.6) : holder.office()
    },
  })
}

/** After the faults every permit can be had at once, and the book and the office alone: nothing was left taken. */
function auditorOf(log: ShareLog, rules: Rules): ReturnType<typeof auditor> {
  return auditor(log, async (troupe, context) => {
    const holder = new Holder({ troupe, context, log }, rules)
    for (let all = false; !all; ) {
      const permits = await Promise.all(Array.from({ length: rules.terms.permits }, () => holder.take('gate')))
      all = permits.every((lock) => lock !== undefined)
      await Promise.all(
        permits.map(async (lock) => lock === undefined || (await attempt(lock.release({ timeout: CALL_MS })))),
      )
    }
    while (!(await holder.book(false)));
    while (!(await holder.office()));
  })
}

/** What one program does with what it holds. */
class Holder {
  readonly #parts: Parts
  readonly #rules: Rules

  constructor(parts: Parts, rules: Rules) {
    this.#parts = parts
    this.#rules = rules
  }

  async permit(): Promise<boolean> {
    const { permits: of, isBeside } = this.#rules.terms
    const asked = this.#parts.context.now()
    const lock = await this.take('gate')
    if (lock !== undefined) await this.#keep(this.#hold(lock, { name: 'gate', permits: 1, of, isBeside }, asked))
    return lock !== undefined
  }

  async book(isShared: boolean): Promise<boolean> {
    const { isBeside } = this.#rules.terms
    const asked = this.#parts.context.now()
    const lock = await this.take('book', isShared)
    const share = { name: 'book', permits: isShared ? 1 : SHARES, of: SHARES, isBeside }
    if (lock !== undefined) await this.#keep(this.#hold(lock, share, asked))
    return lock !== undefined
  }

  async office(): Promise<boolean> {
    const { troupe, context, log } = this.#parts
    const { name, now, random } = context
    const { ttl } = this.#rules.terms
    const asked = now()
    log.waiting.set(name, asked)
    const campaign = troupe.campaign('office', { ttl, candidate: name, timeout: OFFICE_MS })
    const got = await attempt(campaign, 'LEASE_LOST')
    log.waiting.delete(name)
    if (got.outcome !== 'ok') return false
    const hold = this.#hold(got.value, { name: 'office', permits: 1, of: 1, isBeside: false }, asked)
    if (random.next() < 0.5) await this.#keep(hold)
    else await this.#handOver(hold)
    return true
  }

  async take(name: 'gate' | 'book', shared = false): Promise<Lock | undefined> {
    const { troupe, context } = this.#parts
    const { random } = context
    const { ttl, lockDelay, permits, isBeside } = this.#rules.terms
    const place = isBeside ? { with: { map: registers, key: name } } : {}
    const options = { ttl, lockDelay, timeout: 1000 + random.below(10_000), wait: random.next() < 0.9, ...place }
    const asked = name === 'gate' ? troupe.semaphore(name, permits, options) : troupe.lock(name, { ...options, shared })
    const got = await attempt(asked, 'LOCKED', 'LEASE_LOST')
    return got.outcome === 'ok' ? got.value : undefined
  }

  #hold<Held extends Lock>(lock: Held, share: Share, asked: Millis): LockHold<Held> {
    return new LockHold(lock, share, asked, this.#parts)
  }

  async #handOver(hold: LockHold<Office>): Promise<void> {
    const { context, log } = this.#parts
    const { random, now } = context
    await hold.stay(random.below(400))
    const others = [...log.waiting]
    const [candidate, since] = others[random.below(others.length)] ?? ['nobody', now()]
    const { lock, token } = hold.grant
    if (this.#rules.isQuiet && now() - since > PATIENT_MS) log.events.push({ type: 'handover', lock, token, candidate })
    hold.leave()
    await attempt(hold.lock.handover(candidate, { timeout: CALL_MS }))
  }

  /** Some stay until their time is over, and some write when they have nothing any more. */
  async #keep(hold: LockHold): Promise<void> {
    const { random, sleep } = this.#parts.context
    const { ttl } = this.#rules.terms
    for (let writes = random.below(3); writes > 0; writes--) {
      if (random.next() < 0.5) await hold.write({ count: writes })
      else await hold.send()
      await hold.stay(random.below(200))
    }
    await hold.stay(random.next() < 0.9 ? random.below(500) : random.below(2 * ttl))
    await hold.release()
    if (random.next() >= 0.2) return
    await sleep(random.below(ttl))
    if (random.next() < 0.5) await hold.write({ count: 0 })
    else await hold.send()
  }
}
