/** A read round proves, with one heartbeat to every peer, that the leader still led when all reads of a turn were asked (thesis §6.4). */

import type { NodeId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { LogIndex } from '../core.ts'

/** Reads that may wait at one replica; more are refused as overloaded. */
export const PENDING_READS = 65_536

/** `from` is the follower that asks for its own clients; `undefined` for the leader's own. */
export interface PendingRead {
  readonly id: number
  readonly from: NodeId | undefined
}

export interface ReadRound {
  readonly round: number
  readonly index: LogIndex
  readonly reads: readonly PendingRead[]
}

/** The reads that a leader has accepted and not yet answered. */
export class LeaderReads {
  #turn: PendingRead[] = []
  #rounds: ReadRound[] = []
  #count = 0
  #newest = 0

  /** The newest round; 0 before the first. */
  get newest(): number {
    return this.#newest
  }

  get hasTurn(): boolean {
    return this.#turn.length > 0
  }

  /** Some round waits for its majority. */
  get isWaiting(): boolean {
    return this.#rounds.length > 0
  }

  /** False when too many wait. */
  add(read: PendingRead): boolean {
    if (this.#count >= PENDING_READS) return false
    this.#count++
    this.#turn.push(read)
    return true
  }

  /** Makes the reads of this turn one round that reads at `index`. */
  open(index: LogIndex): void {
    this.#newest++
    this.#rounds.push({ round: this.#newest, index, reads: this.#turn })
    this.#turn = []
  }

  /** The rounds up to `confirmed`, in order; they are forgotten. */
  takeConfirmed(confirmed: number): readonly ReadRound[] {
    let count = 0
    for (const { round, reads } of this.#rounds) {
      if (round > confirmed) break
      count++
      this.#count -= reads.length
    }
    return this.#rounds.splice(0, count)
  }

  /** All that wait, because they can no longer be answered. */
  takeAll(): readonly PendingRead[] {
    const all = this.#rounds.flatMap((round) => round.reads).concat(this.#turn)
    this.#rounds = []
    this.#turn = []
    this.#count = 0
    return all
  }
}

interface AskedRead {
  readonly number: number
  readonly ids: readonly number[]
  readonly deadline: Millis
}

/** The reads that a follower has passed on to its leader: one question for all reads of a turn. */
export class FollowerReads {
  #turn: number[] = []
  #asked: AskedRead[] = []
  #number: number
  #count = 0

  /** @param firstNumber random, so that a late answer to an earlier life of this replica answers nothing now */
  constructor(firstNumber: number) {
    this.#number = firstNumber
  }

  get hasTurn(): boolean {
    return this.#turn.length > 0
  }

  /** When the oldest question is given up; Infinity when none is open. */
  get deadline(): Millis {
    return this.#asked[0]?.deadline ?? Infinity
  }

  /** False when too many wait. */
  add(id: number): boolean {
    if (this.#count >= PENDING_READS) return false
    this.#count++
    this.#turn.push(id)
    return true
  }

  /** The number of the question that stands for all reads of this turn. */
  ask(deadline: Millis): number {
    this.#number++
    this.#asked.push({ number: this.#number, ids: this.#turn, deadline })
    this.#turn = []
    return this.#number
  }

  /** The reads behind an answered question; none if it was given up or answered before. */
  takeAnswered(number: number): readonly number[] {
    const at = this.#asked.findIndex((asked) => asked.number === number)
    return at < 0 ? [] : this.#forget(at, 1)
  }

  takeExpired(now: Millis): readonly number[] {
    const open = this.#asked.findIndex((asked) => asked.deadline > now)
    return this.#forget(0, open < 0 ? this.#asked.length : open)
  }

  takeAll(): readonly number[] {
    const all = this.#forget(0, this.#asked.length).concat(this.#turn)
    this.#turn = []
    this.#count = 0
    return all
  }

  #forget(at: number, count: number): number[] {
    const ids = this.#asked.splice(at, count).flatMap((asked) => asked.ids)
    this.#count -= ids.length
    return ids
  }
}
