/** Unsent is what all clients of a node together have not taken of what was sent to them. */

/** One of those who count. */
export interface Unsent {
  /** Its bytes as they were when they were last counted. */
  readonly unsentBytes: number
  /** It has the most, and all together have too much. */
  cutOff(): void
}

export class UnsentTotal {
  readonly #limit: number
  readonly #counted = new Map<Unsent, number>()
  #bytes = 0

  /** @param limit bytes; whoever has the most is cut off beyond it, since those who read must not suffer for those who do not */
  constructor(limit: number) {
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  count(client: Unsent): void {
    const bytes = client.unsentBytes
    this.#bytes += bytes - (this.#counted.get(client) ?? 0)
    if (bytes > 0) this.#counted.set(client, bytes)
    else this.#counted.delete(client)
    if (this.#bytes > this.#limit) this.#cutOffLargest()
  }

  forget(client: Unsent): void {
    this.#bytes -= this.#counted.get(client) ?? 0
    this.#counted.delete(client)
  }

  /** Some may have been sent since they were counted. */
  #cutOffLargest(): void {
    let [largest, most]: [Unsent | undefined, number] = [undefined, 0]
    this.#bytes = 0
    for (const client of this.#counted.keys()) {
      const bytes = client.unsentBytes
      this.#counted.set(client, bytes)
      this.#bytes += bytes
      if (bytes > most) [largest, most] = [client, bytes]
    }
    if (this.#bytes <= this.#limit || largest === undefined) return
    this.forget(largest)
    largest.cutOff()
  }
}
