import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareKeys } from '../../../src/machine/key-order.ts'

test('keys are ordered as the bytes of UTF-8 are', () => {
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
