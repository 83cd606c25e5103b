/** Usage is what the entries of all groups occupy: bytes of payload in memory and places in segments. */

export class Usage {
  /** Bytes of payload that are held in memory. */
  payloadBytes = 0
  readonly #entries = new Map<number, number>()

  /** An entry now stands in this segment; 0 is none. */
  take(segment: number): void {
    if (segment !== 0) this.#entries.set(segment, this.entriesIn(segment) + 1)
  }

  /** An entry that stood there was replaced, moved or dropped. */
  release(segment: number): void {
    if (segment === 0) return
    const left = this.entriesIn(segment) - 1
    if (left === 0) this.#entries.delete(segment)
    else this.#entries.set(segment, left)
  }

  /** How many entries only this segment holds. */
  entriesIn(segment: number): number {
    return this.#entries.get(segment) ?? 0
  }
}
