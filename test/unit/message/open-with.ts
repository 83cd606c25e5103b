/** A troupe on any driver, in virtual time. */

import { SeededRandom } from '../../../src/base/random.ts'
import type { Driver } from '../../../src/driver/contract.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { EventQueue } from '../../../src/simulation/world/event-queue.ts'

export function openWith(driver: Driver): Troupe {
  const time = new EventQueue()
  return createTroupe({ driver, clock: time, scheduler: time, random: new SeededRandom(7) })
}
