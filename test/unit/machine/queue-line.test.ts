import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Line, Links } from '../../../src/machine/queue-line.ts'

test('whoever has the lowest rank is first in line, however they came', () => {
  const change = fc.record({ node: fc.nat(29), rank: fc.nat(1000) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200, size: 'max' }), (changes) => {
      const links = new Links()
      links.grow(16)
      links.grow(32)
      const line = new Line()
      const ranks = new Map<number, number>()
      for (const { node, rank } of changes) {
        if (ranks.delete(node)) links.remove(line, node)
        else if (![...ranks.values()].includes(rank)) {
          links.insert(line, node, rank)
          ranks.set(node, rank)
        }
        const [first] = [...ranks].sort(([, a], [, b]) => a - b)
        expect(links.first(line)).toBe(first?.[0] ?? -1)
        expect(line.isEmpty).toBe(ranks.size === 0)
      }
    }),
  )
})
