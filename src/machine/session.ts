/** A session remembers what a client's recent commands came to, so that each happens once however often it is sent. */

import { assert, required } from '../base/assert.ts'
import type { LeaderMicros } from './batch.ts'
import { type CommandHead, isCommitted, type Outcome, type Resolution, STATUS } from './command.ts'

/** A session that sends nothing for this long expires. */
const SESSION_IDLE_MICROS: LeaderMicros = 3_600_000_000
/** Commands of one session that may wait for their answers at once, counted from the oldest. */
export const SESSION_WINDOW = 4096

export interface SessionLimits {
  /** Sessions whose replies are kept; beyond, the one idle for longest expires early. */
  readonly sessions: number
  /** Expired sessions whose names are kept, so that they never come into being again. */
  readonly expired: number
}

export const SESSION_LIMITS: SessionLimits = { sessions: 10_000, expired: 65_536 }

/** The order of expiry is by time to this precision, which spares a busy session from being moved for each command. */
const TOUCH_MICROS = 1_000_000
const FEWEST_SLOTS = 8

/**
 * The sessions of a shard: exactly-once semantics as in the Raft thesis (Ongaro 2014, §6.3), with replies kept for each
 * command that its client may still be waiting for, so that many can be under way and arrive in any order.
 *
 * A session comes into being with a command that says nothing has been answered yet (`acknowledged` is 1) and whose
 * session is not among the expired ones; any other command of an unknown session is refused as `expired`, because it
 * may have run before. Names of expired sessions are kept until their limit is reached, and at least as long as a
 * session may be idle; rather than forget one earlier, new sessions are refused as `overloaded`. So no command runs
 * twice that is sent again within {@link SESSION_IDLE_MICROS} of its session's last.
 *
 * Invariant: all that is here follows from the commands and their batches' times.
 * Invariant: live and expired sessions are in the order in which they were last touched.
 */
export class Sessions {
  readonly #limits: SessionLimits
  readonly #live: Map<number, Session> = new Map()
  /** When each expired session was last touched. */
  readonly #expired: Map<number, LeaderMicros> = new Map()
  /** A name has been forgotten, so an unknown session need not be a new one. */
  #forgetful = false
  #current: Session | undefined = undefined

  constructor(limits: SessionLimits = SESSION_LIMITS) {
    this.#limits = limits
  }

  get live(): Iterable<Session> {
    return this.#live.values()
  }

  get expired(): ReadonlyMap<number, LeaderMicros> {
    return this.#expired
  }

  get forgetful(): boolean {
    return this.#forgetful
  }

  /** Whether the command is to be run now, and then to be settled; otherwise `outcome` says what to answer. */
  admit(head: CommandHead, now: LeaderMicros, outcome: Outcome): boolean {
    outcome.revision = 0
    if (head.sequence === 0 || head.acknowledged === 0 || head.acknowledged > head.sequence) {
      outcome.status = STATUS.malformed
      return false
    }
    const session = this.#enter(head.session, head.acknowledged === 1, now, outcome)
    if (session === undefined) return false
    session.acknowledge(head.acknowledged)
    return session.admits(head.sequence, outcome)
  }

  /** Keeps what the command admitted last came to. */
  settle(sequence: number, outcome: Outcome): void {
    required(this.#current, 'the session of an admitted command').settle(sequence, outcome)
  }

  /** What became of a command. One that has not happened never will. */
  resolve(id: number, sequence: number, now: LeaderMicros): Resolution {
    const scratch: Outcome = { status: 0, revision: 0 }
    if (id === 0 || sequence === 0) return 'unknown'
    const session = this.#enter(id, !this.#forgetful, now, scratch)
    if (session === undefined) return 'unknown'
    if (session.admits(sequence, scratch)) {
      session.settle(sequence, { status: STATUS.cancelled, revision: 0 })
      return 'not-committed'
    }
    if (scratch.status === STATUS.expired || scratch.status === STATUS.overloaded) return 'unknown'
    return isCommitted(scratch.status) ? 'committed' : 'not-committed'
  }

  /** Begins to put back what a snapshot holds; sessions follow in its order. */
  begin(forgetful: boolean): void {
    assert(this.#live.size === 0 && this.#expired.size === 0, 'sessions are loaded into nothing')
    this.#forgetful = forgetful
  }

  load(session: Session): void {
    this.#live.set(session.id, session)
  }

  loadExpired(id: number, touched: LeaderMicros): void {
    this.#expired.set(id, touched)
  }

  #enter(id: number, mayCreate: boolean, now: LeaderMicros, outcome: Outcome): Session | undefined {
    const known = this.#current?.id === id ? this.#current : this.#live.get(id)
    const session = known ?? this.#create(id, mayCreate, now, outcome)
    if (session === undefined) return undefined
    this.#current = session
    if (now - session.touched < TOUCH_MICROS) return session
    session.touched = now
    this.#live.delete(id)
    this.#live.set(id, session)
    return session
  }

  #create(id: number, mayCreate: boolean, now: LeaderMicros, outcome: Outcome): Session | undefined {
    outcome.status = STATUS.expired
    if (!mayCreate || this.#expired.has(id)) return undefined
    this.#expire(now)
    if (this.#live.size >= this.#limits.sessions) {
      outcome.status = STATUS.overloaded
      return undefined
    }
    const session = new Session(id, now)
    this.#live.set(id, session)
    return session
  }

  /** Expires idle sessions, and at the limit the one idle for longest, while their names find room. */
  #expire(now: LeaderMicros): void {
    for (const session of this.#live.values()) {
      const full = this.#live.size >= this.#limits.sessions
      if (!full && now - session.touched < SESSION_IDLE_MICROS) return
      if (!this.#makeRoom(now)) return
      this.#live.delete(session.id)
      this.#expired.set(session.id, session.touched)
      if (this.#current === session) this.#current = undefined
    }
  }

  #makeRoom(now: LeaderMicros): boolean {
    if (this.#expired.size < this.#limits.expired) return true
    for (const [id, touched] of this.#expired) {
      if (now - touched < SESSION_IDLE_MICROS) return false
      this.#expired.delete(id)
      this.#forgetful = true
      return true
    }
    return false
  }
}

/**
 * One client's replies from its oldest unanswered command on, in a ring over the sequences.
 *
 * Invariant: a slot holds a reply only for sequences in [acknowledged, acknowledged + slots).
 */
export class Session {
  readonly id: number
  touched: LeaderMicros
  #acknowledged: number
  #statuses: Uint8Array = new Uint8Array(FEWEST_SLOTS)
  #revisions: Float64Array = new Float64Array(FEWEST_SLOTS)

  constructor(id: number, touched: LeaderMicros, acknowledged = 1) {
    this.id = id
    this.touched = touched
    this.#acknowledged = acknowledged
  }

  /** The oldest sequence whose reply is still kept. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Forgets the replies below `sequence`. */
  acknowledge(sequence: number): void {
    const from = this.#acknowledged
    if (sequence <= from) return
    const slots = this.#statuses.length
    if (sequence - from >= slots) this.#statuses.fill(0)
    else for (let at = from; at < sequence; at++) this.#statuses[at & (slots - 1)] = 0
    this.#acknowledged = sequence
  }

  /** Whether this sequence has not been seen; otherwise `outcome` says what to answer. */
  admits(sequence: number, outcome: Outcome): boolean {
    const distance = sequence - this.#acknowledged
    outcome.revision = 0
    if (distance < 0 || distance >= SESSION_WINDOW) {
      outcome.status = distance < 0 ? STATUS.expired : STATUS.overloaded
      return false
    }
    if (distance >= this.#statuses.length) return true
    const slot = sequence & (this.#statuses.length - 1)
    const status = this.#statuses[slot] ?? 0
    if (status === 0) return true
    outcome.status = status
    outcome.revision = this.#revisions[slot] ?? 0
    return false
  }

  settle(sequence: number, outcome: Outcome): void {
    const distance = sequence - this.#acknowledged
    assert(distance >= 0 && distance < SESSION_WINDOW, 'a settled command is within the window')
    if (distance >= this.#statuses.length) this.#grow(distance)
    const slot = sequence & (this.#statuses.length - 1)
    this.#statuses[slot] = outcome.status
    this.#revisions[slot] = outcome.revision
  }

  /** Calls `visit` for each kept reply, oldest first. */
  forEach(visit: (sequence: number, outcome: Outcome) => void): void {
    const slots = this.#statuses.length
    for (let sequence = this.#acknowledged; sequence < this.#acknowledged + slots; sequence++) {
      const status = this.#statuses[sequence & (slots - 1)] ?? 0
      if (status !== 0) visit(sequence, { status, revision: this.#revisions[sequence & (slots - 1)] ?? 0 })
    }
  }

  #grow(distance: number): void {
    let slots = this.#statuses.length
    while (slots <= distance) slots *= 2
    const kept: [number, Outcome][] = []
    this.forEach((sequence, outcome) => {
      kept.push([sequence, outcome])
    })
    this.#statuses = new Uint8Array(slots)
    this.#revisions = new Float64Array(slots)
    for (const [sequence, outcome] of kept) this.settle(sequence, outcome)
  }
}
