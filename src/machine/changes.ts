/** The change log keeps the most recent changes of a shard's maps for those who watch them. */

import { required } from '../base/assert.ts'
import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { COMMAND } from './command.ts'
import { compareKeys } from './key-index.ts'
import type { Changes, Selection } from './machine.ts'

/** A change as a watcher receives it. */
export interface MapChange {
  readonly type: 'set' | 'delete'
  readonly key: string
  readonly revision: number
  /** A view into the encoded changes; empty for `'delete'`. */
  readonly value: Uint8Array
}

export interface NewChange {
  /** `COMMAND.set` or `COMMAND.delete`. */
  readonly kind: number
  readonly map: string
  readonly key: string
  /** Above all before it. */
  readonly revision: number
}

/** Where a change's `[key text, value blob]` (of a set) or `[key text]` (of a delete) stands in its entry. */
export interface Place {
  /** Kept as it is, not copied: it must hold little else, and never change. */
  readonly entry: Uint8Array
  readonly start: number
  readonly end: number
}

export interface ChangeLimits {
  /** Most changes to keep. */
  readonly count: number
  /** Most bytes of entries to keep; a single entry may be larger. */
  readonly bytes: number
}

export const CHANGE_LIMITS: ChangeLimits = { count: 65_536, bytes: 16 * 1024 * 1024 }

/** Changes are forgotten in parts of about this size. */
const SEGMENTS = 16
/** `[kind u8, revision u53]` stands before key and value in an encoded change. */
const HEAD_BYTES = 9

/** Changes in the order of their revisions, a column for each of their parts. */
interface Segment {
  readonly kinds: number[]
  readonly maps: string[]
  readonly keys: string[]
  readonly revisions: number[]
  readonly entries: Uint8Array[]
  readonly starts: number[]
  readonly ends: number[]
  /** Of all entries that the changes stand in. */
  bytes: number
}

/**
 * Invariant: segments are never empty, except the newest.
 * Invariant: every change after `#forgotten` up to the newest is here.
 */
export class ChangeLog implements Changes {
  readonly #limits: ChangeLimits
  readonly #segments: Segment[] = [emptySegment()]
  #newest: Segment = this.#segments[0] ?? emptySegment()
  /** Changes up to this revision may be missing. */
  #forgotten = 0
  /** Every change up to this revision has been seen. */
  #through = 0

  constructor(limits: ChangeLimits = CHANGE_LIMITS) {
    this.#limits = limits
  }

  /** Takes note of a change, whose bytes stay where they are. */
  add(change: NewChange, { entry, start, end }: Place): void {
    const { count, bytes } = this.#limits
    const isNewEntry = entry !== this.#newest.entries.at(-1)
    const isFull = isNewEntry && this.#newest.bytes + entry.length > bytes / SEGMENTS
    if (this.#newest.starts.length > 0 && (isFull || this.#newest.starts.length >= count / SEGMENTS)) this.#rotate()
    const segment = this.#newest
    if (entry !== segment.entries.at(-1)) segment.bytes += entry.length
    segment.kinds.push(change.kind)
    segment.maps.push(change.map)
    segment.keys.push(change.key)
    segment.revisions.push(change.revision)
    segment.entries.push(entry)
    segment.starts.push(start)
    segment.ends.push(end)
    this.#through = change.revision
  }

  /** Every change up to this revision is here: not every revision has one. */
  reached(revision: number): void {
    this.#through = revision
  }

  after(revision: number, selection: Selection, limitBytes: number): ReturnType<Changes['after']> {
    const found = new ByteWriter()
    let count = 0
    if (revision < this.#forgotten) return { changes: found.take(), count, through: revision, compacted: true }
    for (const segment of this.#segments) {
      if ((segment.revisions.at(-1) ?? 0) <= revision) continue
      for (let at = firstAbove(segment.revisions, revision); at < segment.starts.length; at++) {
        if (!isSelected(segment, at, selection)) continue
        const change = bytesOf(segment, at)
        const revision = segment.revisions[at] ?? 0
        if (count > 0 && found.length + HEAD_BYTES + change.length > limitBytes) {
          return { changes: found.take(), count, through: revision - 1, compacted: false }
        }
        found.u8(segment.kinds[at] ?? 0)
        found.u53(revision)
        found.raw(change)
        count++
      }
    }
    return { changes: found.take(), count, through: Math.max(this.#through, revision), compacted: false }
  }

  /** Forgets all and goes on from a state with this revision. */
  reset(revision: number): void {
    this.#newest = emptySegment()
    this.#segments.splice(0, this.#segments.length, this.#newest)
    this.#forgotten = revision
    this.#through = revision
  }

  #rotate(): void {
    if (this.#segments.length >= SEGMENTS) this.#forgotten = this.#segments.shift()?.revisions.at(-1) ?? this.#forgotten
    this.#newest = emptySegment()
    this.#segments.push(this.#newest)
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

function emptySegment(): Segment {
  return { kinds: [], maps: [], keys: [], revisions: [], entries: [], starts: [], ends: [], bytes: 0 }
}

function bytesOf(segment: Segment, at: number): Uint8Array {
  return required(segment.entries[at], 'the entry of a change').subarray(segment.starts[at], segment.ends[at])
}

function isSelected(segment: Segment, at: number, { map, from, until }: Selection): boolean {
  const key = segment.keys[at] ?? ''
  if (segment.maps[at] !== map || compareKeys(key, from) < 0) return false
  return until === '' || compareKeys(key, until) < 0
}

function firstAbove(revisions: readonly number[], revision: number): number {
  let low = 0
  let high = revisions.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((revisions[middle] ?? 0) <= revision) low = middle + 1
    else high = middle
  }
  return low
}
