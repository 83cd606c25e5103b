import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Heap, type HeapEntry } from '../../../src/base/heap.ts'

const step = fc.oneof(
  fc.record({ type: fc.constant('add' as const), priority: fc.nat(20) }),
  fc.record({ type: fc.constant('update' as const), which: fc.nat(), priority: fc.nat(20) }),
  fc.record({ type: fc.constant('remove' as const), which: fc.nat() }),
  fc.record({ type: fc.constant('take' as const) }),
)

describe('Heap', () => {
  test('always gives out the lowest, the earliest among equals, through updates and removals', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const heap = new Heap<number>()
        const model: HeapEntry<number>[] = []
        const removals: boolean[] = []
        steps.forEach((now, item) => {
          const some = 'which' in now ? model[now.which % model.length] : undefined
          if (now.type === 'add') model.push(heap.add(item, now.priority))
          if (now.type === 'update' && some !== undefined) heap.update(some, now.priority)
          if (now.type === 'remove' && some !== undefined) {
            removals.push(heap.remove(some), heap.remove(some))
            model.splice(model.indexOf(some), 1)
          }
          model.sort((a, b) => a.priority - b.priority || a.order - b.order)
          expect([heap.peek(), heap.lowest]).toEqual([model[0]?.item, model[0]?.priority ?? Number.POSITIVE_INFINITY])
          const taken = now.type === 'take' ? [heap.take(), model.shift()?.item] : []
          expect(taken[0]).toBe(taken[1])
          expect(heap.size).toBe(model.length)
        })
        expect(removals).toEqual(removals.map((_, at) => at % 2 === 0))
        expect(Array.from(model, () => heap.take())).toEqual(model.map(({ item }) => item))
      }),
    )
  })

  test('refuses to update an entry that has left', () => {
    const heap = new Heap<string>()
    const entry = heap.add('gone', 1)
    heap.take()
    expect(() => heap.update(entry, 2)).toThrow('is in the heap')
  })
})
