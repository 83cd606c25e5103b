import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spanOf } from '../../../../src/base/span.ts'
import type { ScanQuery } from '../../../../src/machine/command.ts'
import { compareKeys } from '../../../../src/machine/key-order.ts'
import { ChangeLog } from '../../../../src/machine/key-value/changes.ts'
import { KeyHash } from '../../../../src/machine/key-value/key-hash.ts'
import { KeyValue } from '../../../../src/machine/key-value/key-value.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { anyone, apply, batchOf, deleting, get, scan, setting } from '../operations.ts'

describe('a map', () => {
  test('gives back what was set, with the revision that the reply named', () => {
    const shard = new Shard()
    expect(apply(shard, 50, setting('k', 7))).toEqual([{ status: 'ok', revision: 50 }])
    expect(get(shard, 'k')).toEqual({ status: 'ok', revision: 50, value: Uint8Array.of(7) })
    expect(get(shard, 'other')).toEqual({ status: 'absent', revision: 50, value: new Uint8Array(0) })
  })

  test('has revisions that grow strictly, even when the clock of the leader steps back', () => {
    const shard = new Shard()
    const replies = [...apply(shard, 50, setting('a', 1), setting('b', 2)), ...apply(shard, 20, setting('c', 3))]
    expect(replies.map(({ revision }) => revision)).toEqual([50, 51, 52])
    expect(apply(shard, Number.MAX_SAFE_INTEGER, setting('d', 4))[0]?.revision).toBeLessThan(2 ** 53 - 2 ** 41)
  })

  test('changes on a condition only when the revision is the one demanded', () => {
    const shard = new Shard()
    expect(apply(shard, 50, setting('k', 1, anyone, 0), setting('k', 2, anyone, 0))).toEqual([
      { status: 'ok', revision: 50 },
      { status: 'conflict', revision: 50 },
    ])
    expect(apply(shard, 60, setting('k', 3, anyone, 50), deleting('k', anyone, 50), deleting('k', anyone, 60))).toEqual(
      [
        { status: 'ok', revision: 60 },
        { status: 'conflict', revision: 60 },
        { status: 'ok', revision: 61 },
      ],
    )
    expect(apply(shard, 70, setting('k', 4, anyone, 61), deleting('k'), deleting('k', anyone, 0))).toEqual([
      { status: 'conflict', revision: 0 },
      { status: 'absent', revision: 61 },
      { status: 'absent', revision: 61 },
    ])
  })

  test('keeps values of its own: the entry may be used again', () => {
    const shard = new Shard()
    const entry = batchOf(1, [setting('k', 7)])
    shard.apply(entry, () => undefined)
    const answer = get(shard, 'k').value
    entry.fill(0)
    apply(shard, 2, setting('k', 8))
    expect([answer, get(shard, 'k').value]).toEqual([Uint8Array.of(7), Uint8Array.of(8)])
  })

  test('costs nothing once it is empty, however many there were', () => {
    const keyValue = new KeyValue(new ChangeLog(), new KeyHash({ low: 1, high: 2 }))
    const key = spanOf(new TextEncoder().encode('k'))
    keyValue.begin(1)
    for (let map = 0; map < 1000; map++) keyValue.load(`m${map}`, key, 1, Uint8Array.of(1))
    const frozen = keyValue.maps().map(([, table]) => table.freeze(1))
    for (let map = 0; map < 1000; map++) keyValue.deleteKey(`m${map}`, 'k', map + 1, map + 2)
    expect(keyValue.maps().length).toBeLessThanOrEqual(1)
    expect(frozen.flatMap((table) => [...table.records()])).toHaveLength(1000)
    for (const table of frozen) table.release()
  })

  test('is scanned page by page, in both directions, in the order of UTF-8 bytes', () => {
    const keys = fc.uniqueArray(fc.string({ unit: 'grapheme', maxLength: 4 }), { maxLength: 30 })
    const page = fc.integer({ min: 1, max: 7 })
    fc.assert(
      fc.property(keys, fc.string({ maxLength: 1 }), fc.string({ maxLength: 1 }), page, (all, low, high, limit) => {
        const shard = new Shard()
        apply(shard, 1, ...all.map((key, at) => setting(key, at)))
        const inside = (key: string) => compareKeys(key, low) >= 0 && (high === '' || compareKeys(key, high) < 0)
        const expected = all.filter(inside).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect(pages(shard, { from: low, until: high, limit })).toEqual(expected)
        expect(pages(shard, { from: low, until: high, limit, reverse: true })).toEqual(expected.reverse())
      }),
    )
  })

  test('gives pages within a limit of bytes, but never an empty one before the end', () => {
    const shard = new Shard()
    apply(shard, 1, setting('a', 1), setting('b', 2), setting('c', 3))
    expect(scan(shard, { byteLimit: 0 })).toMatchObject({ entries: [{ key: 'a' }], next: 'b' })
    expect(scan(shard, { byteLimit: 4 })).toMatchObject({ entries: [{ key: 'a' }, { key: 'b' }], next: 'c' })
  })
})

function pages(
  shard: Shard,
  query: Pick<ScanQuery, 'from' | 'until' | 'limit'> & { readonly reverse?: boolean },
): string[] {
  const keys: string[] = []
  let page = scan(shard, query)
  keys.push(...page.entries.map(({ key }) => key))
  while (page.next !== undefined) {
    page = scan(shard, query.reverse === true ? { ...query, until: page.next } : { ...query, from: page.next })
    keys.push(...page.entries.map(({ key }) => key))
  }
  return keys
}
