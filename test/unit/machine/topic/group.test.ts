import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, type ByteWriter } from '../../../../src/base/bytes.ts'
import { LEVEL } from '../../../../src/machine/level.ts'
import {
  decodeGroupState,
  encodeCommit,
  encodeGroup,
  encodeJoin,
  encodeLeave,
  encodePage,
  encodeYield,
  GROUP_MAP,
  type GroupState,
  TOPIC_COMMAND,
  TOPIC_QUERY,
} from '../../../../src/machine/topic/command.ts'
import { TopicTable } from '../../../../src/machine/topic/topic.ts'
import { ask, give, giveAt, type Neighbourhood, neighbourhood, restored, sectionsOf } from './operations.ts'

/** A group of one topic, as its members drive it. */
class Members {
  readonly neighbours: Neighbourhood = neighbourhood()
  table: TopicTable = new TopicTable(this.neighbours)
  /** Of the entries with their commits. */
  level: number = LEVEL

  join(lease: number, partitions = 4, group = 'g') {
    this.neighbours.leases.add(lease)
    return give(this.table, 1, TOPIC_COMMAND.join, (writer) =>
      encodeJoin(writer, { topic: 't', group, lease }, partitions),
    )
  }

  leave(lease: number) {
    return give(this.table, 1, TOPIC_COMMAND.leave, (writer) => encodeLeave(writer, { topic: 't', group: 'g', lease }))
  }

  end(lease: number): void {
    this.neighbours.leases.delete(lease)
    this.table.leaseEnded(lease, 1)
  }

  yield(lease: number, generation: number) {
    return give(this.table, 1, TOPIC_COMMAND.yield, (writer) =>
      encodeYield(writer, { topic: 't', group: 'g', lease }, generation),
    )
  }

  commit(lease: number, partition: number, offset: number, generation: number) {
    const commit = { topic: 't', group: 'g', partition, offset, lease, generation }
    const encode = (writer: ByteWriter): void => encodeCommit(writer, commit)
    return giveAt(this.level, this.table, 1, { kind: TOPIC_COMMAND.commit, encode })
  }

  get committed(): readonly (number | undefined)[] {
    return this.state?.partitions.map(({ committed }) => committed) ?? []
  }

  get state(): GroupState | undefined {
    const reply = ask(this.table, TOPIC_QUERY.group, (writer) => encodeGroup(writer, 't', 'g'))
    reply?.u53()
    return reply === undefined ? undefined : decodeGroupState(reply)
  }

  get owners(): readonly number[] {
    return this.state?.partitions.map(({ owner }) => owner) ?? []
  }

  get yielding(): readonly number[] {
    return this.state?.partitions.map(({ yielding }) => yielding) ?? []
  }

  get generation(): number {
    return this.state?.generation ?? 0
  }

  /** Everyone yields what was taken from them, until nothing is. */
  settle(): void {
    for (let lease = this.yielding.find((yielder) => yielder > 0); lease !== undefined; ) {
      this.yield(lease, this.generation)
      lease = this.yielding.find((yielder) => yielder > 0)
    }
  }
}

describe('a group', () => {
  test('gives its first member everything', () => {
    const group = new Members()
    const { status, revision } = group.join(11)
    expect([status, revision]).toEqual(['ok', group.generation])
    expect(group.owners).toEqual([11, 11, 11, 11])
  })

  test('takes from who has too much, and gives it only when that member has yielded', () => {
    const group = new Members()
    group.join(11)
    group.join(12)
    expect(group.owners).toEqual([11, 11, 0, 0])
    expect(group.yielding).toEqual([0, 0, 11, 11])
    group.yield(11, group.generation)
    expect(group.owners).toEqual([11, 11, 12, 12])
  })

  test('does not take a yield for what was taken after it', () => {
    const group = new Members()
    group.join(11)
    group.join(12)
    const before = group.generation
    group.join(13)
    const taken = group.yielding
    expect(group.yield(11, before).status).toBe('ok')
    expect(group.yielding.filter((lease) => lease === 11)).toHaveLength(
      taken.filter((lease) => lease === 11).length - 2,
    )
  })

  test('gives back what was not yet yielded when the reason for taking it is gone', () => {
    const group = new Members()
    group.join(11)
    group.join(12)
    group.end(12)
    expect(group.owners).toEqual([11, 11, 11, 11])
  })

  test('moves no more partitions than it must', () => {
    const group = new Members()
    for (const lease of [1, 2, 3]) {
      group.join(lease, 12)
      group.settle()
    }
    const before = group.owners
    group.join(4, 12)
    group.settle()
    const moved = group.owners.filter((owner, partition) => owner !== before[partition])
    expect(moved).toEqual([4, 4, 4])
  })

  test('lets members beyond its partitions wait, and one of them takes over', () => {
    const group = new Members()
    for (const lease of [1, 2, 3]) {
      group.join(lease, 2)
      group.settle()
    }
    expect(new Set(group.owners)).toEqual(new Set([1, 2]))
    group.end(1)
    expect(new Set(group.owners)).toEqual(new Set([2, 3]))
  })

  test('announces each generation with its state', () => {
    const group = new Members()
    group.join(11)
    group.join(11)
    group.join(12)
    const { announced } = group.neighbours
    expect(announced.map(({ map, key }) => `${map} ${key}`)).toEqual(
      Array.from({ length: 2 }, () => `${GROUP_MAP} t/g`),
    )
    const last = announced.at(-1)
    expect(decodeGroupState(new ByteReader(last?.value ?? new Uint8Array(0)))).toEqual(group.state)
    expect(last?.revision).toBe(group.generation)
  })

  test('that nobody has committed to is gone with its last member', () => {
    const group = new Members()
    group.join(11)
    group.leave(11)
    expect(group.state).toBeUndefined()
    expect(group.neighbours.announced.at(-1)?.value).toHaveLength(0)
    expect(sectionsOf(group.table)).toEqual([])
  })

  test('refuses who has no lease, who is too many, and names that are none', () => {
    const group = new Members()
    const join = (lease: number, name = 'g') =>
      give(group.table, 1, TOPIC_COMMAND.join, (writer) => encodeJoin(writer, { topic: 't', group: name, lease }, 1))
    expect(join(99).status).toBe('fenced')
    for (let lease = 1; lease <= 1000; lease++) group.join(lease, 1)
    expect(group.join(1001, 1).status).toBe('full')
    expect(group.join(1000, 1).status).toBe('ok')
    expect(() => join(1, 'a/b')).toThrow('malformed')
    expect(() => join(1, '')).toThrow('malformed')
  })

  test('is one of at most 10,000, listed page by page', () => {
    const group = new Members()
    for (let n = 0; n < 10_000; n++) group.join(1, 1, `g${n}`)
    expect(group.join(1, 1, 'more').status).toBe('full')
    const reply = ask(group.table, TOPIC_QUERY.groups, (writer) => encodePage(writer, 't/g9998', 10))
    reply?.u53()
    expect([reply?.u8(), reply?.u32(), reply?.text()]).toEqual([0, 1, 't/g9999'])
  })
})

describe('a commit', () => {
  test('is kept, and found again by the next owner', () => {
    const group = new Members()
    group.join(11)
    expect(group.commit(11, 2, 40, group.generation).status).toBe('ok')
    group.end(11)
    group.join(12)
    expect(group.committed).toEqual([undefined, undefined, 40, undefined])
  })

  test('may be made by who is to yield, and by nobody who has yielded', () => {
    const group = new Members()
    group.join(11)
    const { generation } = group
    group.join(12)
    expect(group.commit(11, 3, 5, generation).status).toBe('ok')
    group.settle()
    expect(group.commit(11, 3, 6, group.generation)).toEqual({ status: 'fenced', revision: group.generation })
    expect(group.commit(12, 3, 7, group.generation).status).toBe('ok')
  })

  test('is fenced when it is of what its owner received before another had the partition', () => {
    const group = new Members()
    group.join(11, 1)
    const early = group.generation
    group.leave(11)
    group.join(12, 1)
    group.commit(12, 0, 90, group.generation)
    group.leave(12)
    group.join(11, 1)
    expect(group.commit(11, 0, 3, early).status).toBe('fenced')
    expect(group.commit(11, 0, 91, group.generation).status).toBe('ok')
  })

  test('that is overtaken by a further one takes nothing back, also when its partition was taken and given back in between', () => {
    const group = new Members()
    group.join(11)
    const { generation } = group
    group.join(12)
    group.end(12)
    expect(group.commit(11, 3, 9, group.generation).status).toBe('ok')
    expect(group.commit(11, 3, 5, generation).status).toBe('ok')
    expect(group.committed[3]).toBe(9)
    // As it was before members had agreed on this.
    group.level = 1
    expect(group.commit(11, 3, 5, generation).status).toBe('ok')
    expect(group.committed[3]).toBe(5)
    group.leave(11)
    expect(group.commit(0, 3, 2, 0).status).toBe('ok')
    expect(group.committed[3]).toBe(2)
  })

  test("is an operator's without a lease, while there are no members", () => {
    const group = new Members()
    expect(group.commit(0, 1, 7, 0).status).toBe('ok')
    group.join(11)
    expect(group.state?.partitions[1]?.committed).toBe(7)
    expect(group.commit(0, 1, 8, 0)).toEqual({ status: 'conflict', revision: group.generation })
  })
})

describe('whatever members do', () => {
  const lease = fc.integer({ min: 1, max: 6 })
  const step = fc.oneof(
    fc.record({ does: fc.constant('join' as const), lease }),
    fc.record({
      does: fc.constantFrom('leave' as const, 'end' as const, 'yield' as const, 'stale yield' as const),
      lease,
    }),
    fc.record({ does: fc.constant('restore' as const), lease }),
  )

  /** Who may be reading each partition: an owner reads until it has yielded, is gone or leaves. */
  class Readers {
    readonly #readers: number[] = []

    stop(lease: number, except: readonly number[] = []): void {
      this.#readers.forEach((reader, partition) => {
        if (reader === lease && except[partition] !== lease) this.#readers[partition] = 0
      })
    }

    /** Partitions that two would read. */
    conflicts(owners: readonly number[]): number[] {
      return owners.flatMap((owner, partition) => {
        const reader = this.#readers[partition] ?? 0
        if (owner !== 0) this.#readers[partition] = owner
        return owner !== 0 && reader !== 0 && reader !== owner ? [partition] : []
      })
    }
  }

  test('a partition has one reader, others are fenced, generations grow, and in the end each has an owner', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (steps, partitions) => {
        const group = new Members()
        const readers = new Readers()
        let generation = 0
        const history: (readonly [number, readonly number[]])[] = []
        let members = new Set<number>()
        for (const { does, lease: who } of steps) {
          if (does === 'join') group.join(who, partitions)
          else if (does === 'restore') group.table = restored(sectionsOf(group.table), new TopicTable(group.neighbours))
          else if (does === 'yield' || does === 'stale yield') {
            const [upTo, owners] = history.at(does === 'yield' ? -1 : -2) ?? [0, []]
            readers.stop(who, owners)
            group.yield(who, upTo)
          } else {
            readers.stop(who)
            if (does === 'leave') group.leave(who)
            else group.end(who)
          }
          members = new Set(group.state?.members)
          expect(readers.conflicts(group.owners)).toEqual([])
          if (history.at(-1)?.[0] !== group.generation) history.push([group.generation, group.owners])
          expect(group.generation === 0 || group.generation >= generation).toBe(true)
          generation = Math.max(generation, group.generation)
          const allowed = (group.state?.partitions ?? []).map(({ owner, yielding }) => owner || yielding)
          for (const [partition, holder] of allowed.entries()) {
            const stranger = [1, 2, 3, 4, 5, 6].find((other) => other !== holder) ?? 0
            expect(group.commit(stranger, partition, 1, generation).status).toBe('fenced')
          }
        }
        group.settle()
        const counts = [...members].map((member) => group.owners.filter((owner) => owner === member).length)
        expect(group.owners.filter((owner) => owner === 0 && members.size > 0)).toEqual([])
        expect(Math.max(0, ...counts) - Math.min(...counts, Math.max(0, ...counts))).toBeLessThanOrEqual(1)
      }),
    )
  })
})
