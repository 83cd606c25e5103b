import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashText } from '../../../../src/base/hash.ts'
import { isEqualSpan, spanOf } from '../../../../src/base/span.ts'
import { keyOf } from '../../../../src/machine/key-value/key.ts'
import { KeyHash } from '../../../../src/machine/key-value/key-hash.ts'
import { KeyTable } from '../../../../src/machine/key-value/key-table.ts'

const secret = fc.record({ low: fc.nat(), high: fc.nat() })
const hashOf = (bytes: Uint8Array, hash: KeyHash) => hash.of(spanOf(bytes))

describe('a key hash', () => {
  test('is HalfSipHash-1-3, by the vectors that Linux tests its own with', () => {
    const hash = new KeyHash({ low: 0x03020100, high: 0x07060504 })
    const bytes = Uint8Array.from({ length: 8 }, (_, at) => at)
    expect([...bytes].map((length) => hashOf(bytes.subarray(0, length), hash))).toEqual([
      0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6,
    ])
  })

  test('is that of the bytes, wherever they stand', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.nat(5), secret, (bytes, before, key) => {
        const hash = new KeyHash(key)
        const amid = new Uint8Array(before + bytes.length + 3).fill(1)
        amid.set(bytes, before)
        expect(hash.of({ bytes: amid, start: before, end: before + bytes.length })).toBe(hashOf(bytes, hash))
      }),
    )
  })

  test('sets keys apart that were chosen to have one place: 100,000 writes stay quick', () => {
    const keys = collidingKeys(100_000)
    expect(new Set(keys.map((key) => hashText(key))).size).toBe(1)
    const hash = new KeyHash({ low: 0x5eed, high: 0xca5e })
    const encoded = keys.map((key) => keyOf(new TextEncoder().encode(key), hash))
    let comparisons = 0
    const table = new KeyTable((record, key) => {
      comparisons++
      return isEqualSpan(encoded[record] ?? key, key)
    })
    for (const [record, key] of encoded.entries()) {
      table.find(key)
      table.add(key.hash, record)
    }
    expect(comparisons).toBeLessThan(100)
  })
})

/** Texts that agree in their whole MurmurHash: after any first word there is a second one that leads to one and the same state. */
function collidingKeys(count: number): string[] {
  const keys: string[] = []
  for (let number = 0; keys.length < count; number++) {
    const first = [0, 7, 14, 21].reduce((word, shift) => word | (((number >>> shift) & 127) << (shift + shift / 7)), 0)
    const state = (Math.imul(rotate(scramble(first), 13), 5) + 0xe6546b64) | 0
    const second = Math.imul(rotate(Math.imul(state ^ 0x7a5e, 0x56ed309b), 17), 0xdee13bb1)
    if ((second & 0x80808080) === 0) keys.push(textOf(first) + textOf(second))
  }
  return keys
}

function scramble(word: number): number {
  return Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593)
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

function textOf(word: number): string {
  return String.fromCharCode(word & 127, (word >>> 8) & 127, (word >>> 16) & 127, word >>> 24)
}
