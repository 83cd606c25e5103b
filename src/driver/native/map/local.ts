/** A local answer comes from whichever replica is near, with the age of what it knows. */

import { ByteReader } from '../../../base/bytes.ts'
import type { Millis } from '../../../base/time.ts'
import type { ReadLevel, Receipt } from '../../contract.ts'

/** The greatest age that a level allows; -1 for `'linearizable'`, which allows none. */
export function maxAgeOf(read: ReadLevel | undefined): Millis {
  if (read === undefined || read === 'linearizable') return -1
  return read === 'local' ? Number.POSITIVE_INFINITY : read.maxStalenessMs
}

/** Splits the age, in milliseconds, from the machine's reply. */
export function localAnswer(
  bytes: Uint8Array,
  linearizable: Receipt,
): { readonly reply: Uint8Array; readonly receipt: Receipt } {
  const reader = new ByteReader(bytes)
  const receipt: Receipt = { ...linearizable, guarantee: 'local', ageMs: reader.f64() }
  return { reply: reader.raw(reader.remaining), receipt }
}
