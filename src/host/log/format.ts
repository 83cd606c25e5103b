/**
 * The log's format is batches of records in numbered segments; docs/decisions/0004 says why each field is there.
 *
 * A batch is what one write and one sync make durable. It starts at a sector's boundary, so that a torn write never
 * shares a sector with bytes that were confirmed before. All numbers are little-endian.
 */

import { hashNumber } from '../../base/hash.ts'
import type { EntryKind } from '../../protocol/raft/message.ts'

export const FORMAT_VERSION = 1
export const SECTOR = 512
export const BATCH_HEADER = 64
export const RECORD_HEAD = 40

/** CRC-32 as the disk port offers it. */
export type Checksum = (bytes: Uint8Array, seed?: number) => number

const MAGIC = 0x4c505254 // 'TRPL'
const HIGH = 2 ** 32

/** What a record is about. The numbers are on disk and never change their meaning. */
export const RECORD = {
  command: 1,
  empty: 2,
  configuration: 3,
  hardState: 16,
  /** The log now starts at this position; entries after it stay. */
  compacted: 17,
  /** The log is replaced by a snapshot that ends at this position. */
  installed: 18,
  /** At the head of every segment, for each group: what a reader must know who has none of the older segments. */
  checkpoint: 19,
} as const

export interface BatchHeader {
  readonly version: number
  readonly segment: number
  /** Counts the batches of a log, over all segments; 1 is the first. */
  readonly sequence: number
  /** The sequence with which this segment began; batches from there on that stand in older segments are void. */
  readonly segmentFirst: number
  /** The marker: every batch up to this sequence had been confirmed by the disk when this one was written. */
  readonly synced: number
  /** Bytes of records after the header. */
  readonly length: number
}

export interface RecordHead {
  readonly kind: number
  readonly group: number
  readonly term: number
  readonly index: number
  /** The group's hash chain at this record. */
  readonly chain: number
  readonly payloadCrc: number
  /** Bytes of payload after the head. */
  readonly length: number
}

export function toSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR) * SECTOR
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** @param length bytes of records after the header */
export function writeBatchHeader(
  bytes: Uint8Array,
  header: Omit<BatchHeader, 'length'>,
  length: number,
  checksum: Checksum,
): void {
  const view = viewOf(bytes)
  bytes.fill(0, 0, BATCH_HEADER)
  view.setUint32(0, MAGIC, true)
  view.setUint16(8, header.version, true)
  view.setUint32(12, header.segment, true)
  setU53(view, 16, header.sequence)
  setU53(view, 24, header.segmentFirst)
  setU53(view, 32, header.synced)
  view.setUint32(40, length, true)
  view.setUint32(4, checksum(bytes.subarray(8, BATCH_HEADER)), true)
}

/** The header at this offset, or undefined when there is none that could have been written into this segment. */
export function readBatchHeader(
  bytes: Uint8Array,
  at: number,
  segment: number,
  checksum: Checksum,
): BatchHeader | undefined {
  if (at + BATCH_HEADER > bytes.length) return
  const view = viewOf(bytes)
  if (view.getUint32(at, true) !== MAGIC || view.getUint32(at + 12, true) !== segment) return
  if (view.getUint32(at + 4, true) !== checksum(bytes.subarray(at + 8, at + BATCH_HEADER))) return
  return {
    version: view.getUint16(at + 8, true),
    segment,
    sequence: getU53(view, at + 16),
    segmentFirst: getU53(view, at + 24),
    synced: getU53(view, at + 32),
    length: view.getUint32(at + 40, true),
  }
}

/** Writes all but the head's own checksum, which {@link sealRecord} adds once the segment is known. */
export function writeRecordHead(view: DataView, at: number, head: RecordHead): void {
  view.setUint32(at + 4, head.payloadCrc, true)
  view.setUint32(at + 8, head.length, true)
  view.setUint32(at + 12, head.group, true)
  setU53(view, at + 16, head.term)
  setU53(view, at + 24, head.index)
  view.setUint32(at + 32, head.chain, true)
  view.setUint32(at + 36, head.kind, true)
}

/** The checksum is seeded with the segment's number: what a recycled segment still holds never looks like a record of the new one. */
export function sealRecord(bytes: Uint8Array, view: DataView, at: number, seal: Seal): void {
  view.setUint32(at, seal.checksum(bytes.subarray(at + 4, at + RECORD_HEAD), seal.segment), true)
}

export interface Seal {
  readonly segment: number
  readonly checksum: Checksum
}

/** The record at this offset, or undefined when head or payload are not what was written or reach beyond `end`. */
export function readRecord(bytes: Uint8Array, at: number, end: number, seal: Seal): RecordHead | undefined {
  if (at + RECORD_HEAD > end) return
  const view = viewOf(bytes)
  if (view.getUint32(at, true) !== seal.checksum(bytes.subarray(at + 4, at + RECORD_HEAD), seal.segment)) return
  const head = readRecordHead(view, at)
  const payload = at + RECORD_HEAD
  if (payload + head.length > end) return
  if (seal.checksum(bytes.subarray(payload, payload + head.length)) !== head.payloadCrc) return
  return head
}

/** The head as it stands, unchecked. */
export function readRecordHead(view: DataView, at: number): RecordHead {
  return {
    payloadCrc: view.getUint32(at + 4, true),
    length: view.getUint32(at + 8, true),
    group: view.getUint32(at + 12, true),
    term: getU53(view, at + 16),
    index: getU53(view, at + 24),
    chain: view.getUint32(at + 32, true),
    kind: view.getUint32(at + 36, true),
  }
}

/** Hash over all entries of a group so far, the next one included; the same on every replica. */
export function nextChain(chain: number, entry: Omit<RecordHead, 'chain' | 'group' | 'length'>): number {
  const position = hashNumber(entry.index, hashNumber(entry.term, chain))
  return hashNumber(entry.payloadCrc, hashNumber(entry.kind, position))
}

export function isEntry(kind: number): boolean {
  return kind <= RECORD.configuration
}

export function entryKind(kind: number): EntryKind {
  if (kind === RECORD.command) return 'command'
  return kind === RECORD.empty ? 'empty' : 'configuration'
}

function setU53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / HIGH), true)
}

function getU53(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * HIGH + view.getUint32(at, true)
}
