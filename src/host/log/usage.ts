/** Usage is what the entries of all groups occupy: bytes of payload in memory and places in segments. */

/** A payload beyond this is large: one with a piece of something is, a batch of small commands hardly ever. */
const SMALL_BYTES: number = 100 * 1024

export class Usage {
  /** Bytes of payloads that are held in memory. */
  smallBytes = 0
  largeBytes = 0
  readonly #entries = new Map<number, number>()

  get payloadBytes(): number {
    return this.smallBytes + this.largeBytes
  }

  isLarge(payloadBytes: number): boolean {
    return payloadBytes > SMALL_BYTES
  }

  /** A payload of so many bytes is in memory now. */
  hold(bytes: number): void {
    if (this.isLarge(bytes)) this.largeBytes += bytes
    else this.smallBytes += bytes
  }

  /** One is not any more. */
  letGo(bytes: number): void {
    if (this.isLarge(bytes)) this.largeBytes -= bytes
    else this.smallBytes -= bytes
  }

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
