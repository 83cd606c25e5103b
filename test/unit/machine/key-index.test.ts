import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareKeys, type Keyed, KeyIndex } from '../../../src/machine/key-index.ts'

function ascending(index: KeyIndex<Keyed>, from = ''): string[] {
  const position = index.seek(from)
  const keys: string[] = []
  for (let item = index.next(position); item !== undefined; item = index.next(position)) keys.push(item.key)
  return keys
}

function descending(index: KeyIndex<Keyed>): string[] {
  const position = index.end()
  const keys: string[] = []
  for (let item = index.previous(position); item !== undefined; item = index.previous(position)) keys.push(item.key)
  return keys
}

describe('compareKeys', () => {
  test('orders as the bytes of UTF-8 do', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '\0', 'é', '\ud7ff', '\ue000', '\uffff', '🙂', '𐀀'),
      maxLength: 5,
    })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
  })
})

describe('KeyIndex', () => {
  const many = Array.from({ length: 5000 }, (_, at) => `key-${String((at * 2741) % 5000).padStart(4, '0')}`)

  test.each([
    ['ascending', [...many].sort()],
    ['descending', [...many].sort().reverse()],
    ['mixed', many],
  ])('keeps thousands of keys in order that come %s', (_, keys) => {
    const index = new KeyIndex()
    for (const key of keys) index.insert({ key })
    const sorted = [...many].sort()
    expect(ascending(index)).toEqual(sorted)
    expect(descending(index)).toEqual(sorted.reverse())
    expect(ascending(index, 'key-4990a')).toEqual(ascending(index).slice(4991))
  })

  test('is a sorted set through insertions and removals in leaves that split and empty', () => {
    const spans = fc.array(fc.tuple(fc.nat(2000), fc.nat(1500)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(spans, (toggled) => {
        const index = new KeyIndex()
        const model = new Set<string>()
        for (const [start, length] of toggled) {
          for (let number = start; number < start + length; number++) {
            const key = String(number)
            if (model.delete(key)) index.remove(key)
            else {
              model.add(key)
              index.insert({ key })
            }
          }
        }
        const sorted = [...model].sort()
        expect([index.size, ascending(index)]).toEqual([sorted.length, sorted])
        expect(descending(index)).toEqual(sorted.reverse())
      }),
      { numRuns: 30 },
    )
  })
})
