import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { commonLength, compareSpans, copySpan, isEqualSpan } from '../../../src/base/span.ts'

const content = fc.uint8Array({ max: 2, maxLength: 6 })
const margin = fc.nat(5)
/** The bytes among others, which must not matter. */
const amid = (bytes: Uint8Array, before: number) => {
  const larger = new Uint8Array(before + bytes.length + 3).fill(1)
  larger.set(bytes, before)
  return { bytes: larger, start: before, end: before + bytes.length }
}

describe('a span', () => {
  test('compares as its bytes do, wherever they stand', () => {
    fc.assert(
      fc.property(content, content, margin, margin, (a, b, beforeA, beforeB) => {
        const order = compareSpans(amid(a, beforeA), amid(b, beforeB))
        expect(Math.sign(order)).toBe(Buffer.compare(a, b))
        expect(isEqualSpan(amid(a, beforeA), amid(b, beforeB))).toBe(Buffer.compare(a, b) === 0)
        const common = commonLength(amid(a, beforeA), amid(b, beforeB))
        expect(Buffer.compare(a.subarray(0, common), b.subarray(0, common))).toBe(0)
        expect(a[common] === undefined || a[common] !== b[common]).toBe(true)
      }),
    )
  })

  test('is copied alone, be it long or short', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), margin, (bytes, before) => {
        const target = new Uint8Array(110)
        copySpan(amid(bytes, before), target, 4)
        const expected = new Uint8Array(110)
        expected.set(bytes, 4)
        expect(target).toEqual(expected)
      }),
    )
  })
})
