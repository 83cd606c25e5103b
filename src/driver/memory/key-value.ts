/** The map store of the memory driver: sorted tables, and the newest changes for those who watch. */

import { invalidArgument } from '../../base/argument.ts'
import { TroupeError } from '../../base/error.ts'
import type {
  Absent,
  Change,
  Fence,
  KeyRange,
  KeyValueFacet,
  ReadOptions,
  Receipt,
  Revision,
  ScannedEntry,
  ScanOptions,
  StoredValue,
  WatchOptions,
  WriteOptions,
  Written,
} from '../contract.ts'
import { compareKeys, isInRange } from '../key-order.ts'
import { closed, MEMORY_RECEIPT, type MemoryDoor } from './door.ts'

interface Stored {
  readonly value: Uint8Array
  readonly revision: Revision
}

/** Invariant: `keys` are the keys of `records` in key order. */
interface Table {
  readonly keys: string[]
  readonly records: Map<string, Stored>
}

const WRITTEN: Receipt = MEMORY_RECEIPT
const LOCAL: Receipt = { ...WRITTEN, guarantee: 'local' }

export class MemoryKeyValue implements KeyValueFacet {
  readonly #tables = new Map<string, Table>()
  readonly #history: History
  readonly #door: MemoryDoor
  readonly #checkFence: (fence: Fence) => void
  #revision: Revision = 0n

  /** @param checkFence throws `FENCED` for a token that is stale */
  constructor(historyLimit: number, door: MemoryDoor, checkFence: (fence: Fence) => void) {
    this.#history = new History(historyLimit)
    this.#door = door
    this.#checkFence = checkFence
    door.onClose(() => this.#history.close())
  }

  get(map: string, key: string, options: ReadOptions): Promise<StoredValue | Absent> {
    return this.#door.answer(options, () => {
      const receipt = options.read === undefined || options.read === 'linearizable' ? WRITTEN : LOCAL
      const stored = this.#table(map).records.get(key)
      if (stored === undefined) return { value: undefined, receipt }
      return { value: stored.value.slice(), revision: stored.revision, receipt }
    })
  }

  set(map: string, key: string, value: Uint8Array, options: WriteOptions): Promise<Written> {
    return this.#door.answer(options, () => {
      if (options.fence !== undefined) this.#checkFence(options.fence)
      this.checkRevision(map, key, options.ifRevision)
      return { revision: this.put(map, key, value), receipt: WRITTEN }
    })
  }

  delete(map: string, key: string, options: WriteOptions): Promise<Written & { readonly existed: boolean }> {
    return this.#door.answer(options, () => {
      if (options.fence !== undefined) this.#checkFence(options.fence)
      this.checkRevision(map, key, options.ifRevision)
      const revision = this.remove(map, key)
      return { existed: revision !== undefined, revision: revision ?? this.#revision, receipt: WRITTEN }
    })
  }

  /** Throws `CONFLICT` unless the key's revision is this one, if one is given. */
  checkRevision(map: string, key: string, ifRevision: Revision | undefined): void {
    checkCondition(this.#table(map).records.get(key), ifRevision)
  }

  put(map: string, key: string, value: Uint8Array): Revision {
    const { keys, records } = this.#table(map)
    if (!records.has(key)) keys.splice(positionOf(keys, key), 0, key)
    const stored = { value: value.slice(), revision: this.#nextRevision() }
    records.set(key, stored)
    this.#history.add(map, { type: 'set', key, ...stored, cursor: `${stored.revision}` })
    return stored.revision
  }

  /** Undefined when there was nothing. */
  remove(map: string, key: string): Revision | undefined {
    const { keys, records } = this.#table(map)
    if (!records.delete(key)) return undefined
    keys.splice(positionOf(keys, key), 1)
    const revision = this.#nextRevision()
    this.#history.add(map, { type: 'delete', key, revision, cursor: `${revision}` })
    return revision
  }

  /** Unless it has been written since this revision. */
  removeUnchanged(map: string, key: string, revision: Revision | undefined): void {
    if (this.#table(map).records.get(key)?.revision === revision) this.remove(map, key)
  }

  /** Each step is a page of its own: the first key that lies beyond the last one, as the map is now. */
  async *scan(map: string, range: KeyRange, options: ScanOptions): AsyncGenerator<ScannedEntry> {
    const { keys, records } = this.#table(map)
    let { from, until } = range
    for (let left = options.limit; left > 0; left--) {
      this.#door.check(options)
      const end = until === '' ? keys.length : positionOf(keys, until)
      const at = options.reverse ? end - 1 : positionOf(keys, from)
      const key = keys[at]
      const stored = key === undefined ? undefined : records.get(key)
      if (key === undefined || stored === undefined || !isInRange(key, from, until)) return
      yield { key, value: stored.value.slice(), revision: stored.revision }
      if (options.reverse && key === '') return
      if (options.reverse) until = key
      else from = `${key}\0`
    }
  }

  watch(map: string, range: KeyRange, options: WatchOptions): AsyncIterable<Change> {
    const from = options.from === undefined ? undefined : revisionOf(options.from)
    return { [Symbol.asyncIterator]: () => new MemoryWatch(this.#history, { map, ...range }, from, options) }
  }

  #table(map: string): Table {
    const known = this.#tables.get(map)
    if (known !== undefined) return known
    const table: Table = { keys: [], records: new Map() }
    this.#tables.set(map, table)
    return table
  }

  #nextRevision(): Revision {
    this.#revision += 1n
    return this.#revision
  }
}

interface Selection extends KeyRange {
  readonly map: string
}

/** The newest changes of all maps, oldest first. Invariant: `changes[i]` has the revision `forgotten + 1 + i`. */
class History {
  readonly #changes: { readonly map: string; readonly change: Change }[] = []
  readonly #limit: number
  readonly #watches = new Set<MemoryWatch>()
  #forgotten: Revision = 0n
  #closed = false

  constructor(limit: number) {
    this.#limit = limit
  }

  get revision(): Revision {
    return this.#forgotten + BigInt(this.#changes.length)
  }

  get closed(): boolean {
    return this.#closed
  }

  add(map: string, change: Change): void {
    this.#changes.push({ map, change })
    for (const watch of this.#watches) watch.serve()
    // Forgetting many at once keeps the cost of each change constant.
    if (this.#changes.length >= this.#limit * 2) {
      this.#forgotten += BigInt(this.#changes.splice(0, this.#changes.length - this.#limit).length)
    }
  }

  /** The first selected change after `revision`, or the revision up to which there is none. */
  after(revision: Revision, { map, from, until }: Selection): Change | Revision {
    if (revision < this.#forgotten) throw compacted(revision, this.#forgotten)
    for (let at = Number(revision - this.#forgotten); at < this.#changes.length; at++) {
      const entry = this.#changes[at]
      if (entry?.map === map && isInRange(entry.change.key, from, until)) return entry.change
    }
    return revision > this.revision ? revision : this.revision
  }

  enrol(watch: MemoryWatch): void {
    if (!this.#closed) this.#watches.add(watch)
  }

  dismiss(watch: MemoryWatch): void {
    this.#watches.delete(watch)
  }

  close(): void {
    this.#closed = true
    for (const watch of this.#watches) watch.serve()
  }
}

interface Waiting {
  readonly resolve: (result: IteratorResult<Change, undefined>) => void
  readonly reject: (error: unknown) => void
}

/** One consumer's place in the history; it reads from there when it is asked, so that a slow consumer costs no memory. */
class MemoryWatch implements AsyncIterator<Change, undefined> {
  readonly #history: History
  readonly #selection: Selection
  readonly #signal: AbortSignal | undefined
  readonly #onStanding: (() => void) | undefined
  readonly #waiting: Waiting[] = []
  readonly #aborted = (): void => this.serve()
  #position: Revision | undefined
  #state: 'new' | 'open' | 'ended' = 'new'

  constructor(history: History, selection: Selection, from: Revision | undefined, options: WatchOptions) {
    this.#history = history
    this.#selection = selection
    this.#position = from
    this.#signal = options.signal
    this.#onStanding = options.onStanding
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    if (this.#state === 'new') this.#begin()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.serve()
    })
  }

  return(): Promise<IteratorResult<Change, undefined>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  /** Answers as many waiting calls as there are changes. */
  serve(): void {
    try {
      while (this.#waiting.length > 0 && this.#state === 'open') {
        const change = this.#read()
        if (change === undefined) return
        this.#waiting.shift()?.resolve({ done: false, value: copyOf(change) })
      }
    } catch (error) {
      this.#waiting.shift()?.reject(error)
      this.#end()
    }
    if (this.#state === 'ended') this.#end()
  }

  #begin(): void {
    this.#state = 'open'
    this.#position ??= this.#history.revision
    this.#history.enrol(this)
    this.#signal?.addEventListener('abort', this.#aborted, { once: true })
    if (this.#onStanding !== undefined) queueMicrotask(this.#onStanding)
  }

  #read(): Change | undefined {
    this.#signal?.throwIfAborted()
    if (this.#history.closed) throw closed()
    const found = this.#history.after(this.#position ?? 0n, this.#selection)
    this.#position = typeof found === 'bigint' ? found : found.revision
    return typeof found === 'bigint' ? undefined : found
  }

  #end(): void {
    this.#state = 'ended'
    this.#history.dismiss(this)
    this.#signal?.removeEventListener('abort', this.#aborted)
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }
}

function checkCondition(stored: Stored | undefined, ifRevision: Revision | undefined): void {
  const revision = stored?.revision ?? 0n
  if (ifRevision === undefined || ifRevision === revision) return
  throw new TroupeError('CONFLICT', `the key's revision is ${revision}, not ${ifRevision}`, { details: { revision } })
}

function copyOf(change: Change): Change {
  return change.type === 'delete' ? change : { ...change, value: change.value.slice() }
}

/** A cursor of this driver is the revision it stands at, in decimal digits. */
function revisionOf(from: Revision | string): Revision {
  if (typeof from === 'bigint') return from
  if (!/^\d{1,20}$/.test(from)) throw invalidArgument(`'${from.slice(0, 64)}' is no cursor of a watch`)
  return BigInt(from)
}

/** Where `key` stands in the sorted `keys`, or would stand. */
function positionOf(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle] ?? '', key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function compacted(revision: Revision, forgotten: Revision): TroupeError {
  return new TroupeError(
    'COMPACTED',
    `changes up to revision ${forgotten} are forgotten; asked for those after ${revision}`,
    {
      details: { forgotten },
    },
  )
}
