/** The map handle turns calls on a map into calls of a driver: it checks arguments, validates, encodes and decodes. */

import { checkFlag, checkFunction, checkLimit, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { ValueCodec } from '../base/codec.ts'
import { isTroupeError, TroupeError } from '../base/error.ts'
import type { Clock, Scheduler } from '../base/time.ts'
import type {
  Absent,
  CallOptions,
  Change,
  KeyRange,
  KeyValueFacet,
  ReadOptions,
  StoredValue,
  WriteOptions,
  Written,
} from '../driver/contract.ts'
import {
  checkCall,
  checkFence,
  checkRead,
  checkWrite,
  FENCED_OPTIONS,
  NO_OPTIONS,
  plainFence,
  READ_OPTIONS,
} from './call.ts'
import { checkBound, checkKey, endOfPrefix } from './key.ts'
import type {
  MapChange,
  MapDefinition,
  MapEntry,
  MapScanOptions,
  MapWatchOptions,
  TroupeMap,
  UpdateOptions,
  Versioned,
} from './map.ts'
import { afterwards, type CallEnd, endOfCall, isPromise, type PatienceParts, within } from './patience.ts'
import type { StandardSchema } from './schema.ts'
import { validate } from './schema.ts'
import { endOf, mapStream } from './stream.ts'

const SCAN_OPTIONS: ReadonlySet<string> = new Set([...READ_OPTIONS, 'prefix', 'from', 'until', 'reverse', 'limit'])
const WATCH_OPTIONS: ReadonlySet<string> = new Set(['prefix', 'range', 'from', 'signal', 'onStanding'])
const RANGE_BOUNDS: ReadonlySet<string> = new Set(['from', 'until'])
const EVERYTHING: KeyRange = { from: '', until: '' }
const NEVER: CallEnd = Object.freeze({})

/** What all handles of one Troupe share. */
export interface HandleParts {
  readonly store: KeyValueFacet
  readonly codec: ValueCodec
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** Aborts when the Troupe ends: with `CLOSED` when it was asked to. */
  readonly ending: AbortSignal
}

export class MapHandle<Value, Input> implements TroupeMap<Value, Input> {
  readonly name: string
  readonly #schema: StandardSchema<Input, Value> | undefined
  readonly #store: KeyValueFacet
  readonly #codec: ValueCodec
  readonly #parts: PatienceParts
  readonly #ending: AbortSignal

  constructor(definition: MapDefinition<Value, Input>, parts: HandleParts) {
    const { store, codec, ending } = parts
    this.name = definition.name
    this.#schema = definition.schema
    this.#store = store
    this.#codec = codec
    this.#parts = parts
    this.#ending = ending
  }

  // Point calls hand their options on as they came and add no `async` frame of their own: they are the hot path.

  get(key: string, options: ReadOptions = NO_OPTIONS): Promise<Versioned<Value> | undefined> {
    try {
      checkKey(key)
      checkRead('map.get', options)
      const end = this.#endOfReading(options)
      return this.#store.get(this.name, key, options).then((found) => this.#versioned(key, found, end))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  set(key: string, value: Input, options: WriteOptions = NO_OPTIONS): Promise<Written> {
    try {
      checkKey(key)
      checkWrite('map.set', options)
      if (this.#schema === undefined) return this.#put(key, value, options)
      const valid = validate(this.#schema, value, `the value for '${key}'`)
      if (!(valid instanceof Promise)) return this.#put(key, valid, options)
      const checked = { promised: valid, what: `the schema of '${this.name}'` }
      return afterwards(checked, options, this.#parts, (stored, left) => this.#put(key, stored, left))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  delete(key: string, options: WriteOptions = NO_OPTIONS): Promise<Written & { readonly existed: boolean }> {
    try {
      checkKey(key)
      checkWrite('map.delete', options)
      return this.#store.delete(this.name, key, plainWrite(options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async update(
    key: string,
    change: (value: Value | undefined) => Input | Promise<Input>,
    given: UpdateOptions = NO_OPTIONS,
  ): Promise<Versioned<Value>> {
    checkKey(key)
    checkFunction('what map.update takes', change)
    checkCall('map.update', given, FENCED_OPTIONS)
    checkFence(given.fence)
    const { fence, ...options } = given
    const end = endOfCall(this.#parts, options)
    let conflict: unknown
    for (;;) {
      const current = await this.get(key, this.#remaining(options, end, conflict))
      const value = await this.#changedValue(key, change(current?.value), end)
      const left = this.#remaining(options, end, conflict)
      const condition = { ...left, ...plainFence(fence), ifRevision: current?.revision ?? 0n }
      try {
        return { value, ...(await this.#put(key, value, condition)) }
      } catch (error) {
        // Whoever caused the conflict has made progress: trying again at once starves nobody for good.
        if (!isTroupeError(error, 'CONFLICT')) throw error
        conflict = error
      }
    }
  }

  scan(options: MapScanOptions = NO_OPTIONS): AsyncIterable<MapEntry<Value>> {
    checkRead('map.scan', options, SCAN_OPTIONS)
    const { prefix, from, until, reverse = false, limit = Number.POSITIVE_INFINITY, ...read } = options
    checkFlag('reverse', reverse)
    checkLimit('limit', limit)
    const range = rangeOf(prefix, from, until)
    return mapStream(
      () => this.#store.scan(this.name, range, { ...read, reverse, limit }),
      async ({ key, value, revision }) => {
        return { key, value: await this.#read(key, value, this.#endOfReading(read)), revision }
      },
    )
  }

  watch(options: MapWatchOptions = NO_OPTIONS): AsyncIterable<MapChange<Value>> {
    checkCall('map.watch', options, WATCH_OPTIONS)
    const { prefix, range, ...watch } = options
    if (range !== undefined) refuseUnknownOptions('range', range, RANGE_BOUNDS)
    const { from: position, onStanding } = watch
    if (onStanding !== undefined) checkFunction('onStanding', onStanding)
    if (position !== undefined && typeof position !== 'string' && !(typeof position === 'bigint' && position >= 0n)) {
      throw invalidArgument('from is a revision (a bigint) or the cursor of a change')
    }
    const selected = rangeOf(prefix, range?.from, range?.until)
    return mapStream(
      () => this.#store.watch(this.name, selected, watch),
      (change) => this.#changed(change, { signal: watch.signal }),
      endOf(this.#ending),
    )
  }

  #put(key: string, value: Input | Value, options: WriteOptions): Promise<Written> {
    if (value === undefined) throw invalidArgument(`undefined is no value for '${key}': use null, or delete the key`)
    return this.#store.set(this.name, key, this.#codec.encode(value), plainWrite(options))
  }

  /** What an update stores: the call's time and signal end the wait for it, and then nothing is written. */
  async #changedValue(key: string, made: Input | PromiseLike<Input>, end: CallEnd): Promise<Value> {
    const value = isPromise(made) ? await within(made, `the change of '${key}'`, end, this.#parts) : made
    if (value === undefined)
      throw invalidArgument(`the update of '${key}' returned undefined instead of the next value`)
    // Without a schema, Input and Value are one type, which only the definition's signature knows.
    if (this.#schema === undefined) return value as unknown as Value
    return this.#patiently(validate(this.#schema, value, `the value for '${key}'`), end)
  }

  #versioned(
    key: string,
    found: StoredValue | Absent,
    end: CallEnd,
  ): Versioned<Value> | undefined | Promise<Versioned<Value>> {
    if (found.value === undefined) return undefined
    const { revision, receipt } = found
    const value = this.#read(key, found.value, end)
    return value instanceof Promise
      ? value.then((late) => ({ value: late, revision, receipt }))
      : { value, revision, receipt }
  }

  async #changed(change: Change, end: CallEnd): Promise<MapChange<Value>> {
    return change.type === 'delete' ? change : { ...change, value: await this.#read(change.key, change.value, end) }
  }

  /** A schema may take its time; without one nothing waits, and no clock is read. */
  #endOfReading(options: CallOptions): CallEnd {
    return this.#schema === undefined ? NEVER : endOfCall(this.#parts, options)
  }

  #read(key: string, bytes: Uint8Array, end: CallEnd): Value | Promise<Value> {
    const value = this.#codec.decode(bytes)
    if (this.#schema === undefined) return value as Value
    return this.#patiently(validate(this.#schema, value, `the stored value of '${key}'`), end)
  }

  #patiently(valid: Value | Promise<Value>, end: CallEnd): Value | Promise<Value> {
    return valid instanceof Promise ? within(valid, `the schema of '${this.name}'`, end, this.#parts) : valid
  }

  /** The same options with the time that is left until `end`. */
  #remaining(options: CallOptions, { deadline }: ReturnType<typeof endOfCall>, conflict: unknown): CallOptions {
    const timeout = deadline - this.#parts.clock.now()
    if (timeout > 0) return { ...options, timeout }
    throw new TroupeError('TIMEOUT', 'the time for the update is over; nothing was changed', { cause: conflict })
  }
}

/** Copies only where there is a fence. */
function plainWrite(options: WriteOptions): WriteOptions {
  return options.fence === undefined ? options : { ...options, ...plainFence(options.fence) }
}

function rangeOf(prefix: string | undefined, from: string | undefined, until: string | undefined): KeyRange {
  if (prefix === undefined) {
    if (from === undefined && until === undefined) return EVERYTHING
    checkBound('from', from ?? '')
    checkBound('until', until ?? '')
    return { from: from ?? '', until: until ?? '' }
  }
  if (from !== undefined || until !== undefined) throw invalidArgument('give either a prefix or a range, not both')
  checkBound('prefix', prefix)
  return { from: prefix, until: endOfPrefix(prefix) }
}
