/** A transaction is several commands of one client that one shard executes together, all or none. */

import { type ByteReader, type ByteWriter, malformed } from '../base/bytes.ts'
import { COMMAND, type Envelope, encodeHead } from './command.ts'

/** Most parts of a transaction. */
export const PARTS_LIMIT = 1024

/**
 * Body: `[count u16]`, then for each part `[length u32, kind u8, body]`. All parts are checked against the state before
 * the transaction, then all are applied in their order. When one does not pass, its status and number are the
 * transaction's, and nothing has happened; otherwise those of the last part are: so `[fence, set]` answers like a
 * `set`. A part that has nothing to do (a delete of what is absent, a message that was sent before) passes, since a
 * transaction that comes to `absent` or `duplicate` counts as one that happened.
 */
export interface Part {
  readonly kind: number
  /** Writes the body of the command, without a head. */
  readonly encode: (writer: ByteWriter) => void
}

export function encodeTransaction(writer: ByteWriter, envelope: Envelope, parts: readonly Part[]): void {
  encodeHead(writer, COMMAND.transaction, envelope)
  writer.u16(parts.length)
  for (const { kind, encode } of parts) {
    const start = writer.length
    writer.u32(0)
    writer.u8(kind)
    encode(writer)
    writer.patchU32(start, writer.length - start - 4)
  }
}

/** Calls `visit` with the reader at each part's body. */
export function forEachPart(reader: ByteReader, end: number, visit: (kind: number, end: number) => void): void {
  const count = reader.u16()
  if (count === 0 || count > PARTS_LIMIT) throw malformed('a transaction has 1 to 1024 parts')
  for (let left = count; left > 0; left--) {
    const length = reader.u32()
    if (length === 0 || length > end - reader.at) throw malformed('a part is longer than its transaction')
    const partEnd = reader.at + length
    visit(reader.u8(), partEnd)
    reader.at = partEnd
  }
  if (reader.at !== end) throw malformed('a transaction is longer than its parts')
}
