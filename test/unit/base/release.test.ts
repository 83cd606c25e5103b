import { expect, test } from 'vitest'
import { lastingBytes } from '../../../src/base/lasting.ts'
import { release } from '../../../src/base/release.ts'

test('what is released is empty, and so is every other view of it', () => {
  const bytes = new Uint8Array(100_000).fill(7)
  const view = bytes.subarray(10, 20)
  release(view)
  expect([bytes.length, view.length]).toEqual([0, 0])
  release(bytes)
})

test('what is small or lasts is left alone', () => {
  const small = Uint8Array.of(1, 2, 3)
  const lasting = lastingBytes(100_000)
  release(small)
  release(lasting)
  expect([...small, lasting.length]).toEqual([1, 2, 3, 100_000])
})
