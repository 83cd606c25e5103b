/** A watch yields every change of a range of keys: those of one shard in their order, those of different shards as they come. */

import { TroupeError } from '../../../base/error.ts'
import type { MapChange } from '../../../machine/key-value/changes.ts'
import type { Selection } from '../../../machine/machine.ts'
import type { Change, WatchOptions } from '../../contract.ts'
import type { Router, Subscriber } from '../route/router.ts'
import { Cursor, invalidCursor, readCursor } from './cursor.ts'
import { type Chunk, ShardWatch, type ShardWatchHandler, type WatchPorts } from './shard-watch.ts'

/** Bytes of changes that may wait for the consumer, shared by the shards; each may exceed its part by one change. */
const ROOM_BYTES = 1024 * 1024
const LEAST_ROOM_BYTES = 16 * 1024

/** A range of which every key lies in one shard is watched there alone. */
export interface WatchedRange extends Selection {
  readonly shard?: number
}

export function watch(
  router: Router,
  ports: WatchPorts,
  selection: WatchedRange,
  options: WatchOptions,
): AsyncIterable<Change> {
  return { [Symbol.asyncIterator]: () => new Watch(router, ports, selection, options) }
}

interface Waiting {
  readonly resolve: (result: IteratorResult<Change, undefined>) => void
  readonly reject: (error: unknown) => void
}

class Watch implements AsyncIterator<Change, undefined>, ShardWatchHandler, Subscriber {
  readonly #router: Router
  readonly #ports: WatchPorts
  readonly #selection: WatchedRange
  readonly #options: WatchOptions
  readonly #aborted = (): void => this.#fail(this.#options.signal?.reason)
  readonly #waiting: Waiting[] = []
  #shards: readonly ShardWatch[] = []
  /** Shards whose watch has not stood yet. */
  readonly #missing = new Set<number>()
  #cursor = new Cursor([])
  #chunks: Chunk[] = []
  /** How many changes of the first chunk have been taken. */
  #taken = 0
  #state: 'new' | 'open' | 'ended' = 'new'
  /** Thrown once everything that came before it has been taken. */
  #failure: { readonly error: unknown } | undefined

  constructor(router: Router, ports: WatchPorts, selection: WatchedRange, options: WatchOptions) {
    this.#router = router
    this.#ports = ports
    this.#selection = selection
    this.#options = options
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    if (this.#state === 'new') this.#begin()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#serve()
    })
  }

  return(): Promise<IteratorResult<Change, undefined>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  stands(from: ShardWatch): void {
    if (!this.#missing.delete(from.shard)) return
    this.#cursor.advance(from.shard, from.through)
    const { onStanding } = this.#options
    // What the listener throws is no failure of the watch.
    if (this.#missing.size === 0 && onStanding !== undefined) void Promise.resolve().then(onStanding)
    this.#serve()
  }

  changed(chunk: Chunk): void {
    this.#chunks.push(chunk)
    this.#serve()
  }

  compacted(from: ShardWatch): void {
    const details = { shard: from.shard, revision: BigInt(from.through) }
    this.#failure ??= {
      error: new TroupeError('COMPACTED', `changes after revision ${from.through} are no longer kept`, { details }),
    }
    this.#missing.clear()
    for (const shardWatch of this.#shards) shardWatch.end()
    this.#serve()
  }

  driverClosed(error: TroupeError): void {
    this.#fail(error)
  }

  #begin(): void {
    const { signal } = this.#options
    this.#state = 'open'
    try {
      signal?.throwIfAborted()
      if (this.#router.isClosed) throw this.#router.closedError
      this.#router.subscribers.add(this)
      if (signal !== undefined) this.#router.aborts.add(this.#aborted, signal)
      this.#beginShards()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Once the shards are known the watch begins within this turn, before any write that follows it. */
  #beginShards(): void {
    const { from } = this.#options
    const positions = typeof from === 'string' ? readCursor(from) : undefined
    const fail = (error: unknown): void => this.#fail(error)
    this.#router.onReady((groups) => {
      try {
        this.#spread(groups, positions)
      } catch (error) {
        fail(error)
      }
    }, fail)
  }

  #spread(groups: readonly number[], positions: readonly number[] | undefined): void {
    const { from } = this.#options
    if (this.#state !== 'open') return
    if (positions !== undefined && positions.length !== groups.length) throw invalidCursor(String(from))
    const revision = typeof from === 'bigint' ? Number(from) : undefined
    const roomBytes = Math.max(LEAST_ROOM_BYTES, Math.floor(ROOM_BYTES / groups.length))
    const more = { ports: this.#ports, handler: this }
    this.#cursor = new Cursor(groups.map((_, shard) => positions?.[shard] ?? revision ?? 0))
    this.#shards = groups.flatMap((group, shard) => {
      if (shard !== (this.#selection.shard ?? shard)) return []
      const place = { shard, group, after: positions?.[shard] ?? revision, roomBytes }
      return [new ShardWatch(place, this.#selection, this.#router, more)]
    })
    for (const { shard } of this.#shards) this.#missing.add(shard)
    for (const shardWatch of this.#shards) shardWatch.begin()
  }

  /** Answers as many waiting calls as there are changes. */
  #serve(): void {
    while (this.#waiting.length > 0 && this.#state !== 'ended') {
      const change = this.#missing.size === 0 ? this.#take() : undefined
      if (change === undefined) break
      this.#waiting.shift()?.resolve({ done: false, value: change })
    }
    if (this.#state === 'ended') this.#end()
    if (this.#failure === undefined || this.#waiting.length === 0 || this.#chunks.length > 0) return
    this.#waiting.shift()?.reject(this.#failure.error)
    this.#end()
  }

  #take(): Change | undefined {
    const chunk = this.#chunks[0]
    const change = chunk?.changes[this.#taken]
    if (chunk === undefined || change === undefined) return undefined
    this.#taken++
    const isLast = this.#taken === chunk.changes.length
    this.#cursor.advance(chunk.from.shard, isLast ? chunk.through : change.revision)
    if (isLast) {
      this.#chunks.shift()
      this.#taken = 0
      chunk.from.taken(chunk)
    }
    return this.#present(change)
  }

  #present({ type, key, value, revision }: MapChange): Change {
    const cursor = this.#cursor.toString()
    if (type === 'delete') return { type, key, revision: BigInt(revision), cursor }
    return { type, key, value, revision: BigInt(revision), cursor }
  }

  /** Ends the watch at once, whatever has not been taken. */
  #fail(error: unknown): void {
    this.#failure = { error }
    this.#chunks = []
    for (const shardWatch of this.#shards) shardWatch.end()
    this.#serve()
  }

  #end(): void {
    this.#state = 'ended'
    this.#chunks = []
    this.#router.subscribers.delete(this)
    const { signal } = this.#options
    if (signal !== undefined) this.#router.aborts.remove(this.#aborted, signal)
    for (const shardWatch of this.#shards) shardWatch.end()
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }
}
