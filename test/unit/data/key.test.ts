import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkKey, endOfPrefix } from '../../../src/data/key.ts'
import { isInRange } from '../../../src/driver/key-order.ts'

const wellFormed = fc.string({ unit: 'binary', maxLength: 8 })

describe('checkKey', () => {
  test('takes every well-formed text of 1 to 4096 bytes', () => {
    fc.assert(
      fc.property(wellFormed, (key) => {
        fc.pre(key !== '')
        expect(() => checkKey(key)).not.toThrow()
      }),
    )
    for (const longest of ['a'.repeat(4096), 'é'.repeat(2048), '水'.repeat(1365), '😀'.repeat(1024)]) {
      expect(() => checkKey(longest)).not.toThrow()
    }
  })

  test('counts bytes, not characters', () => {
    for (const long of ['a'.repeat(4097), 'é'.repeat(2049), '水'.repeat(1366), '😀'.repeat(1025)]) {
      expect(() => checkKey(long)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
    }
  })

  test('refuses the empty key, half a surrogate pair, and what is no string', () => {
    for (const bad of ['', '\ud800', 'a\udc00', '\ud800\ud800', '\udc00\ud800', 7, undefined, null]) {
      expect(() => checkKey(bad as string)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })
})

describe('endOfPrefix', () => {
  test('divides the keys that begin with the prefix from all that stand after it', () => {
    fc.assert(
      fc.property(wellFormed, wellFormed, (prefix, key) => {
        expect(isInRange(key, prefix, endOfPrefix(prefix))).toBe(key.startsWith(prefix))
        expect(isInRange(prefix + key, prefix, endOfPrefix(prefix))).toBe(true)
      }),
    )
  })

  test('steps over the surrogates and the end of Unicode', () => {
    expect(endOfPrefix('a\ud7ff')).toBe('a\ue000')
    expect(endOfPrefix('a\uffff')).toBe('a\u{10000}')
    expect(endOfPrefix('a\u{10ffff}')).toBe('b')
    expect(endOfPrefix('\u{10ffff}')).toBe('')
    expect(endOfPrefix('')).toBe('')
  })
})
