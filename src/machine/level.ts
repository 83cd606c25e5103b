/**
 * A level says which commands a machine executes, and how: each log entry has the one it was made for, and none is made
 * beyond what every member can.
 */

import { TroupeError } from '../base/error.ts'

/** A whole number up to 255. Each level has everything of the levels below it. */
export type Level = number

/** What every version executes. */
export const FIRST_LEVEL: Level = 1

/** From this level on whoever sends or publishes is told when nobody has said the rules of the queue or topic. */
export const RULED_LEVEL: Level = 2

/** What this version executes. Whoever adds a kind of command, or changes what one does, raises it: see decision 17. */
export const LEVEL: Level = 2

/** Throws `VERSION_SKEW`: to execute what it does not know would make this replica another than its peers. */
export function expectLevel(what: string, found: Level, known: Level): void {
  if (found <= known) return
  throw new TroupeError(
    'VERSION_SKEW',
    `${what} of level ${found}, and this version executes up to ${known}. Start the version of Troupe that ran before, or a newer one.`,
    { details: { level: found } },
  )
}
