/** The topic handle turns calls on a topic into calls of a driver. */

import { checkFlag, checkIterable, checkTime, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { isTroupeError } from '../base/error.ts'
import { CALL_OPTIONS, checkCall, checkFence, checkSignal, fencedCallOf, NO_OPTIONS } from '../data/call.ts'
import { facetOf } from '../data/facet.ts'
import { checkBound } from '../data/key.ts'
import { afterwards, within } from '../data/patience.ts'
import { type StandardSchema, validate } from '../data/schema.ts'
import { endOf, mapStream } from '../data/stream.ts'
import type {
  CallOptions,
  GroupOffsets,
  NamedTopic,
  PartitionStatus,
  Position,
  Published,
  ReadRecord,
  RecordBatch,
  TopicFacet,
} from '../driver/contract.ts'
import { checkHeaders, NO_HEADERS, PUBLISH_OPTIONS, whenValid } from './outgoing.ts'
import type { MessageParts } from './parts.ts'
import { openTable } from './table-view.ts'
import type {
  PublishOptions,
  TableView,
  TopicBatch,
  TopicDefinition,
  TopicRecord,
  TopicSubscribeOptions,
  TroupeTopic,
} from './topic.ts'

const SUBSCRIBE_OPTIONS: ReadonlySet<string> = new Set(['signal', 'group', 'from', 'batch', 'autoCommit'])

export class TopicHandle<Value, Input> implements TroupeTopic<Value, Input> {
  readonly name: string
  readonly #definition: TopicDefinition<Value, Input>
  readonly #parts: MessageParts
  readonly #topic: NamedTopic

  constructor(definition: TopicDefinition<Value, Input>, parts: MessageParts) {
    this.name = definition.name
    this.#definition = definition
    this.#parts = parts
    this.#topic = { name: definition.name, rules: definition.rules }
  }

  publish(value: Input, options: PublishOptions = NO_OPTIONS): Promise<Published> {
    try {
      checkCall('topic.publish', options, PUBLISH_OPTIONS)
      const { key = '', headers = NO_HEADERS } = options
      checkFence(options.fence)
      const call = fencedCallOf(options)
      checkBound('key', key)
      checkHeaders(headers)
      const facet = this.#facet()
      const { schema, rules } = this.#definition
      const payloadOf = (valid: unknown): Uint8Array =>
        rules.compact && valid === null ? new Uint8Array(0) : this.#parts.codec.encode(valid)
      const send = (payload: Uint8Array, left: CallOptions): Promise<Published> =>
        facet.publish(this.#topic, { key, headers, payload }, left)
      const where = `the record for '${this.name}'`
      const payload = rules.compact && value === null ? payloadOf(null) : whenValid(schema, value, where, payloadOf)
      if (!(payload instanceof Promise)) return send(payload, call)
      return afterwards({ promised: payload, what: `the schema of '${this.name}'` }, call, this.#parts, send)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async publishAll(values: Iterable<Input>, options: PublishOptions = NO_OPTIONS): Promise<readonly Published[]> {
    checkIterable('topic.publishAll', values)
    // All of them are listed first: an iterable that fails half-way has published nothing.
    const ends = await Promise.allSettled(Array.from(values).map((value) => this.publish(value, options)))
    return ends.map((end) => {
      if (end.status === 'rejected') throw end.reason
      return end.value
    })
  }

  subscribe(options: TopicSubscribeOptions = NO_OPTIONS): AsyncIterable<TopicBatch<Value>> {
    refuseUnknownOptions('topic.subscribe', options, SUBSCRIBE_OPTIONS)
    const { batch = 256, autoCommit = false, ...subscribe } = options
    if (!(Number.isSafeInteger(batch) && batch >= 1)) throw invalidArgument('batch is a whole number from 1')
    checkFlag('autoCommit', autoCommit)
    checkSignal(options.signal)
    if (options.group !== undefined) this.#checkGroup(options.group)
    if (options.from !== undefined) this.#checkPosition(options.from)
    const batches = mapStream(
      () => this.#facet().subscribe(this.#topic, { ...subscribe, batch }),
      (records) => this.#batch(records, options.signal),
      endOf(this.#parts.ending),
    )
    return autoCommit ? committing(batches) : batches
  }

  async table(options: CallOptions = NO_OPTIONS): Promise<TableView<Value>> {
    checkCall('topic.table', options, CALL_OPTIONS)
    return openTable(this, { facet: this.#facet(), name: this.#topic, ...this.#parts }, options)
  }

  async groups(options: CallOptions = NO_OPTIONS): Promise<readonly GroupOffsets[]> {
    checkCall('topic.groups', options, CALL_OPTIONS)
    return this.#facet().groups(this.name, options)
  }

  async partitions(options: CallOptions = NO_OPTIONS): Promise<readonly PartitionStatus[]> {
    checkCall('topic.partitions', options, CALL_OPTIONS)
    return this.#facet().partitions(this.#topic, options)
  }

  async reset(group: string, to: Position, options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('topic.reset', options, CALL_OPTIONS)
    this.#checkGroup(group)
    this.#checkPosition(to)
    return this.#facet().reset(this.#topic, group, to, options)
  }

  async delete(options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('topic.delete', options, CALL_OPTIONS)
    return this.#facet().delete(this.name, options)
  }

  #batch(batch: RecordBatch, signal: AbortSignal | undefined): TopicBatch<Value> | Promise<TopicBatch<Value>> {
    const { schema } = this.#definition
    // Only a schema may take its time, and a promise for each record costs more than the record.
    if (schema === undefined) {
      const records = batch.records.map((record) => recordOf(record, this.#stored(record) as Value))
      return batchOf(batch, records)
    }
    const valid = batch.records.map((record) => this.#valid(record, schema))
    return within(Promise.all(valid), `the schema of '${this.name}'`, { signal }, this.#parts).then((records) =>
      batchOf(batch, records),
    )
  }

  async #valid(record: ReadRecord, schema: StandardSchema<unknown, Value>): Promise<TopicRecord<Value>> {
    const { topic, partition, offset, payload } = record
    const where = `record ${offset} of partition ${partition} of '${topic}'`
    // Where the schema does not name null, the reader of a deletion knows by `compact`.
    const value = payload.length === 0 ? (null as Value) : await validate(schema, this.#stored(record), where)
    return recordOf(record, value)
  }

  /** A deletion has no value. */
  #stored({ payload }: ReadRecord): unknown {
    return payload.length === 0 ? null : this.#parts.codec.decode(payload)
  }

  #checkGroup(group: string): void {
    checkBound('the name of a group', group)
    if (group === '' || group.includes('/')) throw invalidArgument(`a group has a name without '/', unlike '${group}'`)
    checkBound('the name of a topic and a group', `${this.name}/${group}`)
  }

  #checkPosition(position: Position): void {
    if (position === 'earliest' || position === 'latest') return
    if (typeof position === 'object' && position !== null) {
      if ('time' in position) {
        checkTime('time', position.time)
        return
      }
      if (position.offsets instanceof Map) {
        checkOffsets(this.name, position.offsets, this.#definition.rules.partitions)
        return
      }
    }
    throw invalidArgument(`a position is 'earliest', 'latest', { time } or { offsets }, a Map of partitions to bigints`)
  }

  #facet(): TopicFacet {
    return facetOf(this.#parts.driver, 'topic')
  }
}

function checkOffsets(topic: string, offsets: ReadonlyMap<number, bigint>, partitions: number): void {
  for (const [partition, offset] of offsets) {
    if (!(Number.isInteger(partition) && partition >= 0 && partition < partitions)) {
      throw invalidArgument(`'${topic}' has the partitions 0 to ${partitions - 1}, and not ${String(partition)}`)
    }
    if (typeof offset !== 'bigint' || offset < 0n) throw invalidArgument('an offset is a bigint from 0n')
  }
}

function batchOf<Value>(batch: RecordBatch, records: readonly TopicRecord<Value>[]): TopicBatch<Value> {
  const { topic, partition, lag } = batch
  return {
    topic,
    partition,
    lag,
    records,
    // Whoever asks after a long pause is told without waiting for a timer.
    get signal() {
      return batch.lost
    },
    commit: async (options = NO_OPTIONS) => {
      checkCall('batch.commit', options, CALL_OPTIONS)
      return batch.commit(options)
    },
  }
}

/** Field by field: copying what an object has costs as much as all else that is done with a record. */
function recordOf<Value>(record: ReadRecord, value: Value): TopicRecord<Value> {
  const { topic, partition, offset, time, key, headers } = record
  return { topic, partition, offset, time, key, value, headers }
}

/** Whoever asks for the next batch has done the one before. */
function committing<Value>(batches: AsyncIterable<TopicBatch<Value>>): AsyncIterable<TopicBatch<Value>> {
  return { [Symbol.asyncIterator]: () => new CommittingIterator(batches[Symbol.asyncIterator]()) }
}

class CommittingIterator<Value> implements AsyncIterator<TopicBatch<Value>> {
  readonly #batches: AsyncIterator<TopicBatch<Value>>
  #given: TopicBatch<Value> | undefined

  constructor(batches: AsyncIterator<TopicBatch<Value>>) {
    this.#batches = batches
  }

  async next(): Promise<IteratorResult<TopicBatch<Value>>> {
    const done = this.#given
    this.#given = undefined
    try {
      await done?.commit()
    } catch (error) {
      // A partition that went to another member is read there again from the last commit.
      if (!isTroupeError(error, 'FENCED')) {
        await this.return()
        throw error
      }
    }
    const result = await this.#batches.next()
    if (result.done !== true) this.#given = result.value
    return result
  }

  async return(): Promise<IteratorResult<TopicBatch<Value>>> {
    await this.#batches.return?.()
    return { done: true, value: undefined }
  }
}
