/** The share workload has programs hold permits of a semaphore, read and write locks, and an office that they resign and hand over. */

import type { Millis } from '../base/time.ts'
import type { Office } from '../data/election.ts'
import type { Lock } from '../data/lock.ts'
import type { Troupe } from '../runtime/troupe.ts'
import { attempt } from './attempt.ts'
import type { Coverage } from './coverage.ts'
import { hold } from './hold.ts'
import { checkLocks, type GrantRecord, type LockEvent } from './lock-check.ts'
import type { Program, ProgramContext } from './program.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const HOLDERS = 6
const CALL_MS: Millis = 5000
/** Readers take one share of it each, a writer all. */
const SHARES = HOLDERS + 2
const ALONE: Share = { permits: 1, of: 1 }
/** Longer than all others together hold it. */
const OFFICE_MS: Millis = 60_000
/** Who waits for so long has its place in line, where there are no faults. */
const PATIENT_MS: Millis = 500

export function shareWorkload({ scenario, random, coverage }: WorkloadPorts): Workload {
  const lockDelay = random.next() < 0.3 ? random.below(1000) : 0
  const terms = { ttl: 1000 + random.below(3000), lockDelay, permits: 1 + random.below(4) }
  // A lease that does not outlast a few round trips is lost without any fault, and its place in line with it.
  const isQuiet = scenario.faults.length === 0 && terms.ttl > 20 * scenario.network.delayMs[1]
  const log: ShareLog = { events: [], coverage, working: new Set(), waiting: new Map(), isAudited: false }
  const parts = { log, terms, isQuiet }
  return {
    programs: [auditorOf(parts), ...Array.from({ length: HOLDERS }, (_, at) => holderOf(`holder-${at}`, parts))],
    isDone: () => log.isAudited,
    judge: () => checkLocks(log.events),
    history: log.events,
  }
}

interface ShareLog {
  readonly events: LockEvent[]
  readonly coverage: Coverage
  /** Holders that have not returned. */
  readonly working: Set<string>
  /** Candidates for the office, and since when. */
  readonly waiting: Map<string, Millis>
  isAudited: boolean
}

interface Terms {
  readonly ttl: Millis
  readonly lockDelay: Millis
  readonly permits: number
}

interface Parts {
  readonly log: ShareLog
  readonly terms: Terms
  readonly isQuiet: boolean
}

function holderOf(name: string, parts: Parts): Program {
  const { log } = parts
  return {
    name,
    async run(troupe, context) {
      const { random, closing, sleep } = context
      const holder = new Holder(troupe, context, parts)
      log.working.add(name)
      while (!closing.aborted) {
        const kind = random.below(5)
        if (kind < 2) await holder.permit()
        else if (kind < 4) await holder.book(random.next() < 0.6)
        else await holder.office()
        await sleep(random.below(200))
      }
      log.working.delete(name)
    },
  }
}

/** After the faults every permit can be had at once, and the book and the office alone: nothing was left taken. */
function auditorOf(parts: Parts): Program {
  const { log, terms } = parts
  return {
    name: 'auditor',
    isSpared: true,
    async run(troupe, context) {
      const { closing, sleep } = context
      while (!closing.aborted || log.working.size > 0) await sleep(100)
      const holder = new Holder(troupe, context, parts)
      for (let all = false; !all; ) {
        const permits = await Promise.all(Array.from({ length: terms.permits }, () => holder.take('gate')))
        all = permits.every((lock) => lock !== undefined)
        await Promise.all(
          permits.map(async (lock) => lock === undefined || (await attempt(lock.release({ timeout: CALL_MS })))),
        )
      }
      while (!(await holder.book(false)));
      while (!(await holder.office()));
      log.isAudited = true
    },
  }
}

type Share = Pick<GrantRecord, 'permits' | 'of'>

/** What one program does with what it holds. */
class Holder {
  readonly #troupe: Troupe
  readonly #context: ProgramContext
  readonly #parts: Parts
  readonly #gate: Share

  constructor(troupe: Troupe, context: ProgramContext, parts: Parts) {
    this.#troupe = troupe
    this.#context = context
    this.#parts = parts
    this.#gate = { permits: 1, of: parts.terms.permits }
  }

  async permit(): Promise<boolean> {
    const asked = this.#context.now()
    const lock = await this.take('gate')
    if (lock !== undefined) await this.#keep(lock, this.#granted(lock, this.#gate, asked))
    return lock !== undefined
  }

  async book(isShared: boolean): Promise<boolean> {
    const asked = this.#context.now()
    const lock = await this.take('book', isShared)
    const share = { permits: isShared ? 1 : SHARES, of: SHARES }
    if (lock !== undefined) await this.#keep(lock, this.#granted(lock, share, asked))
    return lock !== undefined
  }

  async office(): Promise<boolean> {
    const { name, now, random } = this.#context
    const { log, terms } = this.#parts
    const asked = now()
    log.waiting.set(name, asked)
    const campaign = this.#troupe.campaign('office', { ttl: terms.ttl, candidate: name, timeout: OFFICE_MS })
    const got = await attempt(campaign, 'LEASE_LOST')
    log.waiting.delete(name)
    if (got.outcome !== 'ok') return false
    const grant = this.#granted(got.value, ALONE, asked)
    if (random.next() < 0.5) await this.#keep(got.value, grant)
    else await this.#handOver(got.value, grant)
    return true
  }

  async take(name: 'gate' | 'book', shared = false): Promise<Lock | undefined> {
    const { random } = this.#context
    const { ttl, lockDelay, permits } = this.#parts.terms
    const options = { ttl, lockDelay, timeout: 1000 + random.below(10_000), wait: random.next() < 0.9 }
    const asked =
      name === 'gate' ? this.#troupe.semaphore(name, permits, options) : this.#troupe.lock(name, { ...options, shared })
    const got = await attempt(asked, 'LOCKED', 'LEASE_LOST')
    return got.outcome === 'ok' ? got.value : undefined
  }

  async #handOver(office: Office, grant: GrantRecord): Promise<void> {
    const { random, now } = this.#context
    const { log, isQuiet } = this.#parts
    await hold(office, grant, random.below(400), this.#context)
    const others = [...log.waiting]
    const [candidate, since] = others[random.below(others.length)] ?? ['nobody', now()]
    if (isQuiet && now() - since > PATIENT_MS) {
      log.events.push({ type: 'handover', lock: grant.lock, token: grant.token, candidate })
    }
    await attempt(office.handover(candidate, { timeout: CALL_MS }))
  }

  /** Some stay until their time is over. */
  async #keep(lock: Lock, grant: GrantRecord): Promise<void> {
    const { random } = this.#context
    const { log, terms } = this.#parts
    await hold(lock, grant, random.next() < 0.9 ? random.below(500) : random.below(2 * terms.ttl), this.#context)
    if (lock.signal.aborted) log.coverage.reached('lock-lost')
    await attempt(lock.release({ timeout: CALL_MS }))
  }

  #granted({ token }: Lock, share: Share, askedAt: Millis): GrantRecord {
    const { name, now } = this.#context
    const lock = share === ALONE ? 'office' : share === this.#gate ? 'gate' : 'book'
    const at = now()
    const grant = { type: 'grant' as const, lock, holder: name, token, ...share, askedAt, grantedAt: at, heldAt: at }
    this.#parts.log.events.push(grant)
    return grant
  }
}
