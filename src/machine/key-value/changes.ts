/** The change log keeps the most recent changes of a shard's maps for those who watch them. */

import { ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { lastingBytes } from '../../base/lasting.ts'
import { compareSpans, type Span, spanOf } from '../../base/span.ts'
import { COMMAND } from '../command.ts'
import type { Changes, Selection } from '../machine.ts'

/** A change as a watcher receives it. */
export interface MapChange {
  readonly type: 'set' | 'delete'
  readonly key: string
  readonly revision: number
  /** A view into the encoded changes; empty for `'delete'`. */
  readonly value: Uint8Array
}

/** A change to take note of; `ChangeLog.add` copies what it needs, so that one object can be filled again and again. */
export interface NewChange extends Span {
  /** `COMMAND.set` or `COMMAND.delete`. */
  kind: number
  map: string
  /** Above all before it. */
  revision: number
}

export interface ChangeLimits {
  /** Most changes to keep; a quarter before anybody has asked for some. */
  readonly count: number
  /** Most bytes of entries to keep, with the same quarter; a single entry may be larger. */
  readonly bytes: number
}

/** Every group of a node has its own: what all of them keep should not be more than what they serve. */
export const CHANGE_LIMITS: ChangeLimits = { count: 16_384, bytes: 4 * 1024 * 1024 }

/** Changes are forgotten in as many parts. */
const SEGMENTS = 16
/** As many of them are kept before anybody has asked for changes: what nobody reads was two fifths of a busy node's page faults. */
const UNREAD_SEGMENTS = 4
const FEWEST_CHANGES = 16
const FEWEST_BYTES = 4096
const WORD_BYTES = 8
const NO_BYTES: Uint8Array = new Uint8Array(0)
const ENCODER = new TextEncoder()
/** `[kind u8, revision u53]` stands before key and value in an encoded change. */
const HEAD_BYTES = 9

/**
 * The log has copies of its own, since entries lie in buffers that hold much else. A change is `[key text, value blob]`
 * (of a set) or `[key text]` (of a delete), as it stands in its entry; when an entry has a change, all of it is copied
 * at once, which costs less than a piece for each.
 *
 * Invariant: segments are never empty, except the newest.
 * Invariant: every change after `#forgotten` up to the newest is here.
 */
export class ChangeLog implements Changes {
  readonly #limits: ChangeLimits
  readonly #segments: Segment[] = [new Segment()]
  #newest: Segment = this.#segments[0] ?? new Segment()
  #mostSegments = UNREAD_SEGMENTS
  /** Changes up to this revision may be missing. */
  #forgotten = 0
  /** Every change up to this revision has been seen. */
  #through = 0
  #entry: Uint8Array = NO_BYTES
  /** Where the newest segment has a copy of the present entry; -1 while it has none. */
  #copiedAt = -1

  constructor(limits: ChangeLimits = CHANGE_LIMITS) {
    this.#limits = limits
  }

  /** Changes that follow stand in this entry, unless they have bytes of their own. */
  begin(entry: Uint8Array): void {
    this.#entry = entry
    this.#copiedAt = -1
  }

  /** The entry may be used for something else. */
  end(): void {
    this.begin(NO_BYTES)
  }

  add(change: NewChange): void {
    const { bytes, start } = change
    const isOfEntry = bytes === this.#entry
    const isKept = isOfEntry && this.#copiedAt >= 0
    this.#makeRoom(isKept ? 0 : bytes.length)
    const at = isOfEntry && this.#copiedAt >= 0 ? this.#copiedAt : this.#newest.keep(bytes)
    if (isOfEntry) this.#copiedAt = at
    this.#newest.add(change, at + start)
    this.#through = change.revision
  }

  /** Every change up to this revision is here: not every revision has one. */
  reached(revision: number): void {
    this.#through = revision
  }

  after(revision: number, selection: Selection, limitBytes: number): ReturnType<Changes['after']> {
    this.#mostSegments = SEGMENTS
    const found = new ByteWriter()
    let count = 0
    if (revision < this.#forgotten) return { changes: found.take(), count, through: revision, compacted: true }
    const selected = { map: selection.map, from: encode(selection.from), until: encode(selection.until) }
    for (const segment of this.#segments) {
      for (let at = segment.firstAbove(revision); at < segment.count; at++) {
        if (!segment.isSelected(at, selected)) continue
        const change = segment.bytesOf(at)
        if (count > 0 && found.length + HEAD_BYTES + change.length > limitBytes) {
          return { changes: found.take(), count, through: segment.revisionOf(at) - 1, compacted: false }
        }
        found.u8(segment.kindOf(at))
        found.u53(segment.revisionOf(at))
        found.raw(change)
        count++
      }
    }
    return { changes: found.take(), count, through: Math.max(this.#through, revision), compacted: false }
  }

  /** Forgets all and goes on from a state with this revision. */
  reset(revision: number): void {
    this.#newest = new Segment()
    this.#segments.splice(0, this.#segments.length, this.#newest)
    this.#copiedAt = -1
    this.#forgotten = revision
    this.#through = revision
  }

  /** Sees to it that the newest segment may take one change more, and so many bytes. */
  #makeRoom(length: number): void {
    const { count, bytes } = this.#limits
    const newest = this.#newest
    if (newest.count === 0) return
    if (newest.count < count / SEGMENTS && (length === 0 || newest.length + WORD_BYTES + length <= bytes / SEGMENTS))
      return
    const oldest = this.#segments.length >= this.#mostSegments ? this.#segments.shift() : undefined
    if (oldest !== undefined) this.#forgotten = oldest.revisionOf(oldest.count - 1)
    oldest?.clear(2 * (bytes / SEGMENTS))
    // The first segment grows from little; those that follow will be about as large.
    this.#newest = oldest ?? new Segment(Math.min(newest.length, bytes / SEGMENTS), newest.count)
    this.#segments.push(this.#newest)
    this.#copiedAt = -1
  }
}

/** Reads what {@link Changes.after} gave. Throws `DATA_DAMAGED` when it is none. */
export function decodeChanges(changes: Uint8Array): readonly MapChange[] {
  const reader = new ByteReader(changes)
  const decoded: MapChange[] = []
  while (reader.remaining > 0) {
    const kind = reader.u8()
    if (kind !== COMMAND.set && kind !== COMMAND.delete) throw malformed('no such change')
    const revision = reader.u53()
    const key = reader.text()
    if (kind === COMMAND.delete) decoded.push({ type: 'delete', key, revision, value: new Uint8Array(0) })
    else decoded.push({ type: 'set', key, revision, value: reader.blob() })
  }
  return decoded
}

/** A selection as bytes. */
interface SelectedBytes {
  readonly map: string
  readonly from: Span
  readonly until: Span
}

/** Changes in the order of their revisions, a column for each of their parts. It is used again when its changes are forgotten. */
class Segment {
  count = 0
  /** Of all entries that the changes stand in, in bytes. */
  length = 0
  #bytes: Uint8Array
  #kinds: Uint8Array
  #revisions: Float64Array
  /** Two for each: where it begins and ends. */
  #bounds: Uint32Array
  readonly #maps: string[] = []

  /** With room for entries of `bytes` and for `changes`; it grows beyond when need be. */
  constructor(bytes = 0, changes = 0) {
    this.#bytes = lastingBytes(bytes)
    this.#kinds = new Uint8Array(changes)
    this.#revisions = new Float64Array(changes)
    this.#bounds = new Uint32Array(2 * changes)
  }

  /** Forgets all, and gives back a buffer of more than `most` bytes, which an extraordinary entry needed. */
  clear(most: number): void {
    this.count = 0
    this.length = 0
    if (this.#bytes.length > most) this.#bytes = NO_BYTES
  }

  /**
   * Copies the bytes and says where they are: as far from a whole word as they were, since memory that threads can
   * share is copied word by word then, and byte by byte otherwise.
   */
  keep(bytes: Uint8Array): number {
    const at = this.length + ((bytes.byteOffset - this.length) & (WORD_BYTES - 1))
    if (at + bytes.length > this.#bytes.length) this.#enlarge(at + bytes.length)
    this.#bytes.set(bytes, at)
    this.length = at + bytes.length
    return at
  }

  /** Takes note of a change whose bytes begin at `start`. */
  add({ kind, map, revision, start, end }: NewChange, at: number): void {
    if (this.count === this.#kinds.length) this.#lengthen()
    this.#kinds[this.count] = kind
    this.#revisions[this.count] = revision
    this.#bounds[2 * this.count] = at
    this.#bounds[2 * this.count + 1] = at + end - start
    this.#maps[this.count] = map
    this.count++
  }

  kindOf(at: number): number {
    return this.#kinds[at] ?? 0
  }

  revisionOf(at: number): number {
    return this.#revisions[at] ?? 0
  }

  bytesOf(at: number): Uint8Array {
    return this.#bytes.subarray(this.#bounds[2 * at], this.#bounds[2 * at + 1])
  }

  isSelected(at: number, { map, from, until }: SelectedBytes): boolean {
    if (this.#maps[at] !== map) return false
    const reader = new ByteReader(this.#bytes, this.#bounds[2 * at])
    const start = reader.skipText()
    const key = { bytes: this.#bytes, start, end: reader.at }
    return compareSpans(key, from) >= 0 && (until.end === 0 || compareSpans(key, until) < 0)
  }

  /** The first change after a revision. */
  firstAbove(revision: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.revisionOf(middle) <= revision) low = middle + 1
      else high = middle
    }
    return low
  }

  #enlarge(length: number): void {
    const larger = lastingBytes(Math.max(length, 2 * this.#bytes.length, FEWEST_BYTES))
    larger.set(this.#bytes.subarray(0, this.length))
    this.#bytes = larger
  }

  #lengthen(): void {
    const size = Math.max(2 * this.count, FEWEST_CHANGES)
    const kinds = new Uint8Array(size)
    kinds.set(this.#kinds)
    const revisions = new Float64Array(size)
    revisions.set(this.#revisions)
    const bounds = new Uint32Array(2 * size)
    bounds.set(this.#bounds)
    this.#kinds = kinds
    this.#revisions = revisions
    this.#bounds = bounds
  }
}

function encode(text: string): Span {
  return spanOf(ENCODER.encode(text))
}
