/** A dead letter is no result: what those are told who waited for one. */

import { TroupeError } from '../base/error.ts'
import type { InspectedMessage } from './contract.ts'

export function deadLetter(queue: string, { id, death, lastError }: InspectedMessage): TroupeError {
  return new TroupeError('DEAD_LETTER', `message ${id} of '${queue}' is a dead letter: ${death}`, {
    details: { message: id, death, failure: lastError === undefined ? undefined : new TextDecoder().decode(lastError) },
  })
}
