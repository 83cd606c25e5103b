/** Headers are texts by name that travel beside a payload; trace context is among them. */

import { ByteReader, ByteWriter, malformed } from './bytes.ts'

export type Headers = Readonly<Record<string, string>>

/** Most bytes of encoded headers. */
export const HEADERS_LIMIT_BYTES = 16_384

const NONE = new Uint8Array(0)

/** `[count u16, (name text, value text) …]`; nothing at all for none. */
export function encodeHeaders(headers: Headers): Uint8Array {
  const entries = Object.entries(headers)
  if (entries.length === 0) return NONE
  const writer = new ByteWriter()
  writer.u16(entries.length)
  for (const [name, value] of entries) {
    writer.text(name)
    writer.text(value)
  }
  return writer.take()
}

export function decodeHeaders(bytes: Uint8Array): Headers {
  if (bytes.length === 0) return {}
  const reader = new ByteReader(bytes)
  const entries: [string, string][] = []
  for (let left = reader.u16(); left > 0; left--) entries.push([reader.text(), reader.text()])
  if (reader.remaining > 0) throw malformed('headers are longer than their content')
  return Object.fromEntries(entries)
}

/** Names the flow that a message is a child of; only the driver reads what it says. */
export const PARENT_HEADER = 'troupe-parent'
/** Of a message whose payload came in pieces, `bytes.upload`; only the driver reads it. */
export const LARGE_HEADER = 'troupe-large'
/** Of a message whose sender waits for its result. */
export const REQUEST_HEADER = 'troupe-request'
