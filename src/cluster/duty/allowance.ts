/** An allowance is what one consumption may have under lease of all that this node leads: its streams have it in common. */

/** Payloads that one consumption may have unsettled here; beyond, one more message goes out only when there is none. */
const UNSETTLED_BYTES = 16 * 1024 * 1024

/** A stream of the consumption, from one shard. */
export interface Member {
  /** Takes what there is for it, as far as the allowance has room. */
  serve(): void
  /** Says that more waits than there is credit for. */
  tell(): void
  /** Nothing waits any more for which there is credit. */
  untell(): void
}

/**
 * Each shard by itself would need the credit of a burst, which comes to one shard at a time. Where there is less room
 * than is waited for, the shards take turns.
 *
 * Invariant: while members wait there is no room, but for the time until `pass` is called.
 */
export class Allowance {
  #members = 0
  #credit = 0
  #unsettled = 0
  #bytes = 0
  /** Members with messages for which there was no room, longest wait first. */
  readonly #waiting = new Set<Member>()
  #turn: Member | undefined
  /** Through whom it was said that more waits. */
  #told: Member | undefined

  get isEmpty(): boolean {
    return this.#members === 0
  }

  join(credit: number): void {
    this.#members++
    this.#credit += credit
  }

  leave(member: Member, credit: number): void {
    this.#members--
    this.#credit -= credit
    this.#waiting.delete(member)
    if (this.#told === member) this.#told = undefined
    this.#tell()
  }

  /** More credit, or less when it is negative. */
  add(credit: number): void {
    this.#credit += credit
    if (credit > 0) this.#told = undefined
  }

  begin(bytes: number): void {
    this.#unsettled++
    this.#bytes += bytes
  }

  /** So many messages have been settled, or are not counted any more. */
  end(messages: number, bytes: number): void {
    this.#unsettled -= messages
    this.#bytes -= bytes
  }

  hasRoomFor(member: Member): boolean {
    return this.#hasRoom && (this.#waiting.size === 0 || this.#turn === member)
  }

  isWaiting(member: Member): boolean {
    return this.#waiting.has(member)
  }

  wait(member: Member): void {
    this.#waiting.add(member)
    this.#tell()
  }

  /**
   * Lets those who wait have the room that there is: whoever has waited for longest all of it, for what comes together
   * is settled together.
   */
  pass(): void {
    while (this.#hasRoom && this.#waiting.size > 0) {
      const [next] = this.#waiting
      if (next === undefined) break
      this.#turn = next
      this.#waiting.delete(next)
      next.serve()
    }
    this.#turn = undefined
    if (this.#waiting.size > 0) this.#tell()
    else if (this.#hasRoom) {
      this.#told?.untell()
      this.#told = undefined
    }
  }

  get #hasRoom(): boolean {
    return this.#unsettled < this.#credit && (this.#bytes < UNSETTLED_BYTES || this.#unsettled === 0)
  }

  #tell(): void {
    if (this.#told !== undefined || this.#unsettled < this.#credit) return
    const [first] = this.#waiting
    this.#told = first
    first?.tell()
  }
}
