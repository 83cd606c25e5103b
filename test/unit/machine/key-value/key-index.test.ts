import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spanOf } from '../../../../src/base/span.ts'
import { KeyIndex } from '../../../../src/machine/key-value/key-index.ts'
import { NONE } from '../../../../src/machine/key-value/record-store.ts'

/** An index of texts; a text's record is its place in `texts`. */
class Texts {
  readonly texts: string[] = []
  readonly index = new KeyIndex((record) => span(this.texts[record] ?? ''))

  insert(text: string): void {
    this.index.insert(this.texts.push(text) - 1)
  }

  remove(text: string): void {
    this.index.remove(this.texts.lastIndexOf(text), span(text))
  }

  ascending(from = ''): string[] {
    const position = this.index.seek(span(from))
    const found: string[] = []
    for (let at = this.index.next(position); at !== NONE; at = this.index.next(position))
      found.push(this.texts[at] ?? '')
    return found
  }

  descending(): string[] {
    const position = this.index.end()
    const found: string[] = []
    for (let at = this.index.previous(position); at !== NONE; at = this.index.previous(position)) {
      found.push(this.texts[at] ?? '')
    }
    return found
  }
}

const span = (text: string) => spanOf(Buffer.from(text))
const sorted = (texts: Iterable<string>) => [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

describe('a key index', () => {
  const many = Array.from({ length: 5000 }, (_, at) => `key-${String((at * 2741) % 5000).padStart(4, '0')}`)

  test.each([
    ['ascending', sorted(many)],
    ['descending', sorted(many).reverse()],
    ['mixed', many],
  ])('keeps thousands of keys in order that come %s', (_, keys) => {
    const texts = new Texts()
    for (const key of keys) texts.insert(key)
    expect(texts.ascending()).toEqual(sorted(many))
    expect(texts.descending()).toEqual(sorted(many).reverse())
    expect(texts.ascending('key-4990a')).toEqual(texts.ascending().slice(4991))
  })

  test('takes keys into a leaf that those of a neighbour used to bound', () => {
    const texts = new Texts()
    const all = ['a', 'b', 'c'].flatMap((family) =>
      Array.from({ length: 600 }, (_, at) => `${family}/${String(at).padStart(3, '0')}`),
    )
    for (const text of all) texts.insert(text)
    for (const text of all.slice(200, 1500)) texts.remove(text)
    const between = all.slice(200, 1500).filter((_, at) => at % 11 === 0)
    for (const text of between.toReversed()) texts.insert(text)
    expect(texts.ascending()).toEqual(sorted([...all.slice(0, 200), ...between, ...all.slice(1500)]))
  })

  /** Texts for numbers below 10,000, alike in ways that marks of a few bytes do not tell apart. */
  const kinds: [string, (number: number) => string][] = [
    ['numbers', (number) => String(number)],
    ['ends of a long text', (number) => `${'prefix/'.repeat(40)}${number}`],
    ['beginnings of one another', (number) => '1'.repeat(number % 1000) + (number >= 5000 ? '0' : '')],
    ['zeros behind a text', (number) => `${number % 10}${'\0'.repeat(number / 10)}`],
    ['of several families', (number) => `${['user:', 'order:', 'session:', ''][number % 4]}${number}`],
    ['beyond the first plane', (number) => String.fromCodePoint(0xd000 + number * 7 + (number > 290 ? 0x1000 : 0))],
  ]

  test.each(kinds)('is a sorted set through splits and removals, with keys that are %s', (_, textOf) => {
    const spans = fc.array(fc.tuple(fc.nat(2000), fc.nat(1200), fc.constantFrom(1, 7, 1201)), {
      minLength: 1,
      maxLength: 7,
    })
    fc.assert(
      fc.property(spans, fc.nat(9999), (toggled, from) => {
        const texts = new Texts()
        const model = new Set<string>()
        for (const [start, length, step] of toggled) {
          for (let at = 0; at < length; at++) {
            const text = textOf(start + ((at * step) % length))
            if (model.delete(text)) texts.remove(text)
            else {
              model.add(text)
              texts.insert(text)
            }
          }
        }
        const expected = sorted(model)
        expect([texts.index.size, texts.ascending()]).toEqual([expected.length, expected])
        expect(texts.descending()).toEqual([...expected].reverse())
        const probe = Buffer.from(textOf(from))
        expect(texts.ascending(textOf(from))).toEqual(expected.filter((text) => probe.compare(Buffer.from(text)) <= 0))
      }),
      { numRuns: 15 },
    )
  })
})
