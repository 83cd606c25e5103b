/** The native driver carries the API to Troupe's own engine, through one local channel or one to each node. */

import type { Random } from '../../base/random.ts'
import type { Clock, Scheduler } from '../../base/time.ts'
import { COMMAND } from '../../machine/command.ts'
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
  ScannedEntry,
  ScanOptions,
  StoredValue,
  WatchOptions,
  WriteOptions,
  Written,
} from '../contract.ts'
import { Bodies, commandVerb } from './body.ts'
import { type ChangeEffect, changePart } from './effects.ts'
import type { PieceSizes } from './large.ts'
import { fenceOf } from './lease/fence.ts'
import { NativeLeases } from './lease/lease.ts'
import { maxAgeOf } from './map/local.ts'
import { DELETE, GET, LOCAL_GET, SET } from './map/record.ts'
import { scan } from './map/scan.ts'
import { askOutcome } from './outcome.ts'
import { NativeQueues } from './queue/queue.ts'
import type { Connect } from './route/links.ts'
import { Operation } from './route/operation.ts'
import { Router } from './route/router.ts'
import { askStatus } from './status.ts'
import { watch } from './stream/watch.ts'
import { NativeTopics } from './topic/topic.ts'

export interface NativeDriverOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** Its draws name sessions, which must differ between all drivers of a cluster: seed it from the system's randomness. */
  readonly random: Random
  /** Opens a channel to the engine at an address; called again when a channel is lost. */
  readonly connect: Connect
  /** The addresses to begin with; an embedded engine has one, which may be `''`. */
  readonly seeds: readonly string[]
  /** Whether to learn the other nodes from the cluster and talk to each leader directly; otherwise the seeds forward. */
  readonly direct: boolean
  /** Aborts with the reason when the engine has ended by itself: calls fail with it then. */
  readonly failed?: AbortSignal | undefined
  /** Tells people what is worth knowing and no error, such as rules that replace others. */
  readonly warn?: ((message: string) => void) | undefined
  /** How large payloads are cut; for tests. */
  readonly sizes?: PieceSizes
}

/**
 * A driver for an engine in this process or for a cluster elsewhere. A write that is sent again, after a lost
 * connection or a change of leader, still happens at most once. A write that is aborted or out of time after it was
 * sent rejects with `OUTCOME_UNKNOWN`, whose `cause` is the signal's reason. Values handed in must not change until the
 * call settles; values handed out are views of the frames that brought them.
 */
export function nativeDriver(options: NativeDriverOptions): Driver {
  const router = new Router(options)
  const topic = new NativeTopics(router, options)
  return {
    name: 'native',
    keyValue: new NativeKeyValue(router, options),
    queue: new NativeQueues(router, options, (name, call) => topic.prepare(name, call)),
    lease: new NativeLeases(router, options),
    topic,
    outcome: (operationId: string, call: CallOptions): Promise<OperationOutcome> =>
      askOutcome(router, operationId, call),
    status: (call: CallOptions): Promise<ClusterStatus> => askStatus(router, call),
    settled: (): Promise<void> => router.settled(),
    close: (): Promise<void> => router.close(),
  }
}

class NativeKeyValue implements KeyValueFacet {
  readonly #router: Router
  readonly #ports: NativeDriverOptions
  readonly #bodies = new Bodies()

  constructor(router: Router, ports: NativeDriverOptions) {
    this.#router = router
    this.#ports = ports
  }

  get(map: string, key: string, options: ReadOptions): Promise<StoredValue | Absent> {
    const maxAge = maxAgeOf(options.read)
    const verb = maxAge < 0 ? GET : LOCAL_GET
    return this.#router.submit(new Operation(verb, { map, key, maxAge }), options)
  }

  set(map: string, key: string, value: Uint8Array, options: WriteOptions): Promise<Written> {
    if (options.fence !== undefined)
      return this.#fenced({ type: 'set', map, key, value, ...conditionOf(options) }, options)
    const ifRevision = revisionNumber(options.ifRevision)
    return this.#router.submit(new Operation(SET, { map, key, value, ifRevision }), options)
  }

  delete(map: string, key: string, options: WriteOptions): Promise<Written & { readonly existed: boolean }> {
    if (options.fence !== undefined) return this.#fenced({ type: 'delete', map, key, ...conditionOf(options) }, options)
    const ifRevision = revisionNumber(options.ifRevision)
    return this.#router.submit(new Operation(DELETE, { map, key, ifRevision }), options)
  }

  scan(map: string, range: KeyRange, options: ScanOptions): AsyncIterable<ScannedEntry> {
    return scan(this.#router, map, range, options)
  }

  /** The change as a part of a transaction whose first part is the fence. */
  async #fenced(change: ChangeEffect, options: WriteOptions): Promise<Written & { readonly existed: boolean }> {
    const { fence } = options
    await this.#router.whenReady(options)
    const shard = this.#router.shardOf(change.map, change.key)
    const guard = fence === undefined ? [] : [fenceOf(this.#router, fence, shard)]
    const value = this.#bodies.transaction([...guard, changePart(change)])
    const done = await this.#router.submit(new Operation(FENCED, { shard, value }), options)
    return { existed: done.status === 'ok', revision: BigInt(done.revision), receipt: done.receipt }
  }

  watch(map: string, range: KeyRange, options: WatchOptions): AsyncIterable<Change> {
    return watch(this.#router, this.#ports, { map, ...range }, options)
  }
}

const FENCED = commandVerb(COMMAND.transaction)

function conditionOf({ ifRevision }: WriteOptions): { readonly ifRevision?: bigint } {
  return ifRevision === undefined ? {} : { ifRevision }
}

/** The machine counts in numbers; a revision beyond them is never current. */
function revisionNumber(revision: bigint | undefined): number | undefined {
  if (revision === undefined) return undefined
  return revision >= 0n && revision < NEVER ? Number(revision) : Number(NEVER)
}

const NEVER = BigInt(Number.MAX_SAFE_INTEGER)
