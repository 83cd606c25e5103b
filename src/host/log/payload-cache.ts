/** The payload cache keeps the newest payloads of all groups in memory, within a number of bytes. */

import type { LogIndex } from '../../protocol/core.ts'
import type { GroupLog } from './group-log.ts'
import type { Usage } from './usage.ts'

/** First in, first out: followers and state machines read what was written last. */
export class PayloadCache {
  readonly #usage: Usage
  readonly #limit: number
  #groups: GroupLog[] = []
  #indexes: LogIndex[] = []
  #oldest = 0

  constructor(usage: Usage, limit: number) {
    this.#usage = usage
    this.#limit = limit
  }

  add(group: GroupLog, index: LogIndex, payload: Uint8Array): void {
    group.table.hold(index, payload)
    this.#groups.push(group)
    this.#indexes.push(index)
  }

  /** Lets go of the oldest payloads beyond the limit. What is in no segment yet stays: it could not be read back. */
  trim(): void {
    while (this.#oldest < this.#indexes.length && this.#dropOldest()) this.#oldest++
    if (this.#oldest < 1024 || this.#oldest * 2 < this.#indexes.length) return
    this.#groups = this.#groups.slice(this.#oldest)
    this.#indexes = this.#indexes.slice(this.#oldest)
    this.#oldest = 0
  }

  #dropOldest(): boolean {
    const table = this.#groups[this.#oldest]?.table
    const index = this.#indexes[this.#oldest] ?? 0
    if (!table?.has(index) || table.payload(index) === undefined) return true
    if (this.#usage.payloadBytes <= this.#limit || table.segment(index) === 0) return false
    table.hold(index, undefined)
    return true
  }
}
