/** A hold is a lock that a program has, with all that is noted of it: what its holder may believe is what it saw while it was awake. */

import type { Millis } from '../../base/time.ts'
import type { Lock } from '../../data/lock.ts'
import { defineMap, type MapDefinition } from '../../data/map.ts'
import { defineQueue } from '../../message/queue.ts'
import type { Troupe } from '../../runtime/troupe.ts'
import type { FencedRecord, GrantRecord, LockEvent } from '../check/lock.ts'
import type { Coverage } from '../coverage.ts'
import type { ProgramContext } from '../program.ts'
import { type Attempt, attempt } from './attempt.ts'
import type { Audited } from './auditor.ts'

/** Between two looks at the signal. */
export const LOOK_MS: Millis = 25
export const CALL_MS: Millis = 5000

export interface Count {
  readonly count: number
}

/** What is written under locks, each under its lock's name. */
export const registers: MapDefinition<Count> = defineMap<Count>('registers')
const effects = defineQueue<string>('effects')

export interface LockLog extends Audited {
  readonly events: LockEvent[]
  readonly coverage: Coverage
  /** Then everything lives beside every lock. */
  readonly hasOneShard: boolean
}

/** What is held of which lock. */
export interface Share extends Pick<GrantRecord, 'permits' | 'of'> {
  readonly name: string
  /** The lock lives in the shard of its register. */
  readonly isBeside: boolean
}

export interface HoldParts {
  readonly troupe: Troupe
  readonly context: ProgramContext
  readonly log: LockLog
}

export class LockHold<Held extends Lock = Lock> {
  readonly lock: Held
  readonly grant: GrantRecord
  readonly #share: Share
  readonly #parts: HoldParts
  #isOver = false

  constructor(lock: Held, share: Share, askedAt: Millis, parts: HoldParts) {
    const { now, name: holder } = parts.context
    const { name, permits, of } = share
    const { token } = lock
    this.lock = lock
    this.#share = share
    this.#parts = parts
    const grantedAt = now()
    const ends = { heldAt: grantedAt, releasedAt: Number.POSITIVE_INFINITY }
    this.grant = { type: 'grant', lock: name, holder, token, permits, of, askedAt, grantedAt, ...ends }
    parts.log.events.push(this.grant)
    void this.#watch()
  }

  async stay(duration: Millis): Promise<void> {
    await this.#parts.context.sleep(duration)
  }

  /** Its holder is about to give it to somebody, and relies on it no more. */
  leave(): void {
    this.#isOver = true
  }

  async release(): Promise<void> {
    const { log, context } = this.#parts
    this.leave()
    // By its holder's clock a lease ends before it does in the cluster.
    const isLost = this.lock.signal.aborted
    if (isLost) log.coverage.reached('lock-lost')
    const released = await attempt(this.lock.release({ timeout: CALL_MS }))
    if (!isLost && released.outcome === 'ok') this.grant.releasedAt = context.now()
  }

  /** Writes the lock's register under its token; `count` when that is counted up. */
  async write(value: Count, { count, ifRevision }: { count?: number; ifRevision?: bigint } = {}): Promise<boolean> {
    const { troupe, log } = this.#parts
    const record = this.#fenced('register', count, this.#share.isBeside || log.hasOneShard)
    const options = { fence: this.lock, timeout: CALL_MS, ...(ifRevision === undefined ? {} : { ifRevision }) }
    const map = troupe.map(registers)
    const written = await attempt(map.set(this.#share.name, value, options), 'FENCED', 'CONFLICT')
    if (written.outcome === 'ok') record.position = written.value.revision
    return this.#note(record, written)
  }

  async send(): Promise<boolean> {
    const { troupe, log } = this.#parts
    const record = this.#fenced('queue', undefined, log.hasOneShard)
    const options = { key: this.#share.name, fence: this.lock, timeout: CALL_MS }
    const sent = await attempt(troupe.queue(effects).send(`by ${this.lock.token}`, options), 'FENCED')
    if (sent.outcome === 'ok') record.position = BigInt(sent.value.id.split('.')[1] ?? 0)
    return this.#note(record, sent)
  }

  async verify(): Promise<void> {
    const { troupe, context, log } = this.#parts
    const invokedAt = context.now()
    const { name, token } = this.lock
    const said = await attempt(troupe.verify({ name, token }, { timeout: CALL_MS }))
    if (said.outcome !== 'ok') return
    log.events.push({ type: 'verify', lock: this.grant.lock, token, invokedAt, isHeld: said.value })
  }

  /**
   * Notes until when its holder, awake all the time, was not told that the lock is lost: so long nobody else may have
   * it. Also while it waits for an answer, as it does for as long as its node is cut off.
   */
  async #watch(): Promise<void> {
    const { now, sleep } = this.#parts.context
    while (!this.#isOver && !this.lock.signal.aborted) {
      const before = now()
      await sleep(LOOK_MS)
      const wasAwake = now() - before < LOOK_MS + 1
      if (wasAwake && !this.#isOver && !this.lock.signal.aborted) this.grant.heldAt = now()
    }
  }

  #fenced(kind: string, count: number | undefined, isBeside: boolean): FencedRecord {
    const { now } = this.#parts.context
    const { lock, token } = this.grant
    const place = `${kind} ${lock}`
    const [invokedAt, returnedAt] = [now(), Number.POSITIVE_INFINITY]
    const ends = { outcome: 'unknown' as const, position: undefined }
    const record: FencedRecord = { type: 'fenced', lock, place, token, count, isBeside, invokedAt, returnedAt, ...ends }
    this.#parts.log.events.push(record)
    return record
  }

  #note(record: FencedRecord, made: Attempt<unknown>): boolean {
    record.returnedAt = this.#parts.context.now()
    const isFenced = made.outcome !== 'ok' && made.code === 'FENCED'
    record.outcome = isFenced ? 'fenced' : made.outcome
    if (isFenced) this.#parts.log.coverage.reached('write-fenced')
    return made.outcome === 'ok'
  }
}
