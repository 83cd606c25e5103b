/** A troupe on the memory driver in virtual time: nothing waits but for the clock. */

import { SeededRandom } from '../../../src/base/random.ts'
import type { Driver } from '../../../src/driver/contract.ts'
import { memoryDriver } from '../../../src/driver/memory/memory.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'

export interface World {
  readonly troupe: Troupe
  readonly driver: Driver
  readonly time: EventQueue
  /** Lets everything happen that happens within so many milliseconds. */
  readonly pass: (duration: number) => Promise<void>
}

/** A cron fires each full minute here, whatever it says. */
function planCron(spec: string, _timeZone: string, after: number, count: number): number[] {
  const minute = 60_000_000
  const first = (Math.floor(after / minute) + 1) * minute
  return spec === 'never' ? [] : Array.from({ length: count }, (_, at) => first + at * minute)
}

export function openWorld(): World {
  const time = new EventQueue()
  const driver = memoryDriver({}, { clock: time, scheduler: time, planCron })
  const troupe = createTroupe({ driver, clock: time, scheduler: time, random: new SeededRandom(7) })
  return { troupe, driver, time, pass: (duration) => pass(time, duration) }
}

async function pass(time: EventQueue, duration: number): Promise<void> {
  const end = time.now() + duration
  do await settle()
  while (time.step(end))
  await settle()
}

/** Lets promises that need no clock come to their end. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve()
}
