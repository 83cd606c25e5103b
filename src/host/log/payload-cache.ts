/** The payload cache keeps the newest payloads of all groups in memory, within a number of bytes. */

import type { LogIndex } from '../../protocol/core.ts'
import type { GroupLog } from './group-log.ts'
import { PayloadLine } from './payload-line.ts'
import type { Usage } from './usage.ts'

/**
 * Most bytes of large payloads. They may be few: whoever is behind by as much reads them from the disk at a good rate, and a node
 * that only carries something large should not hold it.
 */
const LARGE_LIMIT_BYTES: number = 2 * 1024 * 1024

export class PayloadCache {
  readonly #usage: Usage
  readonly #small: PayloadLine
  readonly #large: PayloadLine

  /** @param limit bytes of payloads that are not large */
  constructor(usage: Usage, limit: number) {
    this.#usage = usage
    this.#small = new PayloadLine(() => usage.smallBytes > limit)
    this.#large = new PayloadLine(() => usage.largeBytes > Math.min(limit, LARGE_LIMIT_BYTES))
  }

  add(group: GroupLog, index: LogIndex, payload: Uint8Array): void {
    const line = this.#usage.isLarge(payload.length) ? this.#large : this.#small
    line.add(group, index, payload)
  }

  /** Lets go of the oldest payloads beyond the limits. What is in no segment yet stays: it could not be read back. */
  trim(): void {
    this.#small.trim()
    this.#large.trim()
  }
}
