import { describe, expect, test } from 'vitest'
import type { Change } from '../../../../src/driver/contract.ts'
import { memoryDriver } from '../../../../src/driver/memory/memory.ts'

const value = new Uint8Array([1])
const WHOLE = { from: '', until: '' }

describe('the history of the memory driver', () => {
  test('a watch from before what is kept ends with COMPACTED and says up to where all is forgotten', async () => {
    const { keyValue } = memoryDriver({ history: 4 })
    for (let at = 0; at < 20; at++) await keyValue.set('m', `key-${at}`, value, {})
    const watch = keyValue.watch('m', WHOLE, { from: 3n })[Symbol.asyncIterator]()
    await expect(watch.next()).rejects.toMatchObject({ code: 'COMPACTED', details: { forgotten: 16n } })
    await expect(watch.next()).resolves.toEqual({ done: true, value: undefined })
  })

  test('a watch that waits never falls behind, however much changes elsewhere', async () => {
    const { keyValue } = memoryDriver({ history: 2 })
    const watch = keyValue.watch('m', WHOLE, {})[Symbol.asyncIterator]()
    const next = watch.next()
    for (let at = 0; at < 50; at++) await keyValue.set('other', `key-${at}`, value, {})
    await keyValue.set('m', 'here', value, {})
    expect((await next).value?.key).toBe('here')
  })

  test('keeps the newest changes, at least as many as it promises', async () => {
    const { keyValue } = memoryDriver({ history: 5 })
    for (let at = 0; at < 23; at++) await keyValue.set('m', `key-${at}`, value, {})
    const watch = keyValue.watch('m', WHOLE, { from: 18n })[Symbol.asyncIterator]()
    const keys: string[] = []
    while (keys.length < 5) keys.push(((await watch.next()).value as Change).key)
    expect(keys).toEqual(['key-18', 'key-19', 'key-20', 'key-21', 'key-22'])
  })
})

test('what a caller does to its bytes after the call does not reach the store', async () => {
  const { keyValue } = memoryDriver()
  const mine = new Uint8Array([1, 2, 3])
  await keyValue.set('m', 'a', mine, {})
  mine.fill(9)
  expect((await keyValue.get('m', 'a', {})).value).toEqual(new Uint8Array([1, 2, 3]))
})
