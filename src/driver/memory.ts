/** The memory driver keeps everything in this process and answers at once: the contract as a readable specification. */

import { invalidArgument } from '../base/argument.ts'
import { TroupeError } from '../base/error.ts'
import type {
  Absent,
  CallOptions,
  Change,
  ClusterStatus,
  Driver,
  KeyRange,
  KeyValueFacet,
  OperationOutcome,
  ReadOptions,
  Receipt,
  Revision,
  ScannedEntry,
  ScanOptions,
  StoredValue,
  WatchOptions,
  WriteOptions,
  Written,
} from './contract.ts'
import { compareKeys, isInRange } from './key-order.ts'

export interface MemoryDriverOptions {
  /** How many of the newest changes a watch can still be given; an older one ends with `COMPACTED`. Default 65,536. */
  readonly history?: number
}

/**
 * A driver for tests, tools and programs that need no second process; what it holds is gone when it closes.
 *
 * @example
 * const troupe = await open({ driver: memoryDriver() })
 */
export function memoryDriver(options: MemoryDriverOptions = {}): Driver {
  const keyValue = new MemoryKeyValue(options.history ?? 65_536)
  return {
    name: 'memory',
    keyValue,
    outcome: (_operationId: string, call: CallOptions): Promise<OperationOutcome> =>
      keyValue.answer(call, () => 'unknown'),
    status: (call: CallOptions): Promise<ClusterStatus> =>
      keyValue.answer(call, () => ({ cluster: 'memory', answeredBy: undefined, members: [], groups: [] })),
    close: (): Promise<void> => Promise.resolve(keyValue.close()),
  }
}

interface Stored {
  readonly value: Uint8Array
  readonly revision: Revision
}

/** Invariant: `keys` are the keys of `records` in key order. */
interface Table {
  readonly keys: string[]
  readonly records: Map<string, Stored>
}

const WRITTEN: Receipt = { guarantee: 'linearizable', shard: 0, ageMs: 0, durability: 'memory' }
const LOCAL: Receipt = { ...WRITTEN, guarantee: 'local' }

class MemoryKeyValue implements KeyValueFacet {
  readonly #tables = new Map<string, Table>()
  readonly #history: History
  #revision: Revision = 0n
  #closed = false

  constructor(historyLimit: number) {
    this.#history = new History(historyLimit)
  }

  get(map: string, key: string, options: ReadOptions): Promise<StoredValue | Absent> {
    return this.answer(options, () => {
      const receipt = options.read === undefined || options.read === 'linearizable' ? WRITTEN : LOCAL
      const stored = this.#table(map).records.get(key)
      if (stored === undefined) return { value: undefined, receipt }
      return { value: stored.value.slice(), revision: stored.revision, receipt }
    })
  }

  set(map: string, key: string, value: Uint8Array, options: WriteOptions): Promise<Written> {
    return this.answer(options, () => {
      const { keys, records } = this.#table(map)
      checkCondition(records.get(key), options.ifRevision)
      if (!records.has(key)) keys.splice(positionOf(keys, key), 0, key)
      const stored = { value: value.slice(), revision: this.#nextRevision() }
      records.set(key, stored)
      this.#history.add(map, { type: 'set', key, ...stored, cursor: `${stored.revision}` })
      return { revision: stored.revision, receipt: WRITTEN }
    })
  }

  delete(map: string, key: string, options: WriteOptions): Promise<Written & { readonly existed: boolean }> {
    return this.answer(options, () => {
      const { keys, records } = this.#table(map)
      checkCondition(records.get(key), options.ifRevision)
      if (!records.delete(key)) return { existed: false, revision: this.#revision, receipt: WRITTEN }
      keys.splice(positionOf(keys, key), 1)
      const revision = this.#nextRevision()
      this.#history.add(map, { type: 'delete', key, revision, cursor: `${revision}` })
      return { existed: true, revision, receipt: WRITTEN }
    })
  }

  /** Each step is a page of its own: the first key that lies beyond the last one, as the map is now. */
  async *scan(map: string, range: KeyRange, options: ScanOptions): AsyncGenerator<ScannedEntry> {
    const { keys, records } = this.#table(map)
    let { from, until } = range
    for (let left = options.limit; left > 0; left--) {
      this.#check(options)
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
    return { [Symbol.asyncIterator]: () => new MemoryWatch(this.#history, { map, ...range }, from, options.signal) }
  }

  close(): void {
    this.#closed = true
    this.#history.close()
  }

  /** Runs a call at once; a call that may not begin, or that fails, rejects. */
  answer<Answer>(options: CallOptions, call: () => Answer): Promise<Answer> {
    try {
      this.#check(options)
      return Promise.resolve(call())
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #check({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw closed()
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
  readonly #waiting: Waiting[] = []
  readonly #aborted = (): void => this.serve()
  #position: Revision | undefined
  #state: 'new' | 'open' | 'ended' = 'new'

  constructor(history: History, selection: Selection, from: Revision | undefined, signal: AbortSignal | undefined) {
    this.#history = history
    this.#selection = selection
    this.#position = from
    this.#signal = signal
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

function closed(): TroupeError {
  return new TroupeError('CLOSED', 'the memory driver is closed')
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
