/** The write-ahead log is the log device on a disk: batches of records, appended to segments, recovered after a crash. */

import { assert } from '../../base/assert.ts'
import type { GroupId } from '../../base/identity.ts'
import type { LogIndex, LogPosition } from '../../protocol/core.ts'
import type { Entry, RaftWrite } from '../../protocol/raft/message.ts'
import type { GroupStart, LogDevice, RecoveredGroup } from '../log-device.ts'
import type { Disk, Done } from '../port.ts'
import { refusalOf } from '../refusal.ts'
import { settled } from '../settled.ts'
import { Batch } from './batch.ts'
import type { LogContent } from './content.ts'
import { type EntryRange, readEntries } from './entries.ts'
import { type Checksum, FORMAT_VERSION, isEntry, RECORD, type RecordHead } from './format.ts'
import { type LogEnd, LogHead } from './head.ts'
import { type RecoveredLog, recoverLog, type TornTail } from './recovery.ts'
import { encodeCheckpoint } from './replay.ts'
import { type Segment, Segments } from './segments.ts'
import { Staging } from './staging.ts'

export interface LogOptions {
  /** Told what a crash left of a write that was never confirmed. */
  readonly dropped?: (tail: TornTail) => void
  readonly disk: Disk
  /** Lets others work, when a segment has been read: one of 64 MiB takes a tenth of a second. Default: everything is read at once. */
  readonly breathe?: () => Promise<void>
  /** Looks at what was found before the log changes anything; what it throws is why the log is not opened. */
  readonly check?: (groups: Iterable<GroupStart>) => void
  /** `'os'` leaves the moment of writing to the operating system: a power cut loses what was acknowledged last. */
  readonly durability: 'disk' | 'os'
  /** Bytes of a segment, at least 4 KiB; default 64 MiB. */
  readonly segmentBytes?: number
  /** Bytes of payload kept in memory, for state machines and for followers that are a little behind; default 16 MiB, of large ones at most 2. */
  readonly cacheBytes?: number
  /** Bytes of segments beyond which, and beyond twice what is still needed, `groupsToCompact` asks for snapshots; default 256 MiB. */
  readonly limitBytes?: number
}

const MEBIBYTE = 1024 * 1024

/**
 * Opens the log, or begins one where there is none. Every start goes on in a segment of its own, so that nothing is ever
 * written next to what a crash left behind.
 *
 * Throws `DATA_DAMAGED` (nothing was changed), `VERSION_SKEW`, `DISK_FAILED`.
 */
export async function openLog(options: LogOptions): Promise<LogDevice> {
  const cacheBytes = options.cacheBytes ?? 16 * MEBIBYTE
  const recovered = await recoverLog(options.disk, cacheBytes, options.breathe)
  options.check?.(recovered.content.groups.values())
  if (recovered.torn !== undefined) options.dropped?.(recovered.torn)
  const log = new WriteAheadLog(options, recovered)
  await log.begin(recovered)
  return log
}

class WriteAheadLog implements LogDevice {
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>
  readonly #durability: 'disk' | 'os'
  readonly #limitBytes: number
  readonly #content: LogContent
  readonly #staging: Staging
  readonly #checksum: Checksum
  readonly #segments: Segments
  readonly #head: LogHead
  #staged = new Batch()
  #written = new Batch()
  /** Sequence of the last batch that was written; the ones of the current segment began with `#segmentFirst`. */
  #sequence: number
  #segmentFirst = 0
  #synced: number
  /** Whether the last batch is only a marker, which needs no marker itself. */
  #isMarked = false
  /** Where the next batch goes in the current segment. */
  #end = 0
  #isCommitting = false
  #isClosing = false
  /** Set while closing waits for its last commit. */
  #closed: (() => void) | undefined = undefined
  #failure: Error | undefined = undefined

  constructor(options: LogOptions, recovered: RecoveredLog) {
    this.#durability = options.durability
    this.#limitBytes = options.limitBytes ?? 256 * MEBIBYTE
    this.#checksum = (bytes, seed) => options.disk.crc32(bytes, seed)
    this.#content = recovered.content
    this.recovered = recovered.content.recovered()
    this.#sequence = recovered.sequence
    this.#synced = recovered.synced
    const segments = { bytes: options.segmentBytes ?? 64 * MEBIBYTE, isSynced: options.durability === 'disk' }
    this.#segments = new Segments(options.disk, segments, recovered.segments)
    this.#head = new LogHead(options.disk)
    this.#staging = new Staging(this.#content, {
      checksum: this.#checksum,
      record: (head, payload) => this.#staged.record(head, payload),
    })
  }

  /** Confirms what was recovered, begins a segment, and gives up the files that hold nothing. */
  async begin(recovered: RecoveredLog): Promise<void> {
    // Written without syncs by 'os', or a crash came early: what is kept must be as good as acknowledged.
    if (recovered.sequence > recovered.synced + 1) await settled((done) => syncAll(this.#segments.all, done))
    for (const { head, payload } of recovered.unconfirmed) {
      if (head.kind !== RECORD.checkpoint) this.#staged.record(head, payload)
    }
    // The batch that nobody confirmed may stand in memory only, after a failed sync: it is written anew.
    if (recovered.unconfirmed.length > 0) this.#sequence--
    this.#synced = this.#sequence
    const batch = this.#checkpoint(this.#staged)
    await settled((done) => {
      this.#write(batch, this.#segments.first(batch.size))
      this.#segments.current.file.sync(done)
    })
    this.#staged.clear()
    this.#synced = this.#sequence
    await settled((done) => this.#head.note(this.#reached, done))
    for (const number of recovered.others) this.#segments.discard(number)
  }

  /** A marker alone may be lost: nothing is in it. */
  get #reached(): LogEnd {
    return { segment: this.#segments.current.number, sequence: this.#isMarked ? this.#synced - 1 : this.#synced }
  }

  get isDirty(): boolean {
    return !this.#staged.isEmpty
  }

  stage(group: GroupId, write: RaftWrite): void {
    this.#staging.stage(group, write)
  }

  compact(group: GroupId, upTo: LogPosition): void {
    this.#staging.compact(group, upTo)
  }

  /** With nothing staged it writes the marker alone, unless the disk has it: worth while when the node falls idle. */
  commit(done: Done): void {
    assert(!this.#isCommitting, 'one commit at a time')
    const isIdle = !this.isDirty && (this.#isMarked || this.#durability === 'os')
    if (this.#failure !== undefined || isIdle) {
      done(this.#failure)
      return
    }
    this.#isCommitting = true
    const batch = this.#staged
    this.#staged = this.#written
    this.#written = batch
    const refusal = refusalOf(() => this.#append(batch))
    if (refusal !== undefined) {
      this.#committed(refusal, [], done)
      return
    }
    const free = this.#segments.free((segment) => this.#content.usage.entriesIn(segment.number) === 0)
    syncAll(this.#unsynced(free), (error) => this.#committed(error, free, done))
  }

  entries(group: GroupId, range: EntryRange): readonly Entry[] {
    return readEntries(this.#content.group(group), range, (number, offset, size) => {
      const { name, file } = this.#segments.get(number)
      return { number, name, offset, bytes: file.read(offset, size), checksum: this.#checksum }
    })
  }

  chainAt(group: GroupId, index: LogIndex): number | undefined {
    return this.#content.group(group).chainAt(index)
  }

  groupsToCompact(): readonly GroupId[] {
    const groups = [...this.#content.groups.values()]
    const needed = groups.reduce((bytes, { table }) => bytes + table.bytes, 0)
    if (this.#segments.bytes <= Math.max(this.#limitBytes, 2 * needed)) return []
    const oldest = this.#segments.oldest.number
    return groups
      .filter(({ table }) => table.has(table.first) && table.segment(table.first) === oldest)
      .map(({ id }) => id)
  }

  /** Leaves a last marker, and a note of it, so that the next start can tell damage from a torn tail everywhere. What is only staged is lost. */
  close(done: () => void = () => {}): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#staged.clear()
    this.#closed = () => {
      this.#segments.close()
      done()
    }
    if (!this.#isCommitting) this.commit(() => this.#finishClosing())
  }

  #append(batch: Batch): void {
    const { current } = this.#segments
    if (this.#end + batch.size <= current.file.size) {
      this.#write(batch, current)
      return
    }
    const whole = this.#checkpoint(batch)
    const next = this.#segments.next(whole.size)
    this.#end = 0
    this.#write(whole, next)
  }

  #write(batch: Batch, segment: Segment): void {
    const at = this.#end
    this.#sequence++
    if (at === 0) this.#segmentFirst = this.#sequence
    this.#isMarked = batch.isEmpty
    const header = {
      version: FORMAT_VERSION,
      segment: segment.number,
      sequence: this.#sequence,
      segmentFirst: this.#segmentFirst,
      synced: this.#synced,
    }
    const bytes = batch.seal(header, this.#checksum, (head, offset) => this.#place(head, segment.number, at + offset))
    segment.file.write(at, bytes)
    this.#end = at + bytes.length
  }

  /** Only the last record of an entry counts: of one that was replaced or dropped since, the content knows nothing. */
  #place(head: RecordHead, segment: number, offset: number): void {
    if (!isEntry(head.kind)) return
    const table = this.#content.groups.get(head.group as GroupId)?.table
    if (table?.has(head.index)) table.place(head.index, segment, offset)
  }

  /** The batch that begins a segment: what every group has, then the batch's own records. */
  #checkpoint(batch: Batch): Batch {
    const whole = new Batch()
    for (const { id, term, vote, start, startChain, last } of this.#content.groups.values()) {
      const payload = encodeCheckpoint({ term, vote, last: last.index })
      const payloadCrc = this.#checksum(payload)
      const head = {
        kind: RECORD.checkpoint,
        group: id,
        ...start,
        chain: startChain,
        payloadCrc,
        length: payload.length,
      }
      whole.record(head, payload)
    }
    whole.append(batch)
    return whole
  }

  #committed(error: Error | undefined, free: readonly Segment[], done: Done): void {
    this.#isCommitting = false
    this.#written.clear()
    if (error === undefined) this.#settle(free)
    else this.#failure = error
    done(this.#failure)
    this.#finishClosing()
  }

  /** What a commit has to sync: with `'os'` nothing, until segments go of which only later ones say that nobody needs them. */
  #unsynced(free: readonly Segment[]): readonly Segment[] {
    if (this.#durability === 'disk') return [this.#segments.current]
    return free.length === 0 ? [] : this.#segments.all
  }

  #finishClosing(): void {
    const closed = this.#closed
    if (closed === undefined) return
    this.#closed = undefined
    // What was not synced may be gone after all.
    if (this.#failure !== undefined || this.#durability === 'os') closed()
    else this.#head.conclude(this.#reached, closed)
  }

  #settle(free: readonly Segment[]): void {
    if (this.#unsynced(free).length > 0) this.#synced = this.#sequence
    this.#content.cache.trim()
    this.#failure = refusalOf(() => {
      this.#segments.recycle(free)
      if (this.#end * 2 > this.#segments.current.file.size) this.#segments.prepare()
    })
    if (this.#durability === 'disk') this.#noteHead()
  }

  /** A note that fails is a disk that fails: the next commit says so. */
  #noteHead(): void {
    this.#head.note(this.#reached, (error) => {
      this.#failure ??= error
    })
  }
}

function syncAll([first, ...others]: readonly Segment[], done: Done): void {
  if (first === undefined) {
    done(undefined)
    return
  }
  first.file.sync((error) => {
    if (error === undefined) syncAll(others, done)
    else done(error)
  })
}
