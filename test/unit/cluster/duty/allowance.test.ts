import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Allowance, type Member } from '../../../../src/cluster/duty/allowance.ts'

const SHARDS = 4
const MIB = 2 ** 20

/** A shard with as many messages of one size as somebody says. */
class Shard implements Member {
  waiting = 0
  unsettled = 0
  hasToldLast: boolean | undefined
  readonly #allowance: Allowance
  readonly #bytes: number

  constructor(allowance: Allowance, credit: number, bytes = 1) {
    this.#allowance = allowance
    this.#bytes = bytes
    allowance.join(credit)
  }

  arrive(count: number): void {
    this.waiting += count
    this.serve()
  }

  settle(count: number): void {
    const settled = Math.min(count, this.unsettled)
    this.unsettled -= settled
    this.#allowance.end(settled, settled * this.#bytes)
    this.serve()
    this.#allowance.pass()
  }

  serve(): void {
    for (; this.waiting > 0 && this.#allowance.hasRoomFor(this); this.waiting--) {
      this.unsettled++
      this.#allowance.begin(this.#bytes)
    }
    if (this.waiting > 0) this.#allowance.wait(this)
  }

  tell(): void {
    this.hasToldLast = true
  }

  untell(): void {
    this.hasToldLast = false
  }
}

const step = fc.record({
  what: fc.constantFrom('arrive', 'settle', 'credit'),
  shard: fc.nat(SHARDS - 1),
  count: fc.integer({ min: 1, max: 9 }),
})

test('however shards use it, no more is out than there is credit, and none waits beside room', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const allowance = new Allowance()
      const shards = Array.from({ length: SHARDS }, () => new Shard(allowance, 2))
      let credit = 2 * SHARDS
      for (const { what, shard, count } of steps) {
        if (what === 'arrive') shards[shard]?.arrive(count)
        else if (what === 'settle') shards[shard]?.settle(count)
        else {
          credit += count
          allowance.add(count)
          allowance.pass()
        }
        const unsettled = shards.reduce((sum, each) => sum + each.unsettled, 0)
        const waiting = shards.reduce((sum, each) => sum + each.waiting, 0)
        expect(unsettled).toBeLessThanOrEqual(credit)
        expect(unsettled === credit || waiting === 0).toBe(true)
      }
    }),
  )
})

test('a shard that always has messages gets its turn beside others that have, too', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(SHARDS - 1), { minLength: 40, maxLength: 80 }), (order) => {
      const allowance = new Allowance()
      const shards = Array.from({ length: SHARDS }, (_, at) => new Shard(allowance, at === 0 ? 3 : 0))
      for (const shard of shards) shard.arrive(1000)
      for (const _ of order) {
        const busy = shards.find(({ unsettled }) => unsettled > 0)
        busy?.settle(1)
      }
      const got = shards.map(({ waiting }) => 1000 - waiting)
      expect(Math.max(...got) - Math.min(...got)).toBeLessThanOrEqual(4)
    }),
  )
})

test('beyond 16 MiB one message goes out only when there is none', () => {
  const allowance = new Allowance()
  const shard = new Shard(allowance, 100, 10 * MIB)
  shard.arrive(5)
  expect(shard.unsettled).toBe(2)
  expect(shard.hasToldLast).toBe(undefined)
  shard.settle(1)
  expect(shard.unsettled).toBe(2)
})

test('when the one through whom it was told leaves, another tells', () => {
  const allowance = new Allowance()
  const [first, second] = [new Shard(allowance, 1), new Shard(allowance, 0)]
  first.arrive(2)
  second.arrive(1)
  expect([first.hasToldLast, second.hasToldLast]).toEqual([true, undefined])
  allowance.leave(first, 0)
  expect(second.hasToldLast).toBe(true)
})
