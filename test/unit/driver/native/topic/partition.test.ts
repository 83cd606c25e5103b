import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../../../src/base/bytes.ts'
import { SeededRandom } from '../../../../../src/base/random.ts'
import type { Router } from '../../../../../src/driver/native/route/router.ts'
import { type Batch, PartitionReader } from '../../../../../src/driver/native/topic/partition.ts'
import { writeSubscriptionEvent } from '../../../../../src/wire/subscription.ts'
import { VirtualTime } from '../world.ts'

/** A reader whose records come as its test says. */
class Scene {
  readonly reader: PartitionReader
  readonly batches: Batch[] = []
  readonly #time = new VirtualTime()
  #next = 0

  constructor(batch: number) {
    const ports = { clock: this.#time, scheduler: this.#time, random: new SeededRandom(1) }
    const place = { topic: 't', partition: 0, group: 1, offset: 0, batch }
    this.reader = new PartitionReader(place, {} as Router, ports, {
      received: (received) => this.batches.push(received),
      deleted: () => {},
      commit: async () => {},
      look: () => {},
    })
  }

  /** An event of so many records, with `behind` after them. */
  event(count: number, behind = 0): void {
    const records = new ByteWriter()
    for (let left = count; left > 0; left--) {
      records.u53(this.#next++)
      records.u53(1000 * this.#time.wallTime())
      for (let empty = 0; empty < 3; empty++) records.u32(0)
    }
    const event = new ByteWriter()
    writeSubscriptionEvent(event, { next: this.#next, end: this.#next + behind, records: records.take() })
    this.reader.event(event.take())
  }

  take(): Batch {
    const batch = this.batches.shift()
    if (batch === undefined) throw new Error('there is no batch')
    this.reader.taken(batch)
    return batch
  }

  get offsets(): readonly (readonly number[])[] {
    return this.batches.map(({ records }) => records.map(({ offset }) => Number(offset)))
  }
}

describe('a reader of a partition', () => {
  test('gives what waits together, however it came, up to the size of a batch', () => {
    const scene = new Scene(4)
    scene.event(1)
    scene.event(1)
    scene.event(5)
    scene.event(1)
    expect(scene.offsets).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
    expect(scene.batches.map(({ next }) => next)).toEqual([4, 8])
  })

  test('leaves a batch as it was taken', () => {
    const scene = new Scene(4)
    scene.event(2)
    const taken = scene.take()
    scene.event(1)
    expect([taken.records.length, taken.next]).toEqual([2, 2])
    expect(scene.offsets).toEqual([[2]])
  })

  test('says of a batch what lies behind its last record, and how many bytes it took', () => {
    const scene = new Scene(3)
    scene.event(2, 7)
    const { bytes } = scene.batches[0] ?? { bytes: 0 }
    scene.event(1, 6)
    scene.event(2, 4)
    expect(scene.batches.map(({ lag }) => lag.records)).toEqual([6, 4])
    // Of an event that is cut in two the second part gives back the bytes.
    expect(scene.batches.reduce((sum, batch) => sum + batch.bytes, 0)).toBeGreaterThan(bytes)
    expect(scene.take().next).toBe(3)
  })
})
