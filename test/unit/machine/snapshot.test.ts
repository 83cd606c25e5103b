import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeSet } from '../../../src/machine/command.ts'
import { Shard } from '../../../src/machine/shard.ts'
import { anyone, apply, bytes, contents, deleting, from, resolve, setting } from './operations.ts'

describe('a frozen state', () => {
  const operations = fc.array(
    fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), value: fc.option(fc.nat(255)), longer: fc.boolean() }),
    { maxLength: 30 },
  )

  test('stays what it was while the shard goes on, and becomes an equal shard', () => {
    fc.assert(
      fc.property(operations, operations, operations, (before, between, after) => {
        const shard = new Shard()
        const copies: [Shard, unknown, number][] = []
        let time = 0
        const run = (batch: typeof before) => {
          const commands = batch.map(({ key, value }) => (value === null ? deleting(key) : setting(key, value)))
          apply(shard, ++time, ...commands)
        }
        const freeze = () => {
          const frozen = shard.freeze()
          const expected: [unknown, number] = [contents(shard), shard.digest()]
          return () => {
            const copy = new Shard()
            copy.restore(frozen.chunks())
            copies.push([copy, ...expected])
            frozen.release()
          }
        }
        run(before)
        const restoreFirst = freeze()
        run(between)
        const restoreSecond = freeze()
        run(after)
        restoreSecond()
        restoreFirst()
        for (const [copy, expected, digest] of copies)
          expect([contents(copy), copy.digest()]).toEqual([expected, digest])
        const last = new Shard()
        last.restore(shard.freeze().chunks())
        expect([contents(last), last.digest(), last.revision]).toEqual([
          contents(shard),
          shard.digest(),
          shard.revision,
        ])
      }),
    )
  })

  test('can be read step by step between writes', () => {
    const shard = new Shard()
    const large = (key: string) =>
      bytes((writer) => encodeSet(writer, anyone, { map: 'm', key, value: new Uint8Array(40_000).fill(1) }))
    apply(shard, 1, ...['b', 'd', 'f', 'h'].map(large))
    const expected = contents(shard)
    const frozen = shard.freeze()
    const chunks: Uint8Array[] = []
    for (const chunk of frozen.chunks()) {
      chunks.push(chunk)
      apply(shard, 2, deleting('d'), setting('c', 2), setting('g', 2), large('f'), setting('h', 3))
      apply(shard, 3, setting('d', 4), deleting('b'), deleting('h'))
    }
    frozen.release()
    const copy = new Shard()
    copy.restore(chunks)
    expect(contents(copy)).toEqual(expected)
    expect(contents(shard).map(([key]) => key)).toEqual(['c', 'd', 'f', 'g'])
  })

  test('comes in chunks of at most 64 KiB, unless one record is larger', () => {
    const shard = new Shard()
    const sizes = [500, 30_000, 59_000, 64_000, 200_000]
    sizes.forEach((size, at) => {
      const value = new Uint8Array(size)
      apply(
        shard,
        1,
        bytes((writer) => encodeSet(writer, anyone, { map: 'm', key: `k${at}`, value })),
      )
    })
    for (let session = 1; session <= 3000; session++) apply(shard, 2, setting('k', 1, from(session, 1)))
    const frozen = shard.freeze()
    const large = [...frozen.chunks()].filter(({ length }) => length > 65_536)
    expect(large).toHaveLength(1)
    expect(large[0]?.length).toBeLessThan(200_100)
  })

  test('holds the sessions: what has run does not run again on the copy', () => {
    const shard = new Shard()
    const replies = apply(shard, 10, ...[1, 2, 3, 40].map((sequence) => setting('k', sequence, from(9, sequence))))
    const copy = new Shard()
    copy.restore(shard.freeze().chunks())
    expect(apply(copy, 20, ...[1, 2, 3, 40].map((sequence) => setting('k', 0, from(9, sequence))))).toEqual(replies)
    expect(resolve(copy, 30, 9, 5)).toBe('not-committed')
  })

  test('is read however its bytes are cut, and refused when any of them differs', () => {
    const shard = new Shard()
    apply(shard, 10, setting('a', 1, from(9, 1)), setting('b', 2, from(9, 2)), setting('c', 3, from(8, 1)))
    const whole = Uint8Array.from([...shard.freeze().chunks()].flatMap((chunk) => [...chunk]))
    const single = new Shard()
    single.restore(Array.from(whole, (byte) => Uint8Array.of(byte)))
    expect(single.digest()).toBe(shard.digest())
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = whole.slice()
        damaged[at] = (whole[at] ?? 0) ^ flip
        const target = new Shard()
        apply(target, 5, setting('old', 1))
        expect(() => target.restore([damaged])).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^(DATA_DAMAGED|VERSION_SKEW)$/) }),
        )
        expect(contents(target)).toEqual([['old', 1]])
      }),
    )
    for (const length of [0, 3, 30, whole.length - 1]) {
      expect(() => new Shard().restore([whole.subarray(0, length)])).toThrow(
        expect.objectContaining({ code: 'DATA_DAMAGED' }),
      )
    }
  })
})
