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
  const clock = new RealClock()
  return memoryDriverOn(options, { clock, scheduler: new RealScheduler(clock), planCron })
}
