import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareKeys, isInRange } from '../../../src/driver/key-order.ts'

const key = fc.string({ unit: 'binary', maxLength: 6 })
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

test('keys stand in the order of their UTF-8 bytes', () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(Buffer.compare(bytesOf(a), bytesOf(b))))
    }),
  )
})

test('a surrogate pair stands after every key of one unit', () => {
  expect(compareKeys('\u{10000}', '\uffff')).toBeGreaterThan(0)
})

test('a range holds its first bound, not its second, and reaches the end when it has none', () => {
  expect(['a', 'b', 'c'].filter((text) => isInRange(text, 'a', 'c'))).toEqual(['a', 'b'])
  expect(isInRange('\u{10ffff}', 'a', '')).toBe(true)
})
