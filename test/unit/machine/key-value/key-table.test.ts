import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Key } from '../../../../src/machine/key-value/key.ts'
import { KeyTable } from '../../../../src/machine/key-value/key-table.ts'
import { NONE } from '../../../../src/machine/key-value/record-store.ts'

const encoder = new TextEncoder()
const keyOf = (text: string, hash: number): Key => {
  const bytes = encoder.encode(text)
  return { bytes, start: 0, end: bytes.length, hash }
}
const textOf = ({ bytes, start, end }: Key) => Buffer.from(bytes.subarray(start, end)).toString()

/** A table of texts; a text's record is its place in `texts`. */
class Texts {
  readonly texts: string[] = []
  readonly table = new KeyTable((record, key) => this.texts[record] === textOf(key))
  readonly #hashOf: (text: string) => number

  constructor(hashOf: (text: string) => number) {
    this.#hashOf = hashOf
  }

  find(text: string): number {
    return this.table.find(keyOf(text, this.#hashOf(text)))
  }

  add(text: string): void {
    this.table.add(this.#hashOf(text), this.texts.push(text) - 1)
  }

  remove(text: string): void {
    this.table.remove(this.#hashOf(text), this.find(text))
  }
}

describe('a key table', () => {
  const spread = (text: string) => Math.imul(Number(text) + 1, 0x9e3779b1) >>> 0
  const hashes: [string, (text: string) => number][] = [
    ['spread', spread],
    ['in the first bits alike', (text) => spread(text) >>> 12],
    ['in the last bits alike', (text) => (spread(text) & 0xffff0000) >>> 0],
    ['few', (text) => Number(text) % 7],
    ['all at the end of a segment', (text) => (spread(text) | 0x7ff) >>> 0],
  ]

  test.each(hashes)('finds what was added and not removed, with hashes that are %s', (_, hashOf) => {
    const spans = fc.array(fc.tuple(fc.nat(600), fc.nat(400)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(spans, (toggled) => {
        const texts = new Texts(hashOf)
        const model = new Set<string>()
        for (const [start, length] of toggled) {
          for (let number = start; number < start + length; number++) {
            const text = String(number)
            if (model.delete(text)) texts.remove(text)
            else {
              model.add(text)
              texts.add(text)
            }
          }
        }
        const all = Array.from({ length: 1000 }, (__, number) => String(number))
        const wrong = all.filter((text) => {
          const record = texts.find(text)
          return model.has(text) ? texts.texts[record] !== text : record !== NONE
        })
        expect(wrong).toEqual([])
      }),
      { numRuns: 20 },
    )
  })

  test('splits again and again as it grows', () => {
    const texts = new Texts(spread)
    for (let number = 0; number < 50_000; number++) texts.add(String(number))
    const lost = texts.texts.filter((text, record) => texts.find(text) !== record)
    expect([lost, texts.find('50000')]).toEqual([[], NONE])
  })

  test('holds more keys of one hash than a segment has slots', () => {
    const texts = new Texts(() => 0xffffffff)
    for (let number = 0; number < 2500; number++) texts.add(String(number))
    expect([texts.find('0'), texts.find('2499'), texts.find('2500')]).toEqual([0, 2499, NONE])
  })
})
