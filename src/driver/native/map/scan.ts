/** A scan merges the keys of all shards in order, page by page, while its consumer asks for more. */

import type { Page, PageEntry, ScanQuery } from '../../../machine/command.ts'
import type { KeyRange, ScannedEntry, ScanOptions } from '../../contract.ts'
import { compareKeys } from '../../key-order.ts'
import type { Router } from '../route/router.ts'
import { readPage } from './page.ts'

const PAGE_ENTRIES = 1000
const PAGE_BYTES = 256 * 1024

/** The first page of every shard is asked for at once, and each next one when its predecessor is begun. */
export async function* scan(
  router: Router,
  map: string,
  range: KeyRange,
  options: ScanOptions,
): AsyncGenerator<ScannedEntry, undefined> {
  const shards = await router.whenReady(options)
  const limit = Math.min(PAGE_ENTRIES, options.limit)
  if (limit <= 0) return
  const query: ScanQuery = { map, ...range, reverse: options.reverse, limit, byteLimit: PAGE_BYTES }
  const streams = shards.map((_, shard) => new ShardStream(router, shard, query, options))
  const queue: ShardStream[] = []
  for (const stream of streams) if (await stream.turn()) insert(queue, stream, options.reverse)
  for (let left = options.limit; left > 0; left--) {
    options.signal?.throwIfAborted()
    const first = queue.shift()
    if (first?.head === undefined) return
    const { key, value, revision } = first.head
    yield { key, value, revision: BigInt(revision) }
    if (left > 1 && (first.advance() || (await first.turn()))) insert(queue, first, options.reverse)
  }
}

/** The entries of one shard in order. */
class ShardStream {
  /** The next entry; undefined before the first `turn` and at the end. */
  head: PageEntry | undefined
  readonly #router: Router
  readonly #shard: number
  readonly #query: ScanQuery
  readonly #options: ScanOptions
  #page: readonly PageEntry[] = []
  #at = 0
  #following: Promise<Page> | undefined

  constructor(router: Router, shard: number, query: ScanQuery, options: ScanOptions) {
    this.#router = router
    this.#shard = shard
    this.#query = query
    this.#options = options
    this.#fetch(query)
  }

  /** Moves `head` to the next entry of the page; false at its end. */
  advance(): boolean {
    this.head = this.#page[this.#at]
    this.#at++
    return this.head !== undefined
  }

  /** Moves `head` to the first entry of the next page; false at the end of the range. */
  async turn(): Promise<boolean> {
    while (this.#following !== undefined) {
      const { entries, next } = await this.#following
      this.#following = undefined
      this.#page = entries
      this.#at = 0
      if (next !== undefined) {
        this.#fetch(this.#query.reverse ? { ...this.#query, until: next } : { ...this.#query, from: next })
      }
      if (this.advance()) return true
    }
    return false
  }

  #fetch(query: ScanQuery): void {
    this.#following = readPage(this.#router, this.#shard, query, this.#options)
    // Whoever waits for the page learns why it failed; a scan that was left does not ask.
    this.#following.catch(() => {})
  }
}

/** Keeps the queue in the order of the streams' heads. */
function insert(queue: ShardStream[], stream: ShardStream, reverse: boolean): void {
  let low = 0
  let high = queue.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const order = compareKeys(queue[middle]?.head?.key ?? '', stream.head?.key ?? '')
    if (reverse ? order > 0 : order < 0) low = middle + 1
    else high = middle
  }
  queue.splice(low, 0, stream)
}
