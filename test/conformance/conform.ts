/** Runs the exported conformance suite under vitest: a driver needs one line. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyValueConformance } from '../../src/driver/conformance/key-value.ts'
import type { Driver } from '../../src/driver/contract.ts'

/** @param connect a new connection to one and the same engine, or to one of its own where nothing is shared */
export function conform(name: string, connect: () => Promise<Driver>): void {
  describe(`the ${name} driver`, () => {
    let driver: Driver
    beforeAll(async () => {
      driver = await connect()
    })
    afterAll(() => driver.close())

    for (const [at, promise] of keyValueConformance.entries()) {
      test(`${promise.name}`, async () => {
        await expect(promise.run({ driver, map: `conformance-${at}`, connect })).resolves.toBeUndefined()
      })
    }
  })
}
