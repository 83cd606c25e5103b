import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FrozenMemtable, Memtable } from '../../../src/machine/memtable.ts'

const LARGE = 20_000

/** Large values have slabs of their own, so that the bytes taken tell how many are kept. */
const step = fc.record({
  type: fc.constantFrom('set' as const, 'set' as const, 'delete' as const, 'freeze' as const, 'release' as const),
  which: fc.nat(5),
})

describe('Memtable', () => {
  test('keeps no value longer than it, or a frozen generation, needs it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new Memtable()
        const frozen: { generation: FrozenMemtable; content: number[][] }[] = []
        const present = new Map<string, number>()
        steps.forEach(({ type, which }, at) => {
          const key = `key-${which}`
          const revision = at + 1
          if (type === 'set') {
            table.set(key, new Uint8Array(LARGE).fill(revision), revision)
            present.set(key, revision)
          } else if (type === 'delete' && present.delete(key)) table.delete(key, revision)
          else if (type === 'freeze') {
            const content = [...present].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => [value, value])
            frozen.push({ generation: table.freeze(revision), content })
          } else if (type === 'release') frozen.splice(which % Math.max(frozen.length, 1), 1)[0]?.generation.release()
          for (const { generation, content } of frozen) {
            const kept = [...generation.records()].map((record) => [record.revision, record.bytes[0] ?? 0])
            expect(kept).toEqual(content)
          }
          expect(table.size).toBe(present.size)
        })
        for (const { generation } of frozen) generation.release()
        expect(table.valueBytes).toBe(present.size * LARGE)
      }),
    )
  })
})
