import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../../../src/base/assert.ts'
import { RaftLog } from '../../../../src/protocol/raft/log.ts'

interface Slot {
  readonly term: number
  readonly size: number
}

/** The same log as a plain list: `slots[0]` is the snapshot's end. */
interface Model {
  first: number
  slots: Slot[]
}

const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('append'), by: fc.nat(2), size: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('truncate'), by: fc.nat(100), size: fc.nat(0) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('compact'), by: fc.nat(100), size: fc.nat(0) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('append-many'), by: fc.nat(1), size: fc.nat(90) }) },
)

function apply(log: RaftLog, model: Model, { type, by, size }: { type: string; by: number; size: number }): void {
  if (type === 'append' || type === 'append-many') {
    for (let count = type === 'append' ? 1 : size; count > 0; count--) {
      const term = (model.slots.at(-1)?.term ?? 0) + by
      log.append(term, size)
      model.slots.push({ term, size })
    }
    return
  }
  const keep = by % model.slots.length
  if (type === 'truncate') {
    log.truncate(model.first + keep)
    model.slots.length = keep + 1
  } else {
    log.compact(model.first + keep)
    model.slots.splice(0, keep)
    model.first += keep
  }
}

/** Term, and bytes since the first entry, of every position; and that there is nothing on either side. */
function contents(log: RaftLog): readonly unknown[] {
  const { snapshotIndex, lastIndex } = log
  const positions = Array.from({ length: lastIndex - snapshotIndex + 3 }, (_, at) => snapshotIndex - 1 + at)
  return positions.map((index) => [log.termAt(index), index > lastIndex ? 0 : log.bytes(snapshotIndex, index)])
}

function contentsOf({ slots }: Model): readonly unknown[] {
  let bytes = 0
  const inside = slots.map(({ term, size }, at) => {
    if (at > 0) bytes += size
    return [term, bytes]
  })
  return [[undefined, 0], ...inside, [undefined, 0]]
}

describe('RaftLog', () => {
  test('holds what a plain list would hold, through growth, truncation and compaction', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.array(operation, { maxLength: 60 }), (start, operations) => {
        const log = new RaftLog({ index: start, term: 1 }, [])
        const model: Model = { first: start, slots: [{ term: 1, size: 0 }] }
        for (const each of operations) {
          apply(log, model, each)
          log.check()
        }
        expect(log.snapshotIndex).toBe(model.first)
        expect(contents(log)).toEqual(contentsOf(model))
      }),
    )
  })

  test('cuts the longest range that fits, and never an empty one', () => {
    const sizes = fc.array(fc.nat(20), { minLength: 1, maxLength: 100 })
    fc.assert(
      fc.property(sizes, fc.nat(99), fc.integer({ min: 1, max: 200 }), (all, at, limit) => {
        const log = new RaftLog(
          { index: 0, term: 0 },
          all.map((size) => ({ term: 1, size })),
        )
        const from = 1 + (at % all.length)
        const until = log.rangeEnd(from, limit)
        expect(until).toBeGreaterThan(from)
        expect(log.bytes(from - 1, until - 1) <= limit || until === from + 1).toBe(true)
        expect(until > log.lastIndex || log.bytes(from - 1, until) > limit).toBe(true)
      }),
    )
  })

  test('finds nothing to send after its end', () => {
    expect(new RaftLog({ index: 4, term: 2 }, []).rangeEnd(5, 100)).toBe(5)
  })

  test('guesses the last index that may agree: the last one of a term that is not later', () => {
    const log = new RaftLog(
      { index: 0, term: 0 },
      [1, 1, 4, 4, 4, 7].map((term) => ({ term, size: 1 })),
    )
    expect(log.lastIndexWithin(6, 6)).toBe(5)
    expect(log.lastIndexWithin(5, 3)).toBe(2)
    expect(log.lastIndexWithin(99, 7)).toBe(6)
    expect(log.lastIndexWithin(3, 0)).toBe(0)
  })

  test('guesses an index before its snapshot when all it has is later', () => {
    const log = new RaftLog({ index: 10, term: 5 }, [{ term: 6, size: 1 }])
    expect(log.lastIndexWithin(11, 3)).toBeLessThan(10)
    expect(log.lastIndexWithin(7, 3)).toBe(7)
  })

  test('lets only a log lead that ends in a later term, or in the same term and is as long', () => {
    const log = new RaftLog({ index: 0, term: 0 }, [{ term: 2, size: 1 }])
    const ends = [
      { index: 9, term: 1 },
      { index: 0, term: 2 },
      { index: 1, term: 2 },
      { index: 1, term: 3 },
    ]
    expect(ends.map((last) => log.isCoveredBy(last))).toEqual([false, false, true, true])
  })

  test('starts over after an installed snapshot', () => {
    const log = new RaftLog({ index: 0, term: 0 }, [{ term: 2, size: 1 }])
    log.reset({ index: 70, term: 3 })
    log.append(3, 5)
    expect([log.snapshot, log.last, log.bytes(70, 71)]).toEqual([{ index: 70, term: 3 }, { index: 71, term: 3 }, 5])
  })

  test('refuses a term that decreases', () => {
    const log = new RaftLog({ index: 0, term: 4 }, [])
    expect(() => log.append(3, 1)).toThrow(AssertionError)
  })
})
