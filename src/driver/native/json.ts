/** A JSON text is how an engine tells what only people and tools read. */

import { malformed } from '../../base/bytes.ts'

export function readJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw malformed(`${what} is not JSON`)
  }
}
