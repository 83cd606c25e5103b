/** A producer is a program that does one thing after the other, with a pause after each, until nothing new is to be begun. */

import type { Millis } from '../../base/time.ts'
import type { Troupe } from '../../runtime/troupe.ts'
import type { Program, ProgramContext } from '../program.ts'

export interface ProducerPlan {
  /** Producers that have not returned; this one is among them while it works. */
  readonly working: Set<string>
  /** On average: pauses are exponential, so that what is made comes at random. */
  readonly pauseMs: Millis
  /** Numbers count from 0 in each start of the program. */
  readonly make: (context: ProgramContext, number: number, troupe: Troupe) => Promise<unknown>
}

export function producer(name: string, { working, pauseMs, make }: ProducerPlan): Program {
  return {
    name,
    async run(troupe, context) {
      const { random, closing, sleep } = context
      working.add(name)
      for (let number = 0; !closing.aborted; number++) {
        await make(context, number, troupe)
        await sleep(-pauseMs * Math.log(1 - random.next()))
      }
      working.delete(name)
    },
  }
}
