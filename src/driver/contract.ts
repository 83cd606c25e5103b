/** The driver contract is all that the front doors know of an engine: typed facets, each a set of promises kept or refused. */

import type { Millis } from '../base/time.ts'
import type { CallOptions, Fence, Receipt, Revision } from './contract-call.ts'
import type { LeaseFacet } from './contract-lease.ts'
import type { QueueFacet } from './contract-queue.ts'
import type { TopicFacet } from './contract-topic.ts'

export type * from './contract-call.ts'
export type * from './contract-lease.ts'
export type * from './contract-queue.ts'
export type * from './contract-topic.ts'

/** A value with its revision, still encoded: the front decodes it. */
export interface StoredValue {
  readonly value: Uint8Array
  readonly revision: Revision
  readonly receipt: Receipt
}

/** There is no value, as far as the read could see. */
export interface Absent {
  readonly value: undefined
  readonly receipt: Receipt
}

/** A change that was made, with the revision it has got. */
export interface Written {
  readonly revision: Revision
  readonly receipt: Receipt
}

/**
 * `'linearizable'`: sees every write acknowledged before the call. `'local'`: whatever the nearest replica holds, with
 * its age; with `maxStalenessMs` an older replica refuses rather than answers.
 */
export type ReadLevel = 'linearizable' | 'local' | { readonly maxStalenessMs: Millis }

/** How fresh a read must be. */
export interface ReadOptions extends CallOptions {
  /** Default `'linearizable'`. */
  readonly read?: ReadLevel
}

/** On what a write depends. */
export interface WriteOptions extends CallOptions {
  /** Only when the key's present revision is this one; `0n`: only when the key is absent. Otherwise `CONFLICT`. */
  readonly ifRevision?: Revision
  /** Refused with `FENCED` when the key's shard has seen a newer token of this name. */
  readonly fence?: Fence
}

/** Keys in [from, until) of one map, in the order of their UTF-8 bytes; `until: ''` means to the end. */
export interface KeyRange {
  readonly from: string
  readonly until: string
}

/** How many entries a scan yields, and in which direction. */
export interface ScanOptions extends ReadOptions {
  readonly reverse: boolean
  /** Most entries to yield in all; Infinity for no limit. */
  readonly limit: number
}

/** A key with its value, as a scan yields it. */
export interface ScannedEntry {
  readonly key: string
  readonly value: Uint8Array
  readonly revision: Revision
}

/** One change of a watched map; `cursor` resumes a watch right after it. */
export type Change =
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: Uint8Array
      readonly revision: Revision
      readonly cursor: string
    }
  | { readonly type: 'delete'; readonly key: string; readonly revision: Revision; readonly cursor: string }

/** From when on a watch shows changes. */
export interface WatchOptions {
  readonly signal?: AbortSignal
  /** Changes after this revision (in every shard) or right after this cursor; default: from now on. */
  readonly from?: Revision | string
  /**
   * Called once the watch stands: whatever changes from then on comes. Before `next` it is not begun, and it takes as
   * long as a shard has no leader.
   */
  readonly onStanding?: () => void
}

/**
 * The key-value facet. Keys are at most 4 KiB of UTF-8, values 1 MiB; the front has checked both. Promises: each
 * acknowledged write survives what its receipt's durability says; linearizable per key; each call happens at most once.
 * Rejects with a `TroupeError`: `CONFLICT`, `NO_QUORUM`, `TIMEOUT`, `OUTCOME_UNKNOWN`, `OVERLOADED`, `CLOSED`,
 * `UNREACHABLE`.
 */
export interface KeyValueFacet {
  get(map: string, key: string, options: ReadOptions): Promise<StoredValue | Absent>
  set(map: string, key: string, value: Uint8Array, options: WriteOptions): Promise<Written>
  /** `existed` is false when there was nothing to delete. */
  delete(map: string, key: string, options: WriteOptions): Promise<Written & { readonly existed: boolean }>
  /** Entries in key order across all shards, fetched page by page while the consumer asks for more; each page is a read of its own. */
  scan(map: string, range: KeyRange, options: ScanOptions): AsyncIterable<ScannedEntry>
  /**
   * Every change of the range, in revision order within a shard, without gaps; ends with `COMPACTED` when it fell too
   * far behind. The watch begins when `next` is first called.
   */
  watch(map: string, range: KeyRange, options: WatchOptions): AsyncIterable<Change>
}

/** What became of an operation whose outcome was unknown. */
export type OperationOutcome = 'committed' | 'not-committed' | 'unknown'

/** An engine behind the API; a facet that is left out is one that it lacks. */
export interface Driver {
  readonly name: string
  readonly keyValue: KeyValueFacet
  /** Engines without a facet omit it; what needs it then rejects with `UNSUPPORTED`. */
  readonly queue?: QueueFacet
  readonly topic?: TopicFacet
  readonly lease?: LeaseFacet
  /** Asks about `error.details.operationId`. After `'not-committed'` it certainly never happens. */
  outcome(operationId: string, options: CallOptions): Promise<OperationOutcome>
  /** Facts about the cluster, for people and tools; see `ClusterStatus`. */
  status(options: CallOptions): Promise<ClusterStatus>
  /** Resolves once the writes that are under way now have ended; omitted where none ever is. */
  settled?(): Promise<void>
  close(): Promise<void>
}

/** The cluster as the node that answers sees it. */
export interface ClusterStatus {
  readonly cluster: string
  /** The node that answered; undefined for drivers without nodes. */
  readonly answeredBy: string | undefined
  /**
   * What all members have agreed that they can execute; it rises when the last one has been upgraded. Undefined for
   * drivers without nodes.
   */
  readonly level: number | undefined
  /**
   * Pieces of large payloads that the answering node's disk had damaged, and that came back from another replica. Look
   * at the disk when it grows.
   */
  readonly mendedPieces: number
  readonly members: readonly MemberStatus[]
  readonly groups: readonly GroupStatus[]
}

/** A node of the cluster, as the node that answers sees it. */
export interface MemberStatus {
  readonly node: string
  readonly address: string
  readonly state: 'up' | 'down'
  readonly generation: number
}

/** A Raft group, as the node that answers sees it. */
export interface GroupStatus {
  readonly group: number
  /** `'meta'` or the shard's number. */
  readonly shard: number | 'meta'
  readonly leader: string | undefined
  readonly term: number
  readonly replicas: readonly string[]
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
}
