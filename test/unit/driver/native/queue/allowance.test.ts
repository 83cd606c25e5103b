import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Allowance, type Member } from '../../../../../src/driver/native/queue/allowance.ts'

class Shard implements Member {
  credit: number
  unsettled: number
  readonly #allowance: Allowance

  constructor(allowance: Allowance, credit: number, unsettled: number) {
    this.#allowance = allowance
    this.credit = credit
    this.unsettled = unsettled
    allowance.join(this)
  }

  grant(credit: number): void {
    this.credit += credit
    this.#allowance.credit += credit
  }
}

const shard = fc.record({ credit: fc.nat(20), unsettled: fc.nat(20) })

test('what an allowance gives up comes from its shards, and is never more than they have or than is idle', () => {
  fc.assert(
    fc.property(fc.array(shard, { maxLength: 6 }), fc.constantFrom('all', 'half'), (sizes, part) => {
      const allowance = new Allowance(0)
      const shards = sizes.map(({ credit, unsettled }) => new Shard(allowance, credit, unsettled))
      const { credit, idle } = allowance
      const given = allowance.giveIdle(part)
      expect(given).toBe(Math.max(0, part === 'all' ? idle : Math.ceil(idle / 2)))
      expect(allowance.credit).toBe(credit - given)
      expect(shards.reduce((sum, each) => sum + each.credit, 0)).toBe(credit - given)
      expect(shards.every((each) => each.credit >= 0)).toBe(true)
    }),
  )
})

test('a debt comes back with each settlement, and whoever leaves takes its credit and its messages along', () => {
  const allowance = new Allowance(0)
  const [first] = [new Shard(allowance, 5, 3), new Shard(allowance, 5, 1)]
  expect(allowance.owe(9)).toBe(4)
  expect(allowance.owe(1)).toBe(0)
  expect([allowance.credit, allowance.pay(), allowance.isInsolvent]).toEqual([6, true, false])
  allowance.leave(first)
  expect([allowance.unsettled, allowance.isInsolvent]).toEqual([1, true])
  expect(Array.from({ length: 4 }, () => allowance.pay())).toEqual([true, true, true, false])
})
