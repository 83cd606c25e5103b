/** A group log is what one group has in the node's log: its hard state, where its log starts, and its entries. */

import { assert } from '../../base/assert.ts'
import type { GroupId, NodeId } from '../../base/identity.ts'
import type { LogIndex, LogPosition, Term } from '../../protocol/core.ts'
import type { RecoveredGroup } from '../log-device.ts'
import { EntryTable } from './entry-table.ts'
import { nextChain } from './format.ts'
import type { Usage } from './usage.ts'

const ORIGIN: LogPosition = { index: 0, term: 0 }

/**
 * Invariant: the table begins right after `start`, but while a log whose oldest segments are gone is being read: until
 * the record that moved `start` comes by, `start` lies further back.
 */
export class GroupLog {
  readonly id: GroupId
  term: Term = 0
  vote: NodeId | undefined = undefined
  start: LogPosition
  /** The hash chain at `start`. */
  startChain: number
  table: EntryTable
  readonly #usage: Usage

  constructor(id: GroupId, usage: Usage, start: LogPosition = ORIGIN, startChain = 0) {
    this.id = id
    this.#usage = usage
    this.start = start
    this.startChain = startChain
    this.table = new EntryTable(start.index + 1, usage)
  }

  get last(): LogPosition {
    const index = this.table.last
    return this.table.has(index) ? { index, term: this.table.term(index) } : this.start
  }

  /** Hash over all entries up to `index`; undefined where the log does not reach. */
  chainAt(index: LogIndex): number | undefined {
    if (index === this.start.index) return this.startChain
    return this.table.has(index) ? this.table.chain(index) : undefined
  }

  /** The chain of an entry that would follow what the group has. */
  chainOf(entry: {
    readonly index: LogIndex
    readonly term: Term
    readonly kind: number
    readonly payloadCrc: number
  }): number | undefined {
    const before = this.chainAt(entry.index - 1)
    return before === undefined ? undefined : nextChain(before, entry)
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.table.last >= index && this.table.last >= this.table.first) this.table.pop()
  }

  /** Forgets the entries up to `upTo`, which the group has. */
  compact(upTo: LogPosition, chain: number): void {
    while (this.table.first <= upTo.index && this.table.last >= this.table.first) this.table.shift()
    if (this.table.last < this.table.first) this.table = new EntryTable(upTo.index + 1, this.#usage)
    this.start = upTo
    this.startChain = chain
  }

  /** Forgets every entry: a snapshot that ends at `position` stands for them. */
  install(position: LogPosition, chain: number): void {
    this.truncate(0)
    this.table = new EntryTable(position.index + 1, this.#usage)
    this.start = position
    this.startChain = chain
  }

  recovered(): RecoveredGroup {
    const log: { term: Term; size: number }[] = []
    assert(this.table.first === this.start.index + 1, 'the entries begin where the log starts')
    for (let index = this.table.first; index <= this.table.last; index++) {
      log.push({ term: this.table.term(index), size: this.table.size(index) })
    }
    return { term: this.term, vote: this.vote, start: this.start, log }
  }
}
