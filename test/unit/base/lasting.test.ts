import { afterEach, describe, expect, test, vi } from 'vitest'
import { lastingBytes } from '../../../src/base/lasting.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('lastingBytes', () => {
  test('are zeros in memory that the garbage collector does not count', () => {
    const bytes = lastingBytes(5)
    expect([...bytes]).toEqual([0, 0, 0, 0, 0])
    expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
  })

  test('are common memory where nothing can be shared', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined)
    expect(lastingBytes(5).buffer).toBeInstanceOf(ArrayBuffer)
  })
})
