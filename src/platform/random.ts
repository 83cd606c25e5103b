/** Randomness from the operating system: a node's seed and secret, and the nonces and proofs of its handshakes. */

import { createHmac, randomBytes } from 'node:crypto'
import type { HashSecret } from '../machine/key-value/key-hash.ts'
import type { HandshakeCrypto } from '../wire/handshake.ts'
import { NONCE_BYTES } from '../wire/handshake.ts'

/** A seed that no other process has. */
export function randomSeed(): number {
  return randomBytes(6).readUIntLE(0, 6)
}

/** A secret that no other process has. */
export function randomSecret(): HashSecret {
  const bytes = randomBytes(8)
  return { low: bytes.readInt32LE(0), high: bytes.readInt32LE(4) }
}

export const systemCrypto: HandshakeCrypto = {
  nonce: () => randomBytes(NONCE_BYTES),
  hmac: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
}
