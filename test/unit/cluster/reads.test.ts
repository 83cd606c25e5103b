import { expect, test } from 'vitest'
import { type Read, Reads, WAITING_READ_BYTES } from '../../../src/cluster/reads.ts'
import { Source } from '../../../src/cluster/source.ts'

const source = new Source(true, () => true, [])
const read = (id: number, bytes: number): Read => ({ source, id, operation: 0, bytes: new Uint8Array(bytes) })
const MEBIBYTE = 2 ** 20

test('reads wait up to a limit of their bytes, and make room when they are answered or refused', () => {
  const reads = new Reads()
  let taken = 0
  while (reads.add(read(taken, MEBIBYTE))) taken++
  expect(taken).toBe(WAITING_READ_BYTES / MEBIBYTE)
  reads.take(1)
  expect(reads.add(read(100, 0))).toBe(false)
  reads.indexed(1, 7)
  const answered: number[] = []
  reads.release(7, ({ id }) => answered.push(id))
  expect(answered).toHaveLength(taken)
  expect(reads.add(read(101, WAITING_READ_BYTES))).toBe(true)
  expect(reads.add(read(102, 0))).toBe(false)
  reads.take(2)
  expect(reads.refused(2)?.map(({ id }) => id)).toEqual([101])
  expect(reads.add(read(103, 0))).toBe(true)
})
