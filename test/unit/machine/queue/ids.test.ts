import fc from 'fast-check'
import { assert, expect, test } from 'vitest'
import { IdList } from '../../../../src/machine/queue/ids.ts'

test('ids stay in order however they come and go', () => {
  const change = fc.record({ id: fc.integer({ min: 1, max: 3000 }), isRemoval: fc.boolean() })
  fc.assert(
    fc.property(
      fc.nat(2500),
      fc.array(change, { maxLength: 1500, size: 'max' }),
      fc.nat(3000),
      (first, changes, after) => {
        const list = new IdList()
        const model = new Map<number, number>()
        for (let id = 2; id <= first; id += 2) {
          list.add(id, id + 1)
          model.set(id, id + 1)
        }
        for (const { id, isRemoval } of changes) {
          if (isRemoval) assert.equal(list.remove(id), model.delete(id))
          else if (!model.has(id)) {
            list.add(id, id + 1)
            model.set(id, id + 1)
          }
          expect(list.find(id)).toBe(model.get(id) ?? -1)
        }
        const ids = [...model.keys()].sort((a, b) => a - b)
        const slots = ids.map((id) => id + 1)
        expect(list.size).toBe(ids.length)
        expect(list.first()).toBe(slots[0] ?? -1)
        expect([...list.slots()]).toEqual(slots)
        const seen: number[] = []
        list.forEach(after, (slot) => seen.push(slot) < 5)
        expect(seen).toEqual(
          ids
            .filter((id) => id > after)
            .map((id) => id + 1)
            .slice(0, 5),
        )
      },
    ),
    { numRuns: 50 },
  )
})
