import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DueHeap } from '../../../../src/machine/queue/due.ts'

test('slots come out by time, and by id at the same time, whatever their history', () => {
  const change = fc.record({ slot: fc.nat(29), at: fc.oneof(fc.nat(10), fc.constant(Number.POSITIVE_INFINITY)) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200, size: 'max' }), (changes) => {
      const heap = new DueHeap()
      heap.ids = Float64Array.from({ length: 30 }, (_, slot) => (slot * 7) % 30)
      const model = new Map<number, number>()
      for (const { slot, at } of changes) {
        heap.set(slot, at)
        if (at === Number.POSITIVE_INFINITY) model.delete(slot)
        else model.set(slot, at)
        expect(heap.dueAt).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.values()))
      }
      const expected = [...model].sort(([a, atA], [b, atB]) => atA - atB || ((a * 7) % 30) - ((b * 7) % 30))
      const slots: number[] = []
      for (let slot = heap.first(); slot !== -1; slot = heap.first()) {
        slots.push(slot)
        heap.set(slot, Number.POSITIVE_INFINITY)
      }
      expect(slots).toEqual(expected.map(([slot]) => slot))
    }),
  )
})
