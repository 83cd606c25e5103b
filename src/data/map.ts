/** A map is a replicated table of keys and values in which every change of a key has a revision. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type {
  CallOptions,
  Fence,
  KeyRange,
  ReadOptions,
  Receipt,
  Revision,
  WriteOptions,
  Written,
} from '../driver/contract.ts'
import { checkName, checkSchema, placedName } from './name.ts'
import type { InputOf, OutputOf, StandardSchema } from './schema.ts'

/** Names a map and says what it holds; one value, shared by everyone who uses the map. Made by {@link defineMap}. */
export interface MapDefinition<Value, Input = Value> {
  readonly kind: 'map'
  /** With its placement, if it has one: `name@placement`. */
  readonly name: string
  readonly consistency: 'strong'
  readonly schema: StandardSchema<Input, Value> | undefined
}

/** What a map promises, and where it lives. */
export interface MapOptions {
  /**
   * `'strong'` (the default): linearizable; the side of a network split without a majority refuses with `NO_QUORUM`.
   */
  readonly consistency?: 'strong'
  /** What has the same placement has its equal keys in the same shard, so that one commit can change them together. */
  readonly placement?: string
}

/** The options of a map whose values have a schema. */
export interface MapSchemaOptions<Schema> extends MapOptions {
  /**
   * Checks values when they are written and when they are read. What it returns is stored, and must fit it again:
   * defaults and coercions do, a transformation into another type does not compile.
   */
  readonly schema: Schema
}

/** `Schema`, when it accepts what it returns. */
export type SelfFitting<Schema extends StandardSchema> =
  OutputOf<Schema> extends InputOf<Schema> ? Schema : 'the schema must accept what it returns'

const DEFINITION_OPTIONS: ReadonlySet<string> = new Set(['schema', 'consistency', 'placement'])

/**
 * Defines a map. Nothing is created: a map exists as soon as it holds something, and a definition may be made anywhere.
 *
 * @param name 1 to 128 of `A–Z a–z 0–9 . _ : / -`; the same name is the same map throughout the cluster
 * @throws TroupeError `INVALID_ARGUMENT`
 * @example
 * const users = defineMap('users', { schema: z.object({ name: z.string() }) })
 * const notes = defineMap<string>('notes')
 */
export function defineMap<Schema extends StandardSchema>(
  name: string,
  options: MapSchemaOptions<Schema & SelfFitting<Schema>>,
): MapDefinition<OutputOf<Schema>, InputOf<Schema>>
export function defineMap<Value = unknown>(name: string, options?: MapOptions): MapDefinition<Value>
export function defineMap(
  name: string,
  options: MapOptions & { readonly schema?: StandardSchema } = {},
): MapDefinition<unknown> {
  checkName('a map', name)
  refuseUnknownOptions('defineMap', options, DEFINITION_OPTIONS)
  const { schema, consistency = 'strong', placement } = options
  if (consistency !== 'strong') throw invalidArgument(`consistency of map '${name}' is 'strong'`)
  checkSchema(`map '${name}'`, schema)
  return { kind: 'map', name: placedName(name, placement), consistency, schema }
}

/** A value as it stood at a revision. */
export interface Versioned<Value> {
  readonly value: Value
  readonly revision: Revision
  readonly receipt: Receipt
}

/** A key of a map with its value, as a scan yields it. */
export interface MapEntry<Value> {
  readonly key: string
  readonly value: Value
  readonly revision: Revision
}

/** What became of a key; `cursor` resumes a watch right after this change, also in another process. */
export type MapChange<Value> =
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: Value
      readonly revision: Revision
      readonly cursor: string
    }
  | { readonly type: 'delete'; readonly key: string; readonly revision: Revision; readonly cursor: string }

/** Which entries a scan yields, and in which direction. */
export interface MapScanOptions extends ReadOptions {
  /** Only keys that begin with this; instead of `from` and `until`. */
  readonly prefix?: string
  /** The first key, or where it would stand; default: the map's first. */
  readonly from?: string
  /** The key before which the scan ends; default: after the map's last. */
  readonly until?: string
  /** From the last key to the first; default false. */
  readonly reverse?: boolean
  /** Most entries to yield; default: all. */
  readonly limit?: number
}

/** On what an update depends. */
export interface UpdateOptions extends CallOptions {
  /** A lock or office, or anything else with its name and token: refused with `FENCED` once a newer one has been seen. */
  readonly fence?: Fence
}

/** Which changes a watch shows, and from when on. */
export interface MapWatchOptions {
  /** Only keys that begin with this; instead of `range`. */
  readonly prefix?: string
  /** Only keys in [from, until); default: all. */
  readonly range?: Partial<KeyRange>
  /**
   * Changes after this revision, or right after this cursor; default: from now on. Revisions of different keys are
   * taken from the clocks of different leaders: from a revision on, no change of that entry's own key is missed, and
   * those of other keys as far as the clocks agree. A cursor is exact for all of them.
   */
  readonly from?: Revision | string
  /** Called once the watch stands: whatever changes from then on comes. It takes as long as a shard has no leader. */
  readonly onStanding?: () => void
  /** Ends the watch: the consumer's loop throws the signal's reason, unless it is `troupe.signal` that ends in order. */
  readonly signal?: AbortSignal
}

/**
 * A handle on a map: light, stateless, and free to make. Keys are texts of 1 to 4096 bytes of UTF-8, ordered by these
 * bytes; values are whatever structured clone can carry (but `undefined`), up to 1 MiB.
 *
 * Calls that return a promise reject, and those that return an iterable throw at once, with a `TroupeError`:
 * `INVALID_ARGUMENT`, `TOO_LARGE`, `VALIDATION`, `UNSERIALIZABLE` before anything was sent; `NO_QUORUM`, `TIMEOUT`,
 * `OVERLOADED`, `UNREACHABLE`, `CLOSED` when nothing has changed; `OUTCOME_UNKNOWN` when a write may have happened. A
 * signal that aborts before anything was sent, or while reading, rejects with its reason.
 */
export interface TroupeMap<Value, Input = Value> {
  readonly name: string

  /**
   * The value of a key, or undefined when it has none. By default it is linearizable: it sees every write acknowledged
   * before the call. `read: 'local'` or `{ maxStalenessMs }` asks the nearest replica and may be older; see `receipt`.
   *
   * @example
   * const ann = await map.get('ann', { read: 'local' })
   * if (ann !== undefined) console.log(ann.value, ann.receipt.ageMs)
   */
  get(key: string, options?: ReadOptions): Promise<Versioned<Value> | undefined>

  /**
   * Stores a value. With `ifRevision` only over the revision it names (`0n`: only a key that is absent), else
   * `CONFLICT`.
   *
   * @example
   * await map.set('ann', { name: 'Ann' }, { ifRevision: 0n })
   */
  set(key: string, value: Input, options?: WriteOptions): Promise<Written>

  /** Removes a key; `existed` tells whether it was there. With `ifRevision` only the revision it names, else `CONFLICT`. */
  delete(key: string, options?: WriteOptions): Promise<Written & { readonly existed: boolean }>

  /**
   * Replaces a value by what `change` makes of it, as one atomic step: when somebody else writes meanwhile, `change` is
   * called again with the newer value. It may be asynchronous; what it throws ends the update with nothing changed. It
   * must return the next value: `undefined` is refused, so that a forgotten `return` cannot erase anything (to remove a
   * key use `delete`). `timeout` and `signal` bound all attempts together, `change` included: what it gives later is
   * not written.
   *
   * @example
   * await map.update('visits', (count = 0) => count + 1, { timeout: 2_000 })
   */
  update(
    key: string,
    change: (value: Value | undefined) => Input | Promise<Input>,
    options?: UpdateOptions,
  ): Promise<Versioned<Value>>

  /**
   * Entries in key order, fetched page by page as the loop goes on. Each page is a read of its own: an entry that
   * changes meanwhile is seen before or after its change, and one that does not is seen exactly once. `timeout` bounds
   * each page.
   *
   * @example
   * for await (const { key, value } of map.scan({ prefix: 'eu/', limit: 100 })) console.log(key, value)
   */
  scan(options?: MapScanOptions): AsyncIterable<MapEntry<Value>>

  /**
   * Changes as they happen, without gaps, those of one key in order. A watch that falls too far behind ends with
   * `COMPACTED`: scan again and watch from there. The watch begins when `next` is first called, and stands when
   * `onStanding` is: read then, and no change falls between what was read and what comes. The loop ends when the Troupe
   * is closed or drained.
   *
   * @example
   * for await (const change of map.watch({ from: cursor, signal })) cursor = change.cursor
   */
  watch(options?: MapWatchOptions): AsyncIterable<MapChange<Value>>
}
