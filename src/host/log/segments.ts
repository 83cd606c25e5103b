/** A segment is one file of the log: numbered, allocated ahead, written from front to back once, then recycled whole. */

import { required } from '../../base/assert.ts'
import type { Disk, DiskFile } from '../port.ts'

export interface Segment {
  readonly number: number
  readonly name: string
  readonly file: DiskFile
}

interface Spare {
  readonly number: number
  state: 'awaited' | 'ready' | 'failed'
}

const NAME = /^log-(\d{8,})$/
/** A segment's number is the seed of checksums. */
const LARGEST_NUMBER = 2 ** 32 - 1
/** The segment that a start creates is small, because the start waits for it. */
const FIRST_BYTES = 4 * 1024 * 1024

export function segmentName(number: number): string {
  return `log-${String(number).padStart(8, '0')}`
}

/** Numbers of the segments among these file names, ascending. Names that no segment has are of other files. */
export function segmentNumbers(names: readonly string[]): number[] {
  const numbers = names.map((name) => Number(NAME.exec(name)?.[1] ?? 0))
  const isSegment = (number: number, at: number): boolean =>
    number > 0 && number <= LARGEST_NUMBER && segmentName(number) === names[at]
  return numbers.filter(isSegment).sort((a, b) => a - b)
}

export interface SegmentOptions {
  /** Bytes of a segment. */
  readonly bytes: number
  /** Whether what is written is synced: only then may a disk take it past the operating system's cache. */
  readonly isSynced: boolean
}

/**
 * The segments of an open log. Numbers only grow: giving a file a new number voids all that it holds, because header
 * and records are checked against the number.
 */
export class Segments {
  readonly #disk: Disk
  readonly #options: SegmentOptions
  #segments: Segment[] = []
  #spare: Spare | undefined = undefined
  #newest: number

  /** @param begun numbers of the segments that hold the log, ascending */
  constructor(disk: Disk, options: SegmentOptions, begun: readonly number[]) {
    this.#disk = disk
    this.#options = options
    this.#newest = segmentNumbers(disk.list()).at(-1) ?? 0
    for (const number of begun) this.#add(number, (name) => disk.open(name))
  }

  get all(): readonly Segment[] {
    return this.#segments
  }

  get current(): Segment {
    return required(this.#segments.at(-1), 'the segment that is being written')
  }

  get oldest(): Segment {
    return required(this.#segments[0], 'the oldest segment')
  }

  /** Bytes of all segments, allocated or written. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.file.size, 0)
  }

  get(number: number): Segment {
    return required(
      this.#segments.find((segment) => segment.number === number),
      `segment ${number}`,
    )
  }

  /** Creates the segment with which a start goes on, durably. */
  first(neededBytes: number): Segment {
    return this.#create(Math.max(neededBytes, Math.min(this.#options.bytes, FIRST_BYTES)))
  }

  /** The next segment: the one that was prepared, or a new one that the caller has to wait for. */
  next(neededBytes: number): Segment {
    if (this.#spare?.state === 'failed') this.#spare = undefined
    if (this.#spare?.state !== 'ready' || neededBytes > this.#options.bytes) {
      return this.#create(Math.max(neededBytes, this.#options.bytes))
    }
    const { number } = this.#spare
    this.#spare = undefined
    if (number > this.current.number) return this.#open(number)
    // A segment had to be created before this one was ready: it goes on with a number that follows.
    this.#newest++
    this.#disk.rename(segmentName(number), segmentName(this.#newest))
    this.#disk.syncDirectory()
    return this.#open(this.#newest)
  }

  /** Sees to it that the next segment will be there. */
  prepare(): void {
    if (this.#spare !== undefined) return
    this.#newest++
    this.#allocate(this.#newest)
  }

  /** The oldest segments, as long as `isFree` says so, and never the current one. */
  free(isFree: (segment: Segment) => boolean): readonly Segment[] {
    const needed = this.#segments.findIndex((segment) => segment === this.current || !isFree(segment))
    return this.#segments.slice(0, needed)
  }

  /** Gives up segments that nobody needs: one becomes the next to be written, the others go. */
  recycle(free: readonly Segment[]): void {
    for (const segment of free) {
      segment.file.close()
      this.#segments = this.#segments.filter((other) => other !== segment)
      this.#giveUp(segment.name, segment.file.size)
    }
  }

  /** Gives up a file that is no part of the log. */
  discard(number: number): void {
    const file = this.#disk.open(segmentName(number))
    file.close()
    this.#giveUp(segmentName(number), file.size)
  }

  close(): void {
    for (const segment of this.#segments) segment.file.close()
  }

  #giveUp(name: string, size: number): void {
    const isWanted = this.#spare === undefined || this.#spare.state === 'failed'
    if (!isWanted || size !== this.#options.bytes) {
      this.#disk.remove(name)
      return
    }
    this.#newest++
    this.#disk.rename(name, segmentName(this.#newest))
    this.#allocate(this.#newest)
  }

  #allocate(number: number): void {
    const spare: Spare = { number, state: 'awaited' }
    this.#spare = spare
    this.#disk.prepare(segmentName(number), this.#options.bytes, (error) => {
      // A segment that could not be prepared is created when it is needed, and fails there if it must.
      spare.state = error === undefined ? 'ready' : 'failed'
    })
  }

  #create(bytes: number): Segment {
    this.#newest++
    this.#disk.open(segmentName(this.#newest), bytes).close()
    return this.#open(this.#newest)
  }

  #open(number: number): Segment {
    return this.#add(number, (name) => (this.#options.isSynced ? this.#disk.openAppended(name) : this.#disk.open(name)))
  }

  #add(number: number, open: (name: string) => DiskFile): Segment {
    const name = segmentName(number)
    const segment = { number, name, file: open(name) }
    this.#segments.push(segment)
    return segment
  }
}
