/** A replay rebuilds the content of a log from its records, in the order in which they were written. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { GroupId, NodeId } from '../../base/identity.ts'
import type { LogIndex, Term } from '../../protocol/core.ts'
import { LogContent } from './content.ts'
import { EntryTable } from './entry-table.ts'
import { isEntry, RECORD, type RecordHead } from './format.ts'
import type { GroupLog } from './group-log.ts'
import { payloadOf, type ScannedBatch, type ScannedRecord, type SegmentBytes } from './scan.ts'

/** What a checkpoint says of a group besides where its log starts. */
export interface Checkpoint {
  readonly term: Term
  readonly vote: NodeId | undefined
  /** Entries up to here stand in older segments, as far as they are still needed. */
  readonly last: LogIndex
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const writer = new ByteWriter(96)
  writer.u53(checkpoint.last)
  writer.u53(checkpoint.term)
  writer.text(checkpoint.vote ?? '')
  return writer.take()
}

export function encodeVote(vote: NodeId | undefined): Uint8Array {
  const writer = new ByteWriter(96)
  writer.text(vote ?? '')
  return writer.take()
}

/**
 * Starts at any segment, because each begins with a checkpoint. The checkpoint and the first batch's other records were
 * staged before and after each other in no special order, so that records may say again what the checkpoint knows.
 */
export class Replay {
  readonly content: LogContent
  /** The last entry that the checkpoint promises, for groups of which none has been seen since. */
  readonly #promised = new Map<GroupId, LogIndex>()
  #isEmpty = true

  constructor(cacheBytes: number) {
    this.content = new LogContent(cacheBytes)
  }

  /** Returns the record whose hash chain does not continue what the group has, if there is one. */
  apply(segment: SegmentBytes, batch: ScannedBatch): ScannedRecord | undefined {
    const isFirst = this.#isEmpty
    this.#isEmpty = false
    for (const record of batch.records) {
      const group = this.content.group(record.head.group as GroupId)
      if (record.head.kind !== RECORD.checkpoint) {
        if (!this.#applyRecord(group, segment, record)) return record
      } else if (isFirst) this.#applyCheckpoint(group, record.head, payloadOf(segment, record))
    }
    return
  }

  /** Groups that lack entries between the start of their log and what was found. */
  incomplete(): readonly GroupLog[] {
    return [...this.content.groups.values()].filter((group) => {
      const isEmpty = group.table.last < group.table.first
      const first = isEmpty ? (this.#promised.get(group.id) ?? 0) + 1 : group.table.first
      return first > group.start.index + 1
    })
  }

  #applyCheckpoint(group: GroupLog, head: RecordHead, payload: Uint8Array): void {
    const reader = new ByteReader(payload)
    group.install({ index: head.index, term: head.term }, head.chain)
    this.#promised.set(group.id, reader.u53())
    group.term = reader.u53()
    group.vote = readVote(reader)
  }

  #applyRecord(group: GroupLog, segment: SegmentBytes, record: ScannedRecord): boolean {
    const { head } = record
    if (isEntry(head.kind)) return this.#applyEntry(group, segment, record)
    const position = { index: head.index, term: head.term }
    if (head.kind === RECORD.hardState) {
      group.term = head.term
      group.vote = readVote(new ByteReader(payloadOf(segment, record)))
    } else if (head.kind === RECORD.installed) {
      group.install(position, head.chain)
      this.#promised.delete(group.id)
    } else if (head.kind === RECORD.compacted && head.index > group.start.index) {
      group.compact(position, head.chain)
    }
    return true
  }

  #applyEntry(group: GroupLog, segment: SegmentBytes, record: ScannedRecord): boolean {
    const { head } = record
    if (head.index <= group.start.index) return true
    const chain = group.chainOf(head)
    if (chain !== undefined && chain !== head.chain) return false
    group.truncate(head.index)
    // The entries before it stand in segments that are gone: `incomplete` tells whether they should be.
    if (group.table.last !== head.index - 1) {
      if (group.table.last >= group.table.first) return false
      group.table = new EntryTable(head.index, this.content.usage)
    }
    this.#promised.delete(group.id)
    group.table.append(head.term, head.kind, head.chain, head.length)
    group.table.place(head.index, segment.number, record.at)
    return true
  }
}

function readVote(reader: ByteReader): NodeId | undefined {
  const text = reader.text()
  return text === '' ? undefined : (text as NodeId)
}
