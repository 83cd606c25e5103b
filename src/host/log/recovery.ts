/** Recovery reads what the disk holds of a log, decides where the log ends, and refuses what cannot be explained by a crash. */

import { TroupeError } from '../../base/error.ts'
import type { Disk } from '../port.ts'
import { REMEDY } from '../remedy.ts'
import type { LogContent } from './content.ts'
import { type BatchHeader, type Checksum, SECTOR } from './format.ts'
import { type LogEnd, LogHead } from './head.ts'
import { Replay } from './replay.ts'
import {
  batchSize,
  findHeader,
  payloadOf,
  readBatch,
  type ScannedBatch,
  type ScannedRecord,
  type SegmentBytes,
} from './scan.ts'
import { segmentName, segmentNumbers } from './segments.ts'

/** What a crash cut off in the middle of a write: it was never confirmed, so nobody relies on it. */
export interface TornTail {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

export interface RecoveredLog {
  readonly content: LogContent
  /** Numbers of the segments that hold the log, ascending. */
  readonly segments: readonly number[]
  /** Numbers of segment files that hold nothing of it: prepared and never begun, or void. */
  readonly others: readonly number[]
  /** The last whole batch; 0 when there is none. */
  readonly sequence: number
  /** Everything up to here is known to have been confirmed by the disk. */
  readonly synced: number
  /** What stands behind the log's end, and is dropped; undefined when nothing does. */
  readonly torn: TornTail | undefined
  /** The records of the last batch when it was never confirmed: to be written again, lest they exist in memory only. */
  readonly unconfirmed: readonly { readonly head: ScannedRecord['head']; readonly payload: Uint8Array }[]
}

/** A segment that was certainly begun. */
interface Begun {
  readonly number: number
  /** The first header found; it may stand behind a damaged one. */
  readonly header: BatchHeader
}

interface Ending {
  readonly segment: SegmentBytes
  readonly offset: number
}

/** Changes nothing on disk. Lets others work after each segment, as `breathe` says. */
export async function recoverLog(
  disk: Disk,
  cacheBytes: number,
  breathe: (() => Promise<void>) | undefined,
): Promise<RecoveredLog> {
  const numbers = segmentNumbers(disk.list())
  const files = new SegmentFiles(disk)
  const begun = withoutVoid(numbers.map((number) => beginning(files, number)).filter((found) => found !== undefined))
  const recovery = new Recovery(files, cacheBytes)
  for (const [at, segment] of begun.entries()) {
    if (!recovery.readSegment(segment, begun[at + 1])) break
    await breathe?.()
  }
  const log = recovery.finish()
  recovery.checkEnd(new LogHead(disk).read())
  return { ...log, others: numbers.filter((number) => !log.segments.includes(number)) }
}

/** A segment voids all batches from its first sequence on that stand in older segments. */
function withoutVoid(segments: readonly Begun[]): readonly Begun[] {
  return segments.filter((segment, at) =>
    segments.slice(at + 1).every((later) => later.header.segmentFirst > segment.header.segmentFirst),
  )
}

function beginning(files: SegmentFiles, number: number): Begun | undefined {
  const { checksum } = files
  const first = findHeader(files.read(number, SECTOR), 0, checksum, () => true)
  const batch = first === undefined ? undefined : readBatch(files.read(number, batchSize(first)), 0, checksum)
  // A first batch that is not whole proves nothing, lest a torn one voids what it was to replace; a later one does.
  const header = batch?.header ?? findHeader(files.read(number), SECTOR, checksum, () => true)
  return header === undefined ? undefined : { number, header }
}

/** The files are read into the same memory, one after the other: new memory costs more than what is read into it. */
class SegmentFiles {
  readonly checksum: Checksum
  readonly #disk: Disk
  #memory = new Uint8Array(0)

  constructor(disk: Disk) {
    this.#disk = disk
    this.checksum = (bytes, seed) => disk.crc32(bytes, seed)
  }

  /** A segment, or so many bytes from its beginning; good until the next is read. */
  read(number: number, length: number = Number.POSITIVE_INFINITY): SegmentBytes {
    const name = segmentName(number)
    const file = this.#disk.open(name)
    try {
      const bytes = Math.min(length, file.size)
      if (this.#memory.length < bytes) this.#memory = new Uint8Array(bytes)
      return { number, name, bytes: file.read(0, bytes, this.#memory) }
    } finally {
      file.close()
    }
  }
}

class Recovery {
  readonly #files: SegmentFiles
  readonly #checksum: Checksum
  readonly #cacheBytes: number
  #replay: Replay
  #segments: number[] = []
  #sequence = 0
  #synced = 0
  /** The records of the last whole batch. */
  #last: RecoveredLog['unconfirmed'] = []
  /** Where older segments ended that nothing continues; fine unless something in them is missed. */
  #gap: Ending | undefined = undefined
  #torn: TornTail | undefined = undefined
  /** Where the segment that was read last stopped making sense. */
  #end: Ending | undefined = undefined

  constructor(files: SegmentFiles, cacheBytes: number) {
    this.#files = files
    this.#checksum = files.checksum
    this.#cacheBytes = cacheBytes
    this.#replay = new Replay(cacheBytes)
  }

  /** Returns false when the log ends in this segment. */
  readSegment(begun: Begun, next: Begun | undefined): boolean {
    const segment = this.#files.read(begun.number)
    if (begun.header.segmentFirst !== this.#sequence + 1) this.#startOver(begun)
    this.#segments.push(begun.number)
    const until = next?.header.segmentFirst ?? Number.POSITIVE_INFINITY
    const offset = this.#readBatches(segment, until)
    this.#end = { segment, offset }
    if (this.#sequence + 1 === until) return true
    const missed = this.#sequence + 1
    this.#refuseIfConfirmed(segment, offset, until)
    if (next === undefined || next.header.synced < missed) {
      const bytes = lengthBehind(segment.bytes, offset)
      if (bytes > 0) this.#torn = { file: segment.name, offset, bytes }
      return false
    }
    // What lies between was on disk. When the numbers leave room for a segment in between, it may have been given up.
    if (next.number === begun.number + 1) throw damaged(segment.name, offset)
    this.#gap = { segment, offset }
    return true
  }

  /** A log that ends before where it was known to end has lost what was confirmed. */
  checkEnd(head: LogEnd): void {
    if ((this.#segments.at(-1) ?? 0) < head.segment) throw lost(segmentName(head.segment))
    if (this.#sequence < head.sequence && this.#end !== undefined)
      throw damaged(this.#end.segment.name, this.#end.offset)
  }

  finish(): Omit<RecoveredLog, 'others'> {
    const [incomplete] = this.#replay.incomplete()
    if (incomplete !== undefined) throw this.#missing(incomplete.id)
    return {
      content: this.#replay.content,
      segments: this.#segments,
      sequence: this.#sequence,
      synced: this.#synced,
      torn: this.#torn,
      unconfirmed: this.#sequence > this.#synced ? this.#last : [],
    }
  }

  #startOver(begun: Begun): void {
    this.#replay = new Replay(this.#cacheBytes)
    this.#segments = []
    this.#sequence = begun.header.segmentFirst - 1
  }

  /** Takes batches in sequence up to `until`; returns the offset at which it stopped. */
  #readBatches(segment: SegmentBytes, until: number): number {
    let at = 0
    let last: ScannedBatch | undefined
    while (this.#sequence + 1 < until) {
      const batch = readBatch(segment, at, this.#checksum)
      if (batch === undefined || batch.header.sequence !== this.#sequence + 1) break
      const stranger = this.#replay.apply(segment, batch)
      if (stranger !== undefined) throw damaged(segment.name, stranger.at)
      this.#sequence = batch.header.sequence
      this.#synced = Math.max(this.#synced, batch.header.synced)
      last = batch
      at += batchSize(batch.header)
    }
    if (last !== undefined) {
      this.#last = last.records.map((record) => ({ head: record.head, payload: payloadOf(segment, record).slice() }))
    }
    return at
  }

  /** A later batch that knows the missing one to be on disk tells damage from a torn tail. */
  #refuseIfConfirmed(segment: SegmentBytes, offset: number, until: number): void {
    const missed = this.#sequence + 1
    const witness = findHeader(
      segment,
      offset + SECTOR,
      this.#checksum,
      (header) => header.sequence > missed && header.sequence < until && header.synced >= missed,
    )
    if (witness !== undefined) throw damaged(segment.name, offset)
  }

  #missing(group: number): TroupeError {
    if (this.#gap !== undefined) return damaged(this.#gap.segment.name, this.#gap.offset)
    const name = segmentName(this.#segments[0] ?? 0)
    return new TroupeError(
      'DATA_DAMAGED',
      `a log segment before ${name} is missing: it holds entries of group ${group} that are still needed. ${REMEDY}`,
      { details: { file: name, offset: 0, group } },
    )
  }
}

/** Bytes from `offset` to the last one that is not zero, as prepared files are. */
function lengthBehind(bytes: Uint8Array, offset: number): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2)
  let end = bytes.length
  if (end % 4 === 0) while (end > offset + 4 && words[end / 4 - 1] === 0) end -= 4
  while (end > offset && bytes[end - 1] === 0) end--
  return end - offset
}

function lost(file: string): TroupeError {
  return new TroupeError('DATA_DAMAGED', `${file} is missing, or holds nothing of the log any more. ${REMEDY}`, {
    details: { file, offset: 0 },
  })
}

function damaged(file: string, offset: number): TroupeError {
  return new TroupeError('DATA_DAMAGED', `${file} is damaged at byte ${offset}, in what was confirmed. ${REMEDY}`, {
    details: { file, offset },
  })
}
