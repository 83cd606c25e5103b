import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spanOf } from '../../../../src/base/span.ts'
import type { FrozenMemtable } from '../../../../src/machine/key-value/frozen-memtable.ts'
import { keyOf } from '../../../../src/machine/key-value/key.ts'
import { KeyHash } from '../../../../src/machine/key-value/key-hash.ts'
import { Memtable } from '../../../../src/machine/key-value/memtable.ts'
import { NONE } from '../../../../src/machine/key-value/record-store.ts'

const HASH = new KeyHash({ low: 1, high: 2 })
/** Pieces so large have slabs of their own, so that the bytes taken tell how many are kept. */
const LARGE = 20_000
/** In the order of their bytes, which is not that of UTF-16. One is as large as a value. */
const LONG_KEY = 'b'.repeat(LARGE)
const KEYS: readonly string[] = ['', 'a', 'a\0', LONG_KEY, 'é', '\ue000', '\uffff', '𐀀', '🙂']

const step = fc.record({
  type: fc.constantFrom('set' as const, 'set' as const, 'delete' as const, 'freeze' as const, 'release' as const),
  which: fc.nat(KEYS.length - 1),
  length: fc.constantFrom(1, 10, 40, LARGE),
})

/** A memtable beside its model, whose values hold their revision. */
class Pair {
  readonly table = new Memtable(HASH)
  readonly model = new Map<string, readonly [revision: number, length: number]>()
  readonly frozen: { readonly generation: FrozenMemtable; readonly content: readonly unknown[] }[] = []

  run({ type, which, length }: { type: string; which: number; length: number }, revision: number): void {
    const key = KEYS[which] ?? ''
    if (type === 'set') {
      this.table.set(keyOf(bytesOf(key), HASH), spanOf(new Uint8Array(length).fill(revision)), revision)
      this.model.set(key, [revision, length])
    } else if (type === 'delete' && this.model.delete(key)) {
      this.table.delete(this.table.find(keyOf(bytesOf(key), HASH)), revision)
    } else if (type === 'freeze') {
      this.frozen.push({ generation: this.table.freeze(revision), content: this.content() })
    } else if (type === 'release') {
      this.frozen.splice(which % Math.max(this.frozen.length, 1), 1)[0]?.generation.release()
    }
  }

  content(): [string, number, number, number][] {
    const present = KEYS.filter((key) => this.model.has(key))
    return present.map((key) => {
      const [revision, length] = this.model.get(key) ?? [0, 0]
      return [key, revision, length, revision]
    })
  }

  scanned(reverse: boolean, from = 0, until = KEYS.length): unknown[] {
    const found: unknown[] = []
    const range = { from: spanOf(bytesOf(KEYS[from] ?? '')), until: spanOf(bytesOf(KEYS[until] ?? '')) }
    this.table.scan(range, reverse, (record) => {
      const value = this.table.valueOf(record)
      found.push([textOf(this.table.keyOf(record)), this.table.revisionOf(record), value.length, value[0]])
      return true
    })
    return found
  }
}

describe('a memtable', () => {
  test('is a sorted map, and its frozen generations are what it was, whatever happens in between', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.nat(7),
        fc.integer({ min: 1, max: 7 }),
        (steps, from, until) => {
          const pair = new Pair()
          steps.forEach((now, at) => {
            pair.run(now, at + 1)
            const content = pair.content()
            expect(pair.table.size).toBe(content.length)
            expect(pair.scanned(false)).toEqual(content)
            expect(pair.scanned(true)).toEqual(content.reverse())
            const part = pair.content().filter(([key]) => KEYS.indexOf(key) >= from && KEYS.indexOf(key) < until)
            expect(pair.scanned(false, from, until)).toEqual(part)
            expect(pair.scanned(true, from, until)).toEqual(part.reverse())
            const found = KEYS.filter((key) => pair.table.find(keyOf(bytesOf(key), HASH)) !== NONE)
            expect(found).toEqual(pair.content().map(([key]) => key))
            for (const { generation, content: kept } of pair.frozen) expect(contentOf(generation)).toEqual(kept)
          })
        },
      ),
    )
  })

  test('keeps no value longer than it, or a frozen generation, needs it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pair = new Pair()
        steps.forEach((now, at) => {
          pair.run({ ...now, length: LARGE }, at + 1)
        })
        // Keys without a value: short ones share a slab, which stays.
        const spare = [0, 4096]
        const isFrozen = pair.frozen.length > 0
        const kept = new Map(pair.content().map(([key, revision]) => [revision, LARGE + bytesOf(key).length]))
        for (const { generation } of pair.frozen) {
          for (const { key, revision } of generation.records()) kept.set(revision, LARGE + key.length)
        }
        const needed = [...kept.values()].reduce((sum, length) => sum + length, 0)
        const nameless = pair.model.has(LONG_KEY) || !isFrozen ? [0] : [0, LARGE]
        expect(nameless.flatMap((more) => spare.map((each) => each + more))).toContain(pair.table.valueBytes - needed)
        for (const { generation } of pair.frozen) generation.release()
        for (const [key] of pair.content()) pair.run({ type: 'delete', which: KEYS.indexOf(key), length: 0 }, 1000)
        expect(spare).toContain(pair.table.valueBytes)
      }),
    )
  })

  test('grows by thousands of keys while it is frozen, and its generation is read meanwhile', () => {
    const table = new Memtable(HASH)
    const name = (number: number) => `key-${String(number).padStart(5, '0')}`
    const put = (number: number, revision: number) =>
      table.set(keyOf(bytesOf(name(number)), HASH), spanOf(Uint8Array.of(number)), revision)
    for (let number = 0; number < 4000; number += 2) put(number, number + 1)
    const generation = table.freeze(4000)
    const seen: string[] = []
    let revision = 4000
    for (const { key, value } of generation.records()) {
      const number = seen.length * 2
      expect(value[0]).toBe(number & 0xff)
      seen.push(textOf(key))
      for (const other of [number + 1, 3999 - number, (number * 7) % 4000]) put(other, ++revision)
      table.delete(table.find(keyOf(bytesOf(name((number * 7) % 4000)), HASH)), ++revision)
    }
    expect(seen).toEqual(Array.from({ length: 2000 }, (_, at) => name(2 * at)))
    generation.release()
    const kept: number[] = []
    table.scan({ from: spanOf(bytesOf('')), until: spanOf(bytesOf('')) }, false, (record) => kept.push(record) > 0)
    expect(kept.length).toBe(table.size)
  })
})

function contentOf(generation: FrozenMemtable): unknown[] {
  return [...generation.records()].map(({ key, revision, value }) => [textOf(key), revision, value.length, value[0]])
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
