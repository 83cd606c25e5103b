/** A partition's reader follows its records from an offset on, as fast as they are taken. */

import { ByteReader, type ByteWriter } from '../../../base/bytes.ts'
import { TroupeError } from '../../../base/error.ts'
import { decodeHeaders } from '../../../base/headers.ts'
import { decodeRecords, type TopicRecord } from '../../../machine/topic/command.ts'
import { OPERATION } from '../../../wire/request.ts'
import { readSubscriptionEvent, writeSubscribeRequest } from '../../../wire/subscription.ts'
import type { CallOptions, ReadRecord, RecordBatch } from '../../contract.ts'
import type { Router } from '../route/router.ts'
import { ShardStream, type StreamHandler } from '../stream/shard-stream.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'

/** Bytes of records that may be here untaken, of each partition. */
const ROOM_BYTES = 256 * 1024

export interface PartitionPlace {
  readonly topic: string
  readonly partition: number
  readonly group: number
  readonly offset: number
  /** Most records of a batch. */
  readonly batch: number
}

export interface BatchHandler {
  received(batch: Batch): void
  /** The topic was deleted; the reader has ended. */
  deleted(reader: PartitionReader): void
  commit(batch: Batch, options: CallOptions): Promise<void>
  /** Before it says whether it is lost. */
  look(): void
}

/** What a batch says beside its records. */
interface BatchEnd {
  /** Of the next record to read. */
  readonly next: number
  /** What may be sent once it has been taken. */
  readonly bytes: number
  readonly lag: RecordBatch['lag']
}

export class Batch implements RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly reader: PartitionReader
  readonly #records: ReadRecord[]
  #end: BatchEnd

  constructor(reader: PartitionReader, records: ReadRecord[], end: BatchEnd) {
    this.reader = reader
    this.topic = reader.topic
    this.partition = reader.partition
    this.#records = records
    this.#end = end
  }

  get records(): readonly ReadRecord[] {
    return this.#records
  }

  get next(): number {
    return this.#end.next
  }

  get bytes(): number {
    return this.#end.bytes
  }

  get lag(): RecordBatch['lag'] {
    return this.#end.lag
  }

  /** Takes in what comes after it; only for as long as nobody has taken it. */
  extend(records: readonly ReadRecord[], end: BatchEnd): void {
    this.#records.push(...records)
    this.#end = { ...end, bytes: this.bytes + end.bytes }
  }

  get lost(): AbortSignal {
    return this.reader.lostSignal
  }

  commit(options: CallOptions): Promise<void> {
    return this.reader.commit(this, options)
  }
}

export class PartitionReader implements StreamHandler {
  readonly topic: string
  readonly partition: number
  readonly #place: PartitionPlace
  readonly #ports: WatchPorts
  readonly #handler: BatchHandler
  readonly #router: Router
  readonly #controller = new AbortController()
  #stream: ShardStream | undefined
  #next: number
  #untaken = 0
  /** The newest batch, while nobody has taken it: whoever is behind is given what waits together, and not as it came. */
  #newest: Batch | undefined

  constructor(place: PartitionPlace, router: Router, ports: WatchPorts, handler: BatchHandler) {
    this.topic = place.topic
    this.partition = place.partition
    this.#place = place
    this.#next = place.offset
    this.#ports = ports
    this.#handler = handler
    this.#router = router
  }

  get lostSignal(): AbortSignal {
    this.#handler.look()
    return this.#controller.signal
  }

  /** Also after it was stopped: then it reads on after what it has. */
  begin(): void {
    const place = { operation: OPERATION.subscribe, group: this.#place.group }
    this.#stream = new ShardStream(place, this.#router, this.#ports, this)
    this.#stream.begin()
  }

  encode(writer: ByteWriter): void {
    const { topic, partition } = this
    writeSubscribeRequest(writer, {
      topic,
      partition,
      offset: this.#next,
      creditBytes: Math.max(0, ROOM_BYTES - this.#untaken),
    })
  }

  event(bytes: Uint8Array): void {
    const { next, end, records } = readSubscriptionEvent(new ByteReader(bytes))
    if (next < this.#next) {
      this.stop()
      this.#handler.deleted(this)
      return
    }
    const all = decodeRecords(records)
    this.#next = next
    this.#untaken += bytes.length
    for (let from = 0; from < all.length; ) {
      const room = this.#place.batch - (this.#newest?.records.length ?? 0)
      const part = all.slice(from, from + (room || this.#place.batch))
      const last = part.at(-1)
      if (last === undefined) return
      from += part.length
      const following = all[from]
      const through = following === undefined ? next : last.offset + 1
      const behind = end - through
      // When what follows was published is not known yet, only that it is younger than the last record here.
      const { time } = following ?? last
      const ms = behind === 0 ? 0 : Math.max(0, this.#ports.clock.wallTime() - time / 1000)
      const present = part.map((record) => this.#present(record))
      const batchEnd = {
        next: through,
        bytes: following === undefined ? bytes.length : 0,
        lag: { records: behind, ms },
      }
      if (room > 0 && this.#newest !== undefined) this.#newest.extend(present, batchEnd)
      else this.#hand(new Batch(this, present, batchEnd))
    }
  }

  #hand(batch: Batch): void {
    this.#newest = batch
    this.#handler.received(batch)
  }

  /** What had arrived stays good: the stream goes on after it. */
  lost(): void {}

  taken(batch: Batch): void {
    if (this.#newest === batch) this.#newest = undefined
    this.#untaken -= batch.bytes
    this.#stream?.credit(batch.bytes)
  }

  commit(batch: Batch, options: CallOptions): Promise<void> {
    return this.#handler.commit(batch, options)
  }

  /** Nothing more is read; what was taken may still be committed. */
  stop(): void {
    this.#stream?.end()
  }

  /** It belongs to somebody else. */
  lose(): void {
    this.#stream?.end()
    const message = `partition ${this.partition} of '${this.topic}' belongs to another member`
    if (!this.#controller.signal.aborted) this.#controller.abort(new TroupeError('LEASE_LOST', message))
  }

  #present({ offset, time, key, headers, payload }: TopicRecord): ReadRecord {
    const { topic, partition } = this
    const number = BigInt(offset)
    return { topic, partition, offset: number, time: time / 1000, key, headers: decodeHeaders(headers), payload }
  }
}
