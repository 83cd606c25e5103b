/** Randomness from the operating system: the seed of a node's generator, and the nonces and proofs of its handshakes. */

import { createHmac, randomBytes } from 'node:crypto'
import type { HandshakeCrypto } from '../wire/handshake.ts'
import { NONCE_BYTES } from '../wire/handshake.ts'

/** A seed that no other process has. */
export function randomSeed(): number {
  return randomBytes(6).readUIntLE(0, 6)
}

export const systemCrypto: HandshakeCrypto = {
  nonce: () => randomBytes(NONCE_BYTES),
  hmac: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
}
