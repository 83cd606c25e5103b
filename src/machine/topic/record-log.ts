/** A record log keeps the records of a partition in memory, as encoded bytes in few large segments. */

import { assert, required } from '../../base/assert.ts'
import { ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { HEADERS_LIMIT_BYTES } from '../../base/headers.ts'
import { lastingBytes } from '../../base/lasting.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import type { RecordStore } from './command.ts'

const SEGMENT_BYTES: number = 256 * 1024
const FIRST_BYTES = 512
/** Positions are remembered so far apart: a search ends in a walk of at most this many bytes. */
const MARK_BYTES = 4096
const CHUNK_BYTES = 50_000
/** Offset and time, which come before a record's content. */
const HEAD_BYTES = 16

/** What compaction has to know of a record. */
export interface VisitedRecord {
  readonly offset: number
  readonly time: LeaderMicros
  readonly key: string
  /** Its payload is empty. */
  readonly isEmpty: boolean
}

/** Records in consecutive bytes, which never change: a view of them is good for ever, also when the segment is replaced. */
class Segment {
  bytes: Uint8Array
  view: DataView
  /** Where the first kept record begins. */
  start = 0
  length = 0
  count = 0
  /** Bytes of all records that came to it, those dropped included: what decides when the next segment begins. */
  written = 0
  readonly marks: number[] = []
  /** Where the last record begins. */
  #last = 0

  constructor(capacity: number) {
    this.bytes = lastingBytes(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Bytes of the kept records. */
  get size(): number {
    return this.length - this.start
  }

  get lastOffset(): number {
    return this.offsetAt(this.#last)
  }

  get lastTime(): LeaderMicros {
    return this.timeAt(this.#last)
  }

  *positions(): Generator<number> {
    for (let position = this.start; position < this.length; position = this.endOf(position)) yield position
  }

  record(position: number): Uint8Array {
    return this.bytes.subarray(position, this.endOf(position))
  }

  offsetAt(position: number): number {
    return this.view.getUint32(position + 4, true) * 2 ** 32 + this.view.getUint32(position, true)
  }

  timeAt(position: number): LeaderMicros {
    return this.offsetAt(position + 8)
  }

  endOf(position: number): number {
    return endOf(this.view, position)
  }

  /** Makes room for a record, and returns where it goes. */
  extend(bytes: number): number {
    const position = this.length
    const needed = position + bytes
    if (needed > this.bytes.length) {
      const grown = lastingBytes(Math.max(needed, Math.min(this.bytes.length * 2, SEGMENT_BYTES)))
      grown.set(this.bytes.subarray(0, position))
      this.bytes = grown
      this.view = new DataView(grown.buffer)
    }
    const last = this.marks.at(-1)
    if (last === undefined || position - last >= MARK_BYTES) this.marks.push(position)
    this.#last = position
    this.length = needed
    this.count++
    return position
  }

  copy(record: Uint8Array): void {
    const position = this.extend(record.length)
    this.bytes.set(record, position)
  }

  /** Where the first record begins of which `valueAt` gives at least `target`; `length` when there is none. */
  seek(target: number, valueAt: (position: number) => number): number {
    let low = 0
    let high = this.marks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (valueAt(this.marks[middle] ?? 0) < target) low = middle + 1
      else high = middle
    }
    let position = Math.max(this.start, this.marks[low - 1] ?? 0)
    while (position < this.length && valueAt(position) < target) position = this.endOf(position)
    return position
  }
}

/**
 * Invariant: offsets grow and times never fall, along the segments and within them.
 * Invariant: no segment is without a kept record.
 */
export class RecordLog implements RecordStore {
  #segments: Segment[] = []
  #next = 0
  #bytes = 0
  #count = 0
  #lastTime: LeaderMicros = 0

  get first(): number {
    const segment = this.#segments[0]
    return segment === undefined ? this.#next : segment.offsetAt(segment.start)
  }

  get next(): number {
    return this.#next
  }

  /** The offset of the last record; -1 when there is none. */
  get last(): number {
    return this.#segments.at(-1)?.lastOffset ?? -1
  }

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  get firstTime(): LeaderMicros {
    const segment = this.#segments[0]
    return segment === undefined ? Number.POSITIVE_INFINITY : segment.timeAt(segment.start)
  }

  get lastTime(): LeaderMicros {
    return this.#lastTime
  }

  append(time: LeaderMicros, content: Uint8Array): number {
    const length = HEAD_BYTES + content.length
    let segment = this.#segments.at(-1)
    if (segment === undefined || segment.written + length > SEGMENT_BYTES) segment = this.#begin(length)
    const position = segment.extend(length)
    segment.written += length
    putNumber(segment.view, position, this.#next)
    putNumber(segment.view, position + 8, time)
    segment.bytes.set(content, position + HEAD_BYTES)
    this.#bytes += length
    this.#count++
    this.#lastTime = time
    return this.#next++
  }

  /** A view of one segment's records: there may be more in the next. */
  read(offset: number, limitBytes: number): ReturnType<RecordStore['read']> {
    const at = this.#segmentOf(offset)
    const segment = this.#segments[at]
    if (segment === undefined) return { records: new Uint8Array(0), count: 0, next: Math.max(offset, this.#next) }
    const start = segment.seek(offset, (position) => segment.offsetAt(position))
    let end = start
    let last = start
    let count = 0
    while (end < segment.length) {
      const following = segment.endOf(end)
      if (count > 0 && following - start > limitBytes) break
      last = end
      end = following
      count++
    }
    return { records: segment.bytes.subarray(start, end), count, next: segment.offsetAt(last) + 1 }
  }

  offsetAt(time: LeaderMicros): number {
    const at = lowest(this.#segments.length, (index) => this.#segment(index).lastTime >= time)
    const segment = this.#segments[at]
    if (segment === undefined) return this.#next
    return segment.offsetAt(segment.seek(time, (position) => segment.timeAt(position)))
  }

  dropBefore(offset: number): void {
    const whole = this.#segmentOf(offset)
    for (const segment of this.#segments.splice(0, whole)) {
      this.#bytes -= segment.size
      this.#count -= segment.count
    }
    const segment = this.#segments[0]
    while (segment !== undefined && segment.offsetAt(segment.start) < offset) {
      const end = segment.endOf(segment.start)
      this.#bytes -= end - segment.start
      this.#count--
      segment.count--
      segment.start = end
    }
  }

  /** Calls `visit` with each record in [from, until), in their order. */
  forEach(from: number, until: number, visit: (record: VisitedRecord) => void): void {
    for (let at = this.#segmentOf(from); at < this.#segments.length; at++) {
      const segment = this.#segment(at)
      for (const position of segment.positions()) {
        const offset = segment.offsetAt(position)
        if (offset >= until) return
        if (offset >= from) visit(visited(segment, position))
      }
    }
  }

  /**
   * Leaves out of the segment with the first record from `offset` on those that `isKept` denies; joins it with the one
   * before where both are small. Returns the offset at which the next segment may begin.
   */
  rewrite(offset: number, isKept: (record: VisitedRecord) => boolean): number {
    const at = this.#segmentOf(offset)
    const segment = this.#segments[at]
    if (segment === undefined) return this.#next
    const next = segment.lastOffset + 1
    const kept: number[] = []
    let bytes = 0
    for (const position of segment.positions()) {
      if (!isKept(visited(segment, position))) continue
      kept.push(position)
      bytes += segment.endOf(position) - position
    }
    if (kept.length === segment.count) return next
    this.#bytes -= segment.size - bytes
    this.#count -= segment.count - kept.length
    this.#replace(at, kept, bytes)
    return next
  }

  freeze(): { chunks(): Iterable<Uint8Array>; release(): void } {
    const frozen = this.#segments.map(({ view, start, length, written }) => ({ view, start, length, written }))
    return {
      *chunks(): Generator<Uint8Array> {
        for (const segment of frozen) yield* chunksOf(segment)
      },
      release(): void {},
    }
  }

  /** Begins to put back a log that had come to these. */
  begin(next: number, lastTime: LeaderMicros): void {
    assert(this.#next === 0 && this.#count === 0, 'a log is loaded into nothing')
    this.#next = next
    this.#lastTime = lastTime
  }

  /** Puts back a chunk of a frozen log; throws `malformed` for one that is none. */
  load(chunk: ByteReader): void {
    const isBeginning = chunk.u8() === 1
    const written = chunk.u53()
    let { last } = this
    if (isBeginning) this.#segments.push(new Segment(Math.max(chunk.remaining, FIRST_BYTES)))
    const segment = this.#segments.at(-1)
    if (segment === undefined || chunk.remaining === 0) throw malformed('a segment without a beginning')
    while (chunk.remaining > 0) {
      const start = chunk.at
      const [offset, time] = [chunk.u53(), chunk.u53()]
      chunk.text(KEY_LIMIT_BYTES)
      chunk.blob(HEADERS_LIMIT_BYTES)
      chunk.blob(VALUE_LIMIT_BYTES)
      if (offset >= this.#next || time > this.#lastTime) throw malformed('a record is newer than its partition')
      if (offset <= last) throw malformed('records are out of order')
      last = offset
      segment.copy(chunk.bytes.subarray(start, chunk.at))
      this.#bytes += chunk.at - start
      this.#count++
    }
    segment.written = written
  }

  #begin(bytes: number): Segment {
    const segment = new Segment(Math.max(bytes, FIRST_BYTES))
    this.#segments.push(segment)
    return segment
  }

  #replace(at: number, kept: readonly number[], bytes: number): void {
    const segment = this.#segment(at)
    if (kept.length === 0) {
      this.#segments.splice(at, 1)
      return
    }
    const before = this.#segments[at - 1]
    const joined = before !== undefined && before.size + bytes <= SEGMENT_BYTES / 2 ? before : undefined
    const rewritten = new Segment(bytes + (joined?.size ?? 0))
    for (const position of joined?.positions() ?? []) rewritten.copy(required(joined, 'a segment').record(position))
    for (const position of kept) rewritten.copy(segment.record(position))
    rewritten.written = rewritten.length
    if (joined === undefined) this.#segments[at] = rewritten
    else this.#segments.splice(at - 1, 2, rewritten)
  }

  /** The place of the first segment with a record from `offset` on. */
  #segmentOf(offset: number): number {
    return lowest(this.#segments.length, (index) => this.#segment(index).lastOffset >= offset)
  }

  #segment(index: number): Segment {
    return required(this.#segments[index], 'a segment')
  }
}

/** Records of a segment as they were; later ones go behind `length`, or into another buffer. */
interface FrozenSegment {
  readonly view: DataView
  readonly start: number
  readonly length: number
  readonly written: number
}

/** Each `[is the segment's first u8, written u53, records]`. */
function* chunksOf({ view, start, length, written }: FrozenSegment): Generator<Uint8Array> {
  for (let from = start; from < length; ) {
    let end = endOf(view, from)
    for (let next = end; next <= length && next - from <= CHUNK_BYTES; ) {
      end = next
      next = end < length ? endOf(view, end) : Number.POSITIVE_INFINITY
    }
    const writer = new ByteWriter(end - from + 9)
    writer.u8(from === start ? 1 : 0)
    writer.u53(written)
    writer.raw(new Uint8Array(view.buffer, view.byteOffset + from, end - from))
    yield writer.take(0)
    from = end
  }
}

function endOf(view: DataView, position: number): number {
  let end = position + HEAD_BYTES
  for (let field = 0; field < 3; field++) end += 4 + view.getUint32(end, true)
  return end
}

function visited(segment: Segment, position: number): VisitedRecord {
  const reader = new ByteReader(segment.bytes, position + HEAD_BYTES)
  const key = reader.text()
  reader.blob()
  return { offset: segment.offsetAt(position), time: segment.timeAt(position), key, isEmpty: reader.u32() === 0 }
}

function putNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
}

/** The lowest index below `count` that passes, where all after it do as well; `count` when none does. */
function lowest(count: number, passes: (index: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (passes(middle)) high = middle
    else low = middle + 1
  }
  return low
}
