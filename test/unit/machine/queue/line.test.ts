import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Lines } from '../../../../src/machine/queue/line.ts'

test('whoever has the lowest rank is first in line, however they came', () => {
  const change = fc.record({ node: fc.nat(29), rank: fc.nat(1000), line: fc.nat(2) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200, size: 'max' }), (changes) => {
      const lines = new Lines()
      lines.growThings(16)
      lines.growThings(32)
      lines.growLines(1)
      lines.growLines(3)
      const models = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()]
      for (const { node, rank, line } of changes) {
        const present = models.findIndex((model) => model.delete(node))
        if (present !== -1) lines.remove(present, node)
        else if (![...(models[line]?.values() ?? [])].includes(rank)) {
          lines.insert(line, node, rank)
          models[line]?.set(node, rank)
        }
        for (const [number, model] of models.entries()) {
          const [first] = [...model].sort(([, a], [, b]) => a - b)
          expect(lines.first(number)).toBe(first?.[0] ?? -1)
          expect(lines.isEmpty(number)).toBe(model.size === 0)
        }
      }
    }),
  )
})
