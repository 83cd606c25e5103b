/** Native drivers over engines of this process, for tests. */

import { SeededRandom } from '../../src/base/random.ts'
import type { Driver } from '../../src/driver/contract.ts'
import { nativeDriver } from '../../src/driver/native/native.ts'
import type { Connect } from '../../src/driver/native/route/links.ts'
import { RealClock, RealScheduler } from '../../src/platform/clock.ts'
import type { InlineEngine } from '../../src/platform/inline-engine.ts'
import { randomSeed } from '../../src/platform/random.ts'

/** A driver that takes along its engines when it closes. */
export function driverOf(
  engines: readonly InlineEngine[],
  connect: Connect,
  seeds: readonly string[],
  direct = false,
): Driver {
  const clock = new RealClock()
  const scheduler = new RealScheduler(clock)
  const random = new SeededRandom(randomSeed())
  const driver = nativeDriver({ clock, scheduler, random, connect, seeds, direct })
  const close = async (): Promise<void> => {
    await driver.close()
    await Promise.all(engines.map((engine) => engine.close()))
  }
  return { ...driver, close }
}
