import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ring } from '../../../src/base/ring.ts'

describe('Ring', () => {
  test('behaves as a queue that refuses what is beyond its capacity', () => {
    const steps = fc.array(fc.oneof(fc.nat(), fc.constant('shift' as const)), { maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), steps, (capacity, taken) => {
        const ring = new Ring<number>(capacity)
        const model: number[] = []
        for (const step of taken) {
          const did = step === 'shift' ? ring.shift() : ring.push(step)
          expect(did).toBe(step === 'shift' ? model.shift() : model.length < capacity && model.push(step) > 0)
          expect([ring.length, ring.isFull]).toEqual([model.length, model.length === capacity])
          expect(Array.from({ length: ring.length + 1 }, (_, at) => ring.at(at))).toEqual([...model, undefined])
        }
      }),
    )
  })
})
