import { expect, test } from 'vitest'
import { Bodies } from '../../../../src/driver/native/body.ts'
import { changePart } from '../../../../src/driver/native/effects.ts'

test('what happens together is refused where it is made when it is more than a command may have', () => {
  const bodies = new Bodies()
  const megabyte = changePart({ type: 'set', map: 'm', key: 'k', value: new Uint8Array(1024 * 1024) })
  const together = (count: number): Uint8Array => bodies.transaction(Array.from({ length: count }, () => megabyte))
  expect(together(7).length).toBeGreaterThan(7 * 1024 * 1024)
  expect(() => together(8)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
  expect(together(1).length).toBeLessThan(2 * 1024 * 1024)
})
