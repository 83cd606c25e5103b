import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GroupId } from '../../../../src/base/identity.ts'
import { LogContent } from '../../../../src/host/log/content.ts'

const KIBIBYTE = 1024
const LIMIT = 3 * 1024 * KIBIBYTE

const step = fc.record({
  group: fc.integer({ min: 1, max: 3 }),
  type: fc.constantFrom(
    'append' as const,
    'append' as const,
    'append' as const,
    'compact' as const,
    'truncate' as const,
  ),
  kibibytes: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.constant(1500)),
  isWritten: fc.boolean(),
})

describe('PayloadCache', () => {
  test('gives back each payload that it holds as it came, whatever was forgotten and let go of meanwhile', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const content = new LogContent(LIMIT)
        const marks = new Map<string, number>()
        steps.forEach(({ group: id, type, kibibytes, isWritten }, at) => {
          const group = content.group(id as GroupId)
          const { table } = group
          if (type === 'append') {
            const payload = new Uint8Array(kibibytes * KIBIBYTE).fill(at + 1)
            table.append(1, 1, 0, payload.length)
            content.cache.add(group, table.last, payload)
            if (isWritten) table.place(table.last, 1, 0)
            marks.set(`${id}:${table.last}`, at + 1)
          } else if (type === 'compact' && table.has(table.first)) group.compact({ index: table.first, term: 1 }, 0)
          else if (type === 'truncate') group.truncate(table.last)
          content.cache.trim()
          for (const { id: each, table: entries } of content.groups.values()) {
            for (let index = entries.first; index <= entries.last; index++) {
              const payload = entries.payload(index)
              expect(payload !== undefined || entries.segment(index) !== 0).toBe(true)
              const mark = marks.get(`${each}:${index}`)
              expect([payload?.[0] ?? mark, payload?.at(-1) ?? mark]).toEqual([mark, mark])
            }
          }
        })
      }),
      { numRuns: 40 },
    )
  })

  test('lets go of the oldest payloads beyond its limit', () => {
    const content = new LogContent(LIMIT)
    const group = content.group(1 as GroupId)
    for (let index = 1; index <= 50; index++) {
      group.table.append(1, 1, 0, 100 * KIBIBYTE)
      content.cache.add(group, index, new Uint8Array(100 * KIBIBYTE))
      group.table.place(index, 1, 0)
      content.cache.trim()
    }
    expect(group.table.holds(20)).toBe(false)
    expect(group.table.holds(21)).toBe(true)
    expect(content.usage.payloadBytes).toBe(30 * 100 * KIBIBYTE)
  })

  test('keeps fewer bytes of large payloads, which push out no small ones', () => {
    const content = new LogContent(16 * 1024 * KIBIBYTE)
    const group = content.group(1 as GroupId)
    for (let index = 1; index <= 100; index++) {
      const payload = new Uint8Array((index % 2 === 0 ? 480 : 100) * KIBIBYTE)
      group.table.append(1, 1, 0, payload.length)
      content.cache.add(group, index, payload)
      group.table.place(index, 1, 0)
      content.cache.trim()
    }
    const held = Array.from({ length: 100 }, (_, at) => at + 1).filter((index) => group.table.holds(index))
    expect(held.filter((index) => index % 2 === 1)).toHaveLength(50)
    expect(held.filter((index) => index % 2 === 0)).toEqual([94, 96, 98, 100])
  })
})
