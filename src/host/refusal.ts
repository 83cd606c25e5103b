/** A refusal is the error with which a disk declines; whatever else is thrown is a mistake of the program and passes through. */

import { isTroupeError, type TroupeError } from '../base/error.ts'

/** Why the disk declined to do this; undefined when it did it. */
export function refusalOf(action: () => void): TroupeError | undefined {
  try {
    action()
    return
  } catch (error) {
    if (isTroupeError(error)) return error
    throw error
  }
}
