/** The change log keeps the most recent changes of a shard's maps for those who watch them. */

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

export interface ChangeLimits {
  /** Most changes to keep. */
  readonly count: number
  /** Most bytes of keys and values to keep; a single change may be larger. */
  readonly bytes: number
}

export const CHANGE_LIMITS: ChangeLimits = { count: 65_536, bytes: 16 * 1024 * 1024 }

/** Changes are forgotten in parts of about this size. */
const SEGMENTS = 16
const SEGMENT_ROOM = 1024

/** Changes in the order of their revisions; `encoded` holds `[kind u8, revision u53, key text, value blob (of a set)]` of each. */
interface Segment {
  readonly encoded: ByteWriter
  readonly maps: string[]
  readonly keys: string[]
  readonly revisions: number[]
  /** Where each change begins. */
  readonly starts: number[]
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

  /** @param keyAndValue as they stand in the command: `[key text, value blob]` for a set, `[key text]` for a delete */
  add(change: NewChange, keyAndValue: Uint8Array): void {
    const { count, bytes } = this.#limits
    const full = this.#newest.encoded.length + keyAndValue.length > bytes / SEGMENTS
    if (this.#newest.starts.length > 0 && (full || this.#newest.starts.length >= count / SEGMENTS)) this.#rotate()
    const segment = this.#newest
    segment.starts.push(segment.encoded.length)
    segment.maps.push(change.map)
    segment.keys.push(change.key)
    segment.revisions.push(change.revision)
    segment.encoded.u8(change.kind)
    segment.encoded.u53(change.revision)
    segment.encoded.raw(keyAndValue)
    this.#through = change.revision
  }

  after(revision: number, selection: Selection, limitBytes: number): ReturnType<Changes['after']> {
    const found = new ByteWriter()
    let count = 0
    if (revision < this.#forgotten) return { changes: found.take(), count, through: revision, compacted: true }
    for (const segment of this.#segments) {
      if ((segment.revisions.at(-1) ?? 0) <= revision) continue
      for (let at = firstAbove(segment.revisions, revision); at < segment.starts.length; at++) {
        if (!isSelected(segment, at, selection)) continue
        const start = segment.starts[at] ?? 0
        const end = segment.starts[at + 1] ?? segment.encoded.length
        if (count > 0 && found.length + end - start > limitBytes) {
          return { changes: found.take(), count, through: (segment.revisions[at] ?? 0) - 1, compacted: false }
        }
        found.raw(segment.encoded.bytes.subarray(start, end))
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

  /** Begins a new segment, in the buffers of the oldest when there are enough. */
  #rotate(): void {
    const oldest = this.#segments.length < SEGMENTS ? undefined : this.#segments.shift()
    this.#forgotten = oldest?.revisions.at(-1) ?? this.#forgotten
    this.#newest = oldest ?? emptySegment()
    this.#newest.encoded.length = 0
    for (const column of [this.#newest.maps, this.#newest.keys, this.#newest.revisions, this.#newest.starts]) {
      column.length = 0
    }
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
  return { encoded: new ByteWriter(SEGMENT_ROOM), maps: [], keys: [], revisions: [], starts: [] }
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
