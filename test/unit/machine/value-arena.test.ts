import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Address, ValueArena } from '../../../src/machine/value-arena.ts'

interface Stored {
  address: Address
  value: Uint8Array
}

const length = fc.oneof(fc.nat(300), fc.constantFrom(0, 15, 16, 17, 256, 257, 16_383, 16_384, 16_385, 70_000))
const step = fc.record({
  type: fc.constantFrom('put' as const, 'put' as const, 'replace' as const, 'free' as const),
  which: fc.nat(),
  length,
})

describe('ValueArena', () => {
  test('keeps every value apart from the others until it is freed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const arena = new ValueArena()
        const stored: Stored[] = []
        steps.forEach((now, at) => {
          const value = new Uint8Array(now.length).fill(at + 1)
          const chosen = stored[now.which % Math.max(stored.length, 1)]
          if (now.type === 'put' || chosen === undefined) stored.push({ address: arena.put(value), value })
          else if (now.type === 'replace') {
            chosen.address = arena.replace(chosen.address, chosen.value.length, value)
            chosen.value = value
          } else {
            arena.free(chosen.address, chosen.value.length)
            stored.splice(stored.indexOf(chosen), 1)
          }
          const found = stored.map(({ address, value }) => Buffer.compare(arena.view(address, value.length), value))
          expect(found.filter((difference) => difference !== 0)).toEqual([])
        })
      }),
    )
  })

  test('uses freed slots again and gives back empty slabs', () => {
    const arena = new ValueArena()
    const value = new Uint8Array(256)
    const addresses = Array.from({ length: 2000 }, () => arena.put(value))
    const full = arena.size
    expect(full).toBeLessThan(2000 * 256 * 1.15)
    for (const address of addresses.splice(0, 1500)) arena.free(address, 256)
    for (let at = 0; at < 1500; at++) addresses.push(arena.put(value))
    // Slabs grow: the first were smaller than those that take their place.
    expect(arena.size).toBeLessThanOrEqual(full + 65_536)
    for (const address of addresses) arena.free(address, 256)
    expect(arena.size).toBeLessThanOrEqual(65_536)
  })

  test('gives a large value a slab of its own, and gives it back', () => {
    const arena = new ValueArena()
    const address = arena.put(new Uint8Array(100_000))
    expect(arena.size).toBe(100_000)
    arena.free(address, 100_000)
    expect(arena.size).toBe(0)
  })
})
