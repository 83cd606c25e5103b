import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ValueCodec } from '../../../src/base/codec.ts'
import { isTroupeError } from '../../../src/base/error.ts'

const codec = new ValueCodec()
const roundTrip = (value: unknown) => codec.decode(codec.encode(value))
const refusal = (code: string, path: string) => expect.objectContaining({ code, details: { path } })

describe('ValueCodec', () => {
  test('gives back what was encoded', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      key: fc.string().filter((key) => key !== '__proto__'),
    })
    fc.assert(
      fc.property(anything, (value) => {
        // What structured clone does to holes and prototypes is not ours to promise; -0 becomes 0.
        const plain: unknown = structuredClone(value)
        expect(normalize(roundTrip(value))).toEqual(normalize(plain))
      }),
    )
  })

  test.each([
    ['a date', new Date(5)],
    ['a pattern', /a+/g],
    ['nothing', undefined],
    ['a large integer', -(10n ** 40n)],
    ['a text beyond ASCII', 'ä日🎉'],
    ['an error with its cause', new RangeError('too far', { cause: { at: 7 } })],
    ['bytes', Uint8Array.of(1, 2)],
    ['no bytes', new Uint8Array(0)],
    ['a map with objects as keys', new Map([[{ a: 1 }, new Set([1])]])],
  ])('carries %s', (_, value) => {
    expect(roundTrip(value)).toEqual(value)
  })

  test('keeps cycles and shared objects', () => {
    const shared = { n: 1 }
    const value: Record<string, unknown> = { a: shared, b: shared }
    value.self = value
    const copy = roundTrip(value) as typeof value
    expect(copy.self).toBe(copy)
    expect(copy.a).toBe(copy.b)
  })

  test('checks a value once however often it is shared', () => {
    let value: unknown = {}
    for (let level = 0; level < 100; level++) value = [value, value]
    expect(() => codec.encode(value)).not.toThrow()
  })

  test.each([
    [() => 1, 'value'],
    [{ items: [0, { run: () => 1 }] }, 'value.items[1].run'],
    [{ s: Symbol('s') }, 'value.s'],
    [{ text: 'a\ud800b' }, 'value.text'],
    [{ '\udc00': 1 }, '\udc00'],
    [[new AggregateError([new Error('a')], 'several')], 'value[0]'],
    [Object.assign(new Error('m'), { name: 'toString' }), 'value'],
    [new Error('m', { cause: () => 1 }), 'value.cause'],
    [new Map([['k', Promise.resolve()]]), "value.get('k')"],
    [new Set([new WeakMap()]), 'value.values()'],
    [[Object(3)], 'value[0]'],
    [JSON.parse('{"__proto__":1}'), '__proto__'],
  ])('refuses %s and says where it is', (value, path) => {
    expect(() => codec.encode(value)).toThrow(refusal('UNSERIALIZABLE', path))
  })

  test('refuses a value that is nested too deeply', () => {
    let value: unknown = 1
    for (let level = 0; level < 5000; level++) value = [value]
    expect(() => codec.encode(value)).toThrow(expect.objectContaining({ code: 'UNSERIALIZABLE' }))
  })

  test('refuses more than 1 MiB, and takes exactly that', () => {
    expect(() => codec.encode(new Uint8Array(1024 * 1024))).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
    expect(codec.encode(new Uint8Array(1024 * 1024 - 1))).toHaveLength(1024 * 1024)
  })

  test('owns the bytes that it gives out', () => {
    const first = codec.encode({ a: 1 })
    const copy = first.slice()
    codec.encode({ b: 2 })
    expect(first).toEqual(copy)
    expect(first.buffer.byteLength).toBe(first.length)
  })

  test('meets damaged bytes with DATA_DAMAGED or a value, and works afterwards', () => {
    const samples = [{ a: [1, 'x'.repeat(40)], b: new Map([[1, new Date(3)]]) }, [1.5, -3n, null], new Error('e')]
    const encoded = samples.map((sample) => codec.encode(sample))
    const mutations = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.constantFrom(...encoded), mutations, fc.nat(), (bytes, changes, cut) => {
        const damaged = bytes.slice(0, bytes.length - (cut % 4))
        for (const [at, value] of changes) damaged[at % damaged.length] = value
        try {
          codec.decode(damaged)
        } catch (error) {
          if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
        }
        expect(roundTrip(samples)).toEqual(samples)
      }),
      { numRuns: 500 },
    )
  })
})

function normalize(value: unknown): unknown {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return Array.from(value, normalize)
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [normalize(key), normalize(item)]))
  if (value instanceof Set) return new Set([...value].map(normalize))
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normalize(item)]))
}
