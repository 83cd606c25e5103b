/** A table view holds the newest value of each key of a topic, as a reader of all its partitions. */

import { type PatienceParts, within } from '../data/patience.ts'
import type { CallOptions, NamedTopic, TopicFacet } from '../driver/contract.ts'
import type { TableView, TopicBatch, TroupeTopic } from './topic.ts'

/** What a view is read from. */
interface TableSource extends PatienceParts {
  readonly facet: TopicFacet
  readonly name: NamedTopic
}

/** Resolves once everything is read that had been published before the call. */
export async function openTable<Value, Input>(
  topic: TroupeTopic<Value, Input>,
  source: TableSource,
  options: CallOptions,
): Promise<TableView<Value>> {
  const { facet, name, clock } = source
  const { signal, timeout } = options
  const end = timeout === undefined ? {} : { deadline: clock.now() + timeout }
  const missing = new Map<number, bigint>()
  for (const { partition, first, end } of await facet.partitions(name, options)) {
    if (end > first) missing.set(partition, end)
  }
  const batches = topic.subscribe({ ...(signal === undefined ? {} : { signal }), from: 'earliest' })
  const view = new OpenTable<Value>(batches, missing)
  try {
    await within(view.caughtUp, `the table of '${name.name}'`, end, source)
  } catch (error) {
    await view.close()
    throw error
  }
  return view
}

class OpenTable<Value> implements TableView<Value> {
  readonly ended: Promise<void>
  readonly caughtUp: Promise<void>
  readonly #values = new Map<string, Value>()
  readonly #batches: AsyncIterator<TopicBatch<Value>>
  readonly #missing: Map<number, bigint>

  constructor(batches: AsyncIterable<TopicBatch<Value>>, missing: Map<number, bigint>) {
    this.#batches = batches[Symbol.asyncIterator]()
    this.#missing = missing
    this.caughtUp = this.#catchUp()
    this.ended = this.caughtUp.then(() => this.#follow())
    this.ended.catch(() => undefined)
  }

  get size(): number {
    return this.#values.size
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  entries(): IterableIterator<[string, Value]> {
    return this.#values.entries()
  }

  async close(): Promise<void> {
    await this.#batches.return?.()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #catchUp(): Promise<void> {
    while (this.#missing.size > 0 && (await this.#read()));
  }

  async #follow(): Promise<void> {
    while (await this.#read());
  }

  async #read(): Promise<boolean> {
    const { done, value: batch } = await this.#batches.next()
    if (done === true) return false
    for (const { key, value } of batch.records) {
      if (value === null) this.#values.delete(key)
      else this.#values.set(key, value)
    }
    const last = batch.records.at(-1)?.offset ?? 0n
    // Of a compacted partition the last records may be gone: nothing beyond this batch is as good as its end.
    const end = this.#missing.get(batch.partition)
    if (end !== undefined && (last + 1n >= end || batch.lag.records === 0)) this.#missing.delete(batch.partition)
    return true
  }
}
