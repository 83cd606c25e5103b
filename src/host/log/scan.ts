/** A scan reads one segment from the front and yields its batches for as long as they are whole and in sequence. */

import { TroupeError } from '../../base/error.ts'
import {
  BATCH_HEADER,
  type BatchHeader,
  type Checksum,
  FORMAT_VERSION,
  RECORD_HEAD,
  type RecordHead,
  readBatchHeader,
  readRecord,
  SECTOR,
  toSectors,
} from './format.ts'

export interface SegmentBytes {
  readonly number: number
  readonly name: string
  readonly bytes: Uint8Array
}

export interface ScannedBatch {
  readonly header: BatchHeader
  readonly records: readonly ScannedRecord[]
}

export interface ScannedRecord {
  readonly head: RecordHead
  /** Where the head stands in the segment. */
  readonly at: number
}

/** The batch at this offset, or undefined when any of it is not what was written. */
export function readBatch(segment: SegmentBytes, at: number, checksum: Checksum): ScannedBatch | undefined {
  const header = headerAt(segment, at, checksum)
  if (header === undefined) return
  const end = at + BATCH_HEADER + header.length
  if (end > segment.bytes.length) return
  const records: ScannedRecord[] = []
  for (let next = at + BATCH_HEADER; next < end; ) {
    const head = readRecord(segment.bytes, next, end, { segment: segment.number, checksum })
    if (head === undefined) return
    records.push({ head, at: next })
    next += RECORD_HEAD + head.length
  }
  return { header, records }
}

/** Bytes from one batch to the next. */
export function batchSize(header: BatchHeader): number {
  return toSectors(BATCH_HEADER + header.length)
}

/** The first header from this offset on that satisfies `wanted`; the batch behind it may be damaged all the same. */
export function findHeader(
  segment: SegmentBytes,
  from: number,
  checksum: Checksum,
  wanted: (header: BatchHeader) => boolean,
): BatchHeader | undefined {
  for (let at = from; at < segment.bytes.length; at += SECTOR) {
    const header = headerAt(segment, at, checksum)
    if (header !== undefined && wanted(header)) return header
  }
  return
}

export function payloadOf(segment: SegmentBytes, record: ScannedRecord): Uint8Array {
  const from = record.at + RECORD_HEAD
  return segment.bytes.subarray(from, from + record.head.length)
}

function headerAt(segment: SegmentBytes, at: number, checksum: Checksum): BatchHeader | undefined {
  const header = readBatchHeader(segment.bytes, at, segment.number, checksum)
  if (header === undefined || header.version <= FORMAT_VERSION) return header
  throw new TroupeError(
    'VERSION_SKEW',
    `${segment.name} is of log format ${header.version}, and this version knows up to ${FORMAT_VERSION}. ` +
      'Start the version of Troupe that wrote it, or a newer one.',
    { details: { file: segment.name, offset: at, format: header.version } },
  )
}
