/** An allowance is what one consumption may have under lease of all that one node leads: its shards there have it in common. */

import type { Millis } from '../../../base/time.ts'

/** The part of the consumption that one shard serves. */
export interface Member {
  /** Its part of the allowance's credit. */
  readonly credit: number
  /** How many messages of its are not settled. */
  readonly unsettled: number
  /** More credit, or less when it is negative. */
  grant(credit: number): void
}

export class Allowance {
  readonly #members = new Set<Member>()
  credit = 0
  unsettled = 0
  /** When it was last given credit. */
  grantedAt: Millis
  /** How often credit was given of which the node has not said yet that what it brought is here. */
  granting = 0
  /** Credit that it has given up, and that comes back with what is settled next. */
  #owes = 0

  constructor(now: Millis) {
    this.grantedAt = now
  }

  join(member: Member): void {
    this.#members.add(member)
    this.credit += member.credit
    this.unsettled += member.unsettled
  }

  leave(member: Member): void {
    this.#members.delete(member)
    this.credit -= member.credit
    this.unsettled -= member.unsettled
  }

  /** Credit that is not in use. */
  get idle(): number {
    return this.credit - this.unsettled
  }

  /** Gives up what it does not use, or half of it. Returns how much. */
  giveIdle(part: 'all' | 'half'): number {
    return this.#give(part === 'all' ? this.idle : Math.ceil(this.idle / 2))
  }

  /** Gives up credit, as far as there is something whose settlement brings it back. Returns how much. */
  owe(credit: number): number {
    const owed = this.#give(Math.min(credit, this.unsettled - this.#owes))
    this.#owes += owed
    return owed
  }

  /** Whether some of what it owes has come back, with something that was settled. */
  pay(): boolean {
    if (this.#owes === 0) return false
    this.#owes--
    return true
  }

  /** Whether it owes something that no settlement will bring back. */
  get isInsolvent(): boolean {
    return this.#owes > this.unsettled
  }

  #give(credit: number): number {
    let left = Math.max(0, credit)
    for (const member of this.#members) {
      const given = Math.min(left, member.credit)
      if (given <= 0) continue
      left -= given
      member.grant(-given)
    }
    return Math.max(0, credit) - left
  }
}
