/** Entries are read from memory as long as they are recent, else from their segment. */

import { TroupeError } from '../../base/error.ts'
import type { LogIndex } from '../../protocol/core.ts'
import type { Entry } from '../../protocol/raft/message.ts'
import { type Checksum, entryKind, RECORD_HEAD, readRecord } from './format.ts'
import type { GroupLog } from './group-log.ts'

export interface EntryRange {
  readonly from: LogIndex
  readonly until: LogIndex
  readonly bytes: number
}

/** The bytes of one record, as they stand in a segment. */
export interface StoredRecord {
  readonly number: number
  readonly name: string
  readonly offset: number
  readonly bytes: Uint8Array
  readonly checksum: Checksum
}

type Load = (segment: number, offset: number, size: number) => StoredRecord

/** Entries [from, until), fewer when they exceed `bytes`, but at least one. */
export function readEntries(group: GroupLog, range: EntryRange, load: Load): readonly Entry[] {
  const { table } = group
  const entries: Entry[] = []
  let left = range.bytes
  for (let index = range.from; index < range.until; index++) {
    left -= table.size(index)
    if (left < 0 && entries.length > 0) break
    const payload = table.payload(index) ?? loadPayload(group, index, load)
    entries.push({ index, term: table.term(index), kind: entryKind(table.kind(index)), payload })
  }
  return entries
}

function loadPayload(group: GroupLog, index: LogIndex, load: Load): Uint8Array {
  const { table } = group
  const stored = load(table.segment(index), table.offset(index), RECORD_HEAD + table.size(index))
  const head = readRecord(stored.bytes, 0, stored.bytes.length, { segment: stored.number, checksum: stored.checksum })
  if (head !== undefined && head.group === group.id && head.index === index && head.chain === table.chain(index)) {
    return stored.bytes.subarray(RECORD_HEAD)
  }
  throw new TroupeError(
    'DATA_DAMAGED',
    `${stored.name} is damaged at byte ${stored.offset}: entry ${index} of group ${group.id} is not what was written`,
    { details: { file: stored.name, offset: stored.offset, group: group.id, index } },
  )
}
