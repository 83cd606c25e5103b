/** A version says in which format something was written; what is not known is refused before it is misread. */

import { TroupeError } from '../base/error.ts'

/** Throws `VERSION_SKEW`. For what a node has kept, or was sent by another: what an application sends is malformed instead. */
export function expectVersion(what: string, found: number, known: number): void {
  if (found === known) return
  throw new TroupeError(
    'VERSION_SKEW',
    `${what} are of format ${found}, and this version reads ${known}. Start the version of Troupe that wrote them.`,
    { details: { format: found } },
  )
}
