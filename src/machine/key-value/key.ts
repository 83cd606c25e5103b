/** A key names a record of a map; the machine knows it by its UTF-8 bytes where they stand, and builds no text of it. */

import type { ByteReader } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import { type Span, spanOf } from '../../base/span.ts'
import type { KeyHash } from './key-hash.ts'

export interface Key extends Span {
  /** Of the bytes; never leaves the node. */
  hash: number
}

/** A key to be filled. */
export function emptyKey(): Key {
  return { bytes: new Uint8Array(0), start: 0, end: 0, hash: 0 }
}

export function keyOf(bytes: Uint8Array, hash: KeyHash): Key {
  const span = spanOf(bytes)
  return { ...span, hash: hash.of(span) }
}

/** Reads a text as a key, with the errors of `ByteReader.text`. */
export function readKey(reader: ByteReader, key: Key, hash: KeyHash): void {
  key.bytes = reader.bytes
  key.start = reader.skipText(KEY_LIMIT_BYTES)
  key.end = reader.at
  key.hash = hash.of(key)
}
