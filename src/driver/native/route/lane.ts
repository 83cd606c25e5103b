/** A lane leads to one group: it knows where the group's leader is, and holds what must wait until there is one. */

import type { Random } from '../../../base/random.ts'
import type { Millis, Timer } from '../../../base/time.ts'
import type { Receipt } from '../../contract.ts'
import type { Link } from './link.ts'
import type { Operation } from './operation.ts'
import { Session } from './session.ts'

const FIRST_PAUSE_MS: Millis = 10
const LONGEST_PAUSE_MS: Millis = 200

export class Lane {
  readonly group: number
  /** What its linearizable answers show; one object for all of them. */
  readonly receipt: Receipt
  /** Operations that wait for the end of the pause, or for any link at all. */
  readonly parked: Set<Operation<unknown>> = new Set()
  replicas: readonly string[] = []
  leader = ''
  term = 0
  /** To the leader's node; undefined while it is not known or not connected. */
  link: Link | undefined
  /** Runs while nothing is sent, because nobody led the group a moment ago. */
  pause: Timer | undefined
  #pauses = 0
  #session: Session | undefined

  constructor(group: number, receipt: Receipt) {
    this.group = group
    this.receipt = receipt
  }

  get openLink(): Link | undefined {
    return this.link?.isOpen === true ? this.link : undefined
  }

  /** How long to wait before asking again; doubles each time, and differs between clients so that they do not come together. */
  nextPause(random: Random): Millis {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#pauses)
    this.#pauses = Math.min(this.#pauses + 1, 10)
    return longest * (0.5 + random.next() / 2)
  }

  answered(): void {
    this.#pauses = 0
  }

  /** Gives a write its identity. */
  enlist(operation: Operation<unknown>, random: Random): void {
    let session = this.#session
    if (session === undefined || session.isRetired || session.isFull) {
      session = new Session(random)
      this.#session = session
    }
    operation.source = session
    operation.session = session.id
    operation.sequence = session.nextSequence()
  }
}
