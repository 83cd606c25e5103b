/** The memory driver on the real clock. */

import { planCron } from '../cluster/duty/cron.ts'
import type { Driver } from '../driver/contract.ts'
import { type MemoryDriverOptions, memoryDriver as memoryDriverOn } from '../driver/memory/memory.ts'
import { RealClock, RealScheduler } from './clock.ts'

/**
 * A driver for tests, tools and programs that need no second process; what it holds is gone when it closes.
 *
 * @example
 * const troupe = await open({ driver: memoryDriver() })
 */
export function memoryDriver(options: MemoryDriverOptions = {}): Driver {
  // Fake timers of a test move what waits here: delays, leases and schedules.
  const clock = new RealClock(globalThis)
  return memoryDriverOn(options, { clock, scheduler: new RealScheduler(clock, globalThis), planCron })
}
