/** A sequencer is a fence as a text, for handing it to others: in a header, a message, a row of a table. */

import { invalidArgument } from '../base/argument.ts'
import type { Fence } from '../driver/contract.ts'

const SEQUENCER = /^([1-9]\d{0,15})\.([!-~]{1,16384})$/

/** `token.name`, in printable ASCII. */
export function sequencerOf({ name, token }: Fence): string {
  return `${token}.${encodeURIComponent(name)}`
}

/**
 * What a sequencer says: the name of a lock and a token of it. Keep the highest token of each name that was seen, and
 * refuse lower ones; or pass it as `fence` to a write, or to `troupe.verify`.
 *
 * @throws TroupeError `INVALID_ARGUMENT` for what is none
 * @example
 * const fence = readSequencer(String(request.headers['x-fence']))
 */
export function readSequencer(text: string): Fence {
  const [, token, name] = (typeof text === 'string' && SEQUENCER.exec(text)) || []
  if (token === undefined || name === undefined) throw noSequencer(text)
  try {
    return { name: decodeURIComponent(name), token: BigInt(token) }
  } catch (cause) {
    throw noSequencer(text, cause)
  }
}

function noSequencer(text: unknown, cause?: unknown): Error {
  return invalidArgument(
    `'${String(text).slice(0, 80)}' is no sequencer: that is \`lock.sequencer\`, such as 7.nightly`,
    cause,
  )
}
