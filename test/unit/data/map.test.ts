import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineMap } from '../../../src/data/map.ts'

describe('defineMap', () => {
  test('holds what it was given, strong unless told otherwise', () => {
    const schema = z.object({ name: z.string() })
    expect(defineMap('users', { schema })).toEqual({ kind: 'map', name: 'users', consistency: 'strong', schema })
  })

  test('takes names of 1 to 128 of its characters', () => {
    for (const name of ['a', 'A.z_0:9/x-y', 'n'.repeat(128)]) expect(defineMap(name).name).toBe(name)
    for (const name of ['', 'n'.repeat(129), 'with space', 'ümlaut', 'a\n', undefined as unknown as string]) {
      expect(() => defineMap(name)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })

  test('names an unknown option, a consistency that is none, and a schema that is none', () => {
    expect(() => defineMap('users', { shema: 1 } as object)).toThrow("did you mean 'schema'?")
    expect(() => defineMap('users', { consistency: 'eventually' as 'strong' })).toThrow("consistency of map 'users'")
    expect(() => defineMap('users', { schema: {} as typeof z.string.prototype })).toThrow('no Standard Schema')
  })
})
