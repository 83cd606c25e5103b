/** A lock is a weighted semaphore with a line: permits that leases hold, and leases that wait for theirs. */

import { ByteWriter } from '../../base/bytes.ts'
import type { LeaderMicros } from '../batch.ts'
import { encodeLockState, LOCK_STATE_LIMIT_BYTES, type LockClaim } from './command.ts'

/** A hold or a place as its lock keeps it. */
export interface Claim extends LockClaim {
  /** How long the lock stays shut when the lease of this hold expires. */
  readonly delayMs: number
}

/**
 * First come, first served: nobody takes a permit while somebody waits, however few it needs.
 *
 * Invariant: a lease has one claim, which either holds or waits.
 * Invariant: permits of holders are `#used`, at most `of`.
 * Invariant: holders are in the order of their tokens.
 */
export class Lock {
  readonly name: string
  of: number
  /** Nobody is admitted before; 0 when it is open. */
  shutUntil: LeaderMicros = 0
  /** Of its last change. */
  revision = 0
  readonly #holders: Map<number, Claim> = new Map()
  #waiters: Map<number, Claim> = new Map()
  #used = 0

  constructor(name: string, of: number) {
    this.name = name
    this.of = of
  }

  get holding(): number {
    return this.#holders.size
  }

  get waiting(): number {
    return this.#waiters.size
  }

  get holders(): Iterable<Claim> {
    return this.#holders.values()
  }

  get waiters(): Iterable<Claim> {
    return this.#waiters.values()
  }

  /** Nothing would be lost with it. */
  get isIdle(): boolean {
    return this.holding === 0 && this.waiting === 0 && this.shutUntil === 0
  }

  holder(lease: number): Claim | undefined {
    return this.#holders.get(lease)
  }

  waiter(lease: number): Claim | undefined {
    return this.#waiters.get(lease)
  }

  /** Whether somebody new would hold it at once. */
  isFree(permits: number): boolean {
    return this.waiting === 0 && this.#fits(permits)
  }

  /** Whether this token holds it. */
  isHeldBy(token: number): boolean {
    for (const { number } of this.#holders.values()) if (number === token) return true
    return false
  }

  /** The newest token that holds it, 0 for none. */
  get newestToken(): number {
    let newest = 0
    for (const { number } of this.#holders.values()) newest = number
    return newest
  }

  hold(claim: Claim): void {
    this.#holders.set(claim.lease, claim)
    this.#used += claim.permits
  }

  wait(claim: Claim): void {
    this.#waiters.set(claim.lease, claim)
  }

  /** Takes the first in line, if there are permits for it. */
  takeNext(): Claim | undefined {
    for (const claim of this.#waiters.values()) {
      if (!this.#fits(claim.permits)) return undefined
      this.#waiters.delete(claim.lease)
      return claim
    }
    return undefined
  }

  /** Gives up a hold or a place, and says which it was. */
  remove(lease: number): { readonly claim: Claim; readonly held: boolean } | undefined {
    const held = this.#holders.get(lease)
    if (held !== undefined) {
      this.#holders.delete(lease)
      this.#used -= held.permits
      return { claim: held, held: true }
    }
    const waiting = this.#waiters.get(lease)
    if (waiting === undefined) return undefined
    this.#waiters.delete(lease)
    return { claim: waiting, held: false }
  }

  /** This lease's place comes next, if it has one. */
  prefer(lease: number): void {
    const preferred = this.#waiters.get(lease)
    if (preferred === undefined) return
    this.#waiters.delete(lease)
    this.#waiters = new Map([[lease, preferred], ...this.#waiters])
  }

  /** See `LockState`. */
  encode(): Uint8Array {
    const writer = new ByteWriter(Math.min(LOCK_STATE_LIMIT_BYTES, 64 + 32 * (this.holding + this.waiting)))
    encodeLockState(writer, this)
    return writer.take()
  }

  #fits(permits: number): boolean {
    return this.shutUntil === 0 && this.#used + permits <= this.of
  }
}
