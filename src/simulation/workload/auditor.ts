/**
 * An auditor is a program that is spared of faults: it looks on, and once nothing new is made it sees to it that all is
 * as it should be.
 */

import type { Troupe } from '../../runtime/troupe.ts'
import type { Program, ProgramContext } from '../program.ts'

/** What programs and their auditor know of one another. */
export interface Audited {
  /** Those that have not returned. */
  readonly working: Set<string>
  isAudited: boolean
}

type Audit = (troupe: Troupe, context: ProgramContext) => Promise<void>

/** @param lookOn what it does again and again meanwhile */
export function auditor(log: Audited, audit: Audit, lookOn: Audit = (_, { sleep }) => sleep(100)): Program {
  return {
    name: 'auditor',
    isSpared: true,
    async run(troupe, context) {
      while (!context.closing.aborted || log.working.size > 0) await lookOn(troupe, context)
      await audit(troupe, context)
      log.isAudited = true
    },
  }
}
