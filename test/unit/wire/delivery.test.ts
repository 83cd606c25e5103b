import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import { readDelivery, writeDelivery } from '../../../src/wire/delivery.ts'

const EMPTY_BODY = new Uint8Array(8)

function delivered(leaseMs: number): ByteReader {
  const writer = new ByteWriter()
  writeDelivery(writer, { id: 7, leaseMs, time: 5, key: 'k', body: EMPTY_BODY }, { token: 3, attempt: 1 })
  return new ByteReader(writer.take())
}

test('a delivery has a lease that lasts: whoever had to keep one of no time would do nothing else', () => {
  expect(readDelivery(delivered(1))).toMatchObject({ token: 3, id: 7, leaseMs: 1, key: 'k' })
  expect(() => readDelivery(delivered(0))).toThrow(expect.objectContaining({ code: 'DATA_DAMAGED' }))
})
