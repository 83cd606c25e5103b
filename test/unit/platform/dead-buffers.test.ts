import { expect, test } from 'vitest'
import { DeadBuffers } from '../../../src/platform/dead-buffers.ts'

const MEBIBYTE = 1024 * 1024

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The most that array buffers took while forty mebibytes of them were made and dropped, each after so many turns. */
async function mostBytes(passed: (bytes: number) => void, turns = 1): Promise<number> {
  await turn()
  const before = process.memoryUsage().arrayBuffers
  const kept: Uint8Array[] = []
  let most = 0
  for (let at = 0; at < 320; at++) {
    kept.push(new Uint8Array(MEBIBYTE / 8).fill(at))
    if (kept.length >= turns) kept.shift()
    passed(MEBIBYTE / 8)
    await turn()
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  return most
}

test('buffers that nobody has any more are given back when there are a few mebibytes, not some thirty', async () => {
  const deadBuffers = new DeadBuffers()
  expect(await mostBytes((bytes) => deadBuffers.passed(bytes))).toBeLessThan(8 * MEBIBYTE)
  expect(await mostBytes(() => {})).toBeGreaterThan(16 * MEBIBYTE)
})

test('those that lived a little longer are not left until the heap has doubled', async () => {
  const deadBuffers = new DeadBuffers()
  expect(await mostBytes((bytes) => deadBuffers.passed(bytes), 24)).toBeLessThan(20 * MEBIBYTE)
})

test('a buffer that is given back is gone at once', () => {
  const buffer = new ArrayBuffer(64 * 1024)
  const before = process.memoryUsage().arrayBuffers
  new DeadBuffers().giveBack(buffer)
  expect(buffer.byteLength).toBe(0)
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(before)
})

test('the flag by which buffers are collected is left as it was', () => {
  new DeadBuffers()
  expect((globalThis as { gc?: unknown }).gc).toBeUndefined()
})
