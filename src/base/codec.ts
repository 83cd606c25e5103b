/** A codec turns an application's values into bytes and back; the bytes say by their first byte which format they are in. */

import { Packr } from 'msgpackr'
import { malformed } from './bytes.ts'
import { TroupeError } from './error.ts'
import { VALUE_LIMIT_BYTES, VALUE_LIMIT_DEPTH } from './limit.ts'

/** A `Uint8Array`, as it is. */
const RAW = 0
/** MessagePack with the extensions of msgpackr: records, references, maps, sets, dates, errors, typed arrays, big integers. */
const MESSAGE_PACK = 1

/** What structured clone carries and MessagePack keeps; everything else would be lost without a word. */
const CARRIED: ReadonlySet<string> = new Set([
  'Object',
  'Array',
  'Map',
  'Set',
  'Date',
  'RegExp',
  'Error',
  'ArrayBuffer',
])

/** What UTF-8 has no bytes for: it would come back as something else. */
const HALF_A_PAIR = 'half a surrogate pair'

/**
 * Encodes whatever structured clone can carry, cycles and shared references included. As with structured clone,
 * instances of classes become plain objects; holes in arrays become `undefined` and `-0` becomes `0`. Of an error its
 * name, message and cause are kept; one of several errors (`AggregateError`) is refused.
 */
export class ValueCodec {
  readonly #packr: Packr = new Packr({ structuredClone: true, moreTypes: true })

  /**
   * Bytes of their own, which nothing else refers to. Throws `UNSERIALIZABLE`, naming the path of what cannot be
   * carried, and `TOO_LARGE` above the limit in bytes.
   */
  encode(value: unknown, limit: number = VALUE_LIMIT_BYTES): Uint8Array {
    if (value instanceof Uint8Array) return tagged(RAW, value, limit)
    checkValue(value, 'value', new Set(), 0)
    return tagged(MESSAGE_PACK, this.#pack(value), limit)
  }

  /** Throws `DATA_DAMAGED` for bytes that `encode` did not write. */
  decode(bytes: Uint8Array): unknown {
    if (bytes[0] === RAW) return new Uint8Array(bytes.subarray(1))
    if (bytes[0] !== MESSAGE_PACK) throw malformed('a value is in no known format')
    try {
      return this.#packr.unpack(bytes.subarray(1))
    } catch (cause) {
      throw new TroupeError('DATA_DAMAGED', 'malformed bytes: a value cannot be decoded', { cause })
    }
  }

  #pack(value: unknown): Uint8Array {
    try {
      return this.#packr.pack(value)
    } catch (cause) {
      throw new TroupeError('UNSERIALIZABLE', 'the value cannot be encoded', { cause })
    }
  }
}

function tagged(format: number, content: Uint8Array, limit: number): Uint8Array {
  const length = content.length + 1
  if (length > limit) {
    throw new TroupeError('TOO_LARGE', `the value takes ${length} bytes; the limit is ${limit}`, {
      details: { bytes: length, limit },
    })
  }
  const bytes = new Uint8Array(length)
  bytes[0] = format
  bytes.set(content, 1)
  return bytes
}

/** @param seen objects that have been checked, or are being checked: values may share them, and refer to themselves */
function checkValue(value: unknown, path: string, seen: Set<object>, depth: number): void {
  if (typeof value === 'function' || typeof value === 'symbol') refuse(path, `a ${typeof value}`)
  if (typeof value === 'string' && !value.isWellFormed()) refuse(path, HALF_A_PAIR)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) return
  const type = Object.prototype.toString.call(value).slice('[object '.length, -1)
  if (!CARRIED.has(type)) refuse(path, type)
  if (value instanceof Error && (value.name === 'AggregateError' || value.name in Object.prototype))
    refuse(path, `an error by the name of ${value.name}`)
  if (depth >= VALUE_LIMIT_DEPTH) refuse(path, `more than ${VALUE_LIMIT_DEPTH} levels`)
  seen.add(value)
  for (const [step, item] of itemsOf(value)) checkValue(item, path + step, seen, depth + 1)
}

/** What an object holds, with the step that leads there in a path. */
function* itemsOf(value: object): Generator<readonly [string, unknown]> {
  if (value instanceof Map) {
    for (const [key, item] of value) {
      yield ['.keys()', key]
      yield [typeof key === 'string' ? `.get('${key}')` : '.values()', item]
    }
  } else if (value instanceof Set) {
    for (const item of value) yield ['.values()', item]
  } else if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) yield [`[${at}]`, value[at]]
  } else {
    if (value instanceof Error) yield ['.cause', value.cause]
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') refuse(key, 'a name that no object should have')
      if (!key.isWellFormed()) refuse(key, HALF_A_PAIR)
      yield [`.${key}`, item]
    }
  }
}

function refuse(path: string, what: string): never {
  throw new TroupeError('UNSERIALIZABLE', `${path} is or holds ${what}, which cannot be stored`, { details: { path } })
}
