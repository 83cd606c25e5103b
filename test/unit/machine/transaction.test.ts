import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { COMMAND } from '../../../src/machine/command.ts'
import { attachPart, fencePart } from '../../../src/machine/lease/command.ts'
import { emitPart } from '../../../src/machine/outbox.ts'
import { Shard } from '../../../src/machine/shard.ts'
import { PARTS_LIMIT, type Part } from '../../../src/machine/transaction.ts'
import { acquiring, granting, lettingGo, part, restored, revokePart, together } from './lease/operations.ts'
import { anyone, apply, contents, deleting, from, get, resolve, setting } from './operations.ts'

describe('a transaction', () => {
  test('answers like its last part', () => {
    const shard = new Shard()
    const replies = apply(
      shard,
      5,
      together([part(setting('a', 1)), part(setting('b', 2))]),
      together([part(setting('a', 3)), part(deleting('gone'))]),
    )
    expect(replies).toEqual([
      { status: 'ok', revision: 6 },
      { status: 'absent', revision: 7 },
    ])
    expect(contents(shard)).toEqual([
      ['a', 3],
      ['b', 2],
    ])
  })

  test('judges every part by the state before it, also two of the same key', () => {
    const shard = new Shard()
    const onlyNew = (value: number) => part(setting('a', value, anyone, 0))
    expect(apply(shard, 1, together([onlyNew(1), onlyNew(2)]))).toMatchObject([{ status: 'ok' }])
    expect(contents(shard)).toEqual([['a', 2]])
    const present = get(shard, 'a').revision
    expect(apply(shard, 2, together([part(deleting('a')), onlyNew(3)]))).toEqual([
      { status: 'conflict', revision: present },
    ])
  })

  test('is refused with parts that are none, and changes nothing', () => {
    const shard = new Shard()
    const set = part(setting('a', 1))
    const kinds = [
      COMMAND.resolve,
      COMMAND.transaction,
      COMMAND.refuse,
      COMMAND.relay,
      COMMAND.relayed,
      0,
      31,
      160,
      223,
    ]
    const strange = kinds.map((kind): Part => ({ kind, encode: (writer) => writer.u53(1) }))
    const statuses = apply(shard, 1, ...strange.map((other) => together([set, other, set]))).map(({ status }) => status)
    expect(statuses).toEqual(kinds.map(() => 'unsupported'))
    const leaseOnly = [granting(1), acquiring('l', 1)].map((command) => together([set, part(command)]))
    expect(apply(shard, 1, ...leaseOnly).map(({ status }) => status)).toEqual(['unsupported', 'unsupported'])
    expect(shard.revision).toBe(0)
  })

  test('that is malformed in the middle changes nothing', () => {
    const shard = new Shard()
    const set = part(setting('a', 1))
    const short: Part = { kind: COMMAND.set, encode: (writer) => writer.u8(0) }
    const long: Part = {
      kind: COMMAND.set,
      encode(writer) {
        set.encode(writer)
        writer.u8(0)
      },
    }
    const many = Array.from({ length: PARTS_LIMIT + 1 }, () => set)
    const whole = together([set, set])
    const malformed = [
      together([set, short, set]),
      together([set, long]),
      together([]),
      together(many),
      whole.subarray(0, -1),
    ]
    expect(apply(shard, 1, ...malformed).map(({ status }) => status)).toEqual(malformed.map(() => 'malformed'))
    expect(shard.revision).toBe(0)
    expect(apply(shard, 1, together(many.slice(1)))).toMatchObject([{ status: 'ok' }])
  })

  test('that did not happen is not taken for one that did', () => {
    const shard = new Shard()
    const refused = together([part(setting('a', 1)), fencePart('l', 1, true)], from(5, 1))
    const empty = together([part(deleting('gone'))], from(5, 2))
    expect(apply(shard, 1, refused, empty)).toMatchObject([{ status: 'fenced' }, { status: 'absent' }])
    expect([resolve(shard, 2, 5, 1), resolve(shard, 2, 5, 2)]).toEqual(['not-committed', 'committed'])
  })
})

/** Parts as they would be drawn by a client that knows little about the state. */
const parts = fc.array(
  fc.oneof(
    fc
      .tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(255), fc.constantFrom(undefined, undefined, 0, 1))
      .map(([key, value, ifRevision]) => part(setting(key, value, anyone, ifRevision))),
    fc.constantFrom('a', 'b', 'c').map((key) => part(deleting(key))),
    fc
      .tuple(fc.constantFrom('l', 'far'), fc.integer({ min: 1, max: 40 }), fc.boolean())
      .map(([name, token, isHome]) => fencePart(name, token, isHome)),
    fc
      .tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 4 }))
      .map(([key, lease]) => attachPart('m', key, lease)),
    fc.integer({ min: 1, max: 4 }).map(revokePart),
    fc.integer({ min: 1, max: 4 }).map((lease) => part(lettingGo('l', lease))),
    fc.nat(2).map((target) => emitPart(target, part(setting('x', 1)))),
  ),
  { minLength: 1, maxLength: 5 },
)
const preparation = [granting(1), granting(2), granting(3), acquiring('l', 1), acquiring('l', 2), setting('a', 1)]

test('a transaction happens whole or not at all, and once; a replica restored in between goes on alike', () => {
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), fc.nat(12), (transactions, cut) => {
      const shard = new Shard()
      let copy = new Shard()
      for (const each of [shard, copy]) apply(each, 1, ...preparation)
      transactions.forEach((drawn, turn) => {
        if (turn === cut) copy = restored(copy)
        const time = 10 + turn
        apply(shard, time)
        const before = shard.digest()
        const [reply] = apply(shard, time, together(drawn))
        const hasHappened = ['ok', 'absent', 'duplicate'].includes(reply?.status ?? '')
        expect(hasHappened || shard.digest() === before).toBe(true)
        apply(copy, time)
        expect(apply(copy, time, together(drawn))).toEqual([reply])
        expect(copy.digest()).toBe(shard.digest())
        const retried = together(drawn, from(9, turn + 1))
        const [first] = apply(shard, time, retried)
        expect(apply(copy, time, retried)).toEqual([first])
        const settled = shard.digest()
        expect(apply(shard, time, retried)).toEqual([first])
        expect(shard.digest()).toBe(settled)
      })
    }),
    { numRuns: 150 },
  )
})

test('every part of a transaction has happened when it did', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 20 }),
      fc.nat(20),
      (keys, at) => {
        const shard = new Shard()
        const sets = keys.map((key, value) => part(setting(key, value)))
        const refused = part(setting('x', 1, anyone, 77))
        apply(shard, 1, together([...sets.slice(0, at), refused, ...sets.slice(at)]))
        expect(contents(shard)).toEqual([])
        apply(shard, 2, together([...sets, emitPart(1, refused)]))
        expect(contents(shard)).toHaveLength(keys.length)
        expect(shard.view.outbox.pending({ shard: 1, name: '' }, 9)).toHaveLength(1)
      },
    ),
  )
})
