import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Operation, type Verb } from '../../../../../src/driver/native/route/operation.ts'
import { RequestTable } from '../../../../../src/driver/native/route/request-table.ts'

const VERB: Verb<unknown> = { operation: 1, isWrite: false, encode() {}, decode: () => undefined }

describe('a request table', () => {
  test('finds what is in it and nothing else, in whatever order operations come and go', () => {
    const steps = fc.array(fc.oneof(fc.constant('add' as const), fc.nat(2000)), { maxLength: 3000 })
    fc.assert(
      fc.property(steps, (all) => {
        const table = new RequestTable()
        const model = new Map<number, Operation<unknown>>()
        const ids: number[] = []
        const wrong: number[] = []
        for (const step of all) {
          if (step === 'add') {
            const operation = new Operation(VERB, {})
            table.add(operation, table.nextId())
            if (model.has(operation.requestId)) wrong.push(operation.requestId)
            model.set(operation.requestId, operation)
            ids.push(operation.requestId)
          } else {
            const id = ids[step % Math.max(1, ids.length)] ?? step
            if (table.get(id) !== model.get(id)) wrong.push(id)
            table.delete(id)
            model.delete(id)
          }
        }
        expect(wrong).toEqual([])
        expect(table.count).toBe(model.size)
        expect(new Set(table.all())).toEqual(new Set(model.values()))
      }),
      { numRuns: 30 },
    )
  })

  test('never gives a late reply to another operation, though one stays while thousands pass', () => {
    const table = new RequestTable()
    const straggler = new Operation(VERB, {})
    table.add(straggler, table.nextId())
    let last = 0
    for (let round = 0; round < 10_000; round++) {
      const operation = new Operation(VERB, {})
      table.add(operation, table.nextId())
      expect(table.get(last)).toBe(undefined)
      last = operation.requestId
      table.delete(last)
    }
    expect(table.get(straggler.requestId)).toBe(straggler)
    expect(table.count).toBe(1)
  })
})
