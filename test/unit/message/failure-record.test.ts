import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeFailure, encodeFailure } from '../../../src/message/failure-record.ts'

const shown = (thrown: unknown) => decodeFailure(encodeFailure(thrown))

describe('a failure record', () => {
  test('tells undefined, null, texts, numbers and symbols apart', () => {
    expect(shown(undefined)).toEqual({ name: 'undefined', message: 'undefined' })
    expect(shown(null)).toEqual({ name: 'null', message: 'null' })
    expect(shown('broken')).toEqual({ name: 'string', message: 'broken' })
    expect(shown(Symbol('s'))).toEqual({ name: 'symbol', message: 'Symbol(s)' })
  })

  test('keeps class, message, code and causes of an error, also in a cycle', () => {
    const error = Object.assign(new TypeError('outer', { cause: new Error('inner') }), { code: 'E_X' })
    expect(shown(error)).toMatchObject({ name: 'TypeError', message: 'outer', code: 'E_X', causes: ['Error: inner'] })
    const cycle = new Error('cycle')
    cycle.cause = cycle
    expect(shown(cycle)?.causes?.length).toBe(4)
    const looped: Record<string, unknown> = { a: 1 }
    looped.self = looped
    expect(shown(looped)?.message).toContain('seen above')
  })

  test('names the first issues of a list that is too long', () => {
    const issues = Array.from({ length: 500 }, (_, at) => ({ message: `number ${at} is no text`, path: ['list', at] }))
    const record = shown(Object.assign(new Error('does not fit'), { details: { issues } }))
    expect(record).toMatchObject({ message: 'does not fit', issues: issues.slice(0, 16) })
  })

  test('is readable and at most 4 KiB, whatever was thrown', () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error('no')
        },
      },
    )
    const anything = fc.oneof(
      fc.anything(),
      fc.constantFrom('text', 'ä\0', '日🎉', '\ud800').map((text) => new Error(text.repeat(3000))),
      fc.constant(hostile),
    )
    fc.assert(
      fc.property(anything, (thrown) => {
        const bytes = encodeFailure(thrown)
        expect(bytes.length).toBeLessThanOrEqual(4096)
        expect(typeof decodeFailure(bytes)?.message).toBe('string')
      }),
    )
  })
})
