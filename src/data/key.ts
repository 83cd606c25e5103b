/** A key is a text of 1 to 4096 bytes of UTF-8. */

import { invalidArgument } from '../base/argument.ts'
import { TroupeError } from '../base/error.ts'
import { KEY_LIMIT_BYTES } from '../base/limit.ts'

const LAST_CODE_POINT = 0x10ffff

export function checkKey(key: string): void {
  if (key === '') throw invalidArgument('a key is not empty')
  checkBound('a key', key)
}

/** What holds for a key holds for the bounds of a range, but that they may be empty. */
export function checkBound(what: string, bound: string): void {
  if (typeof bound !== 'string') throw invalidArgument(`${what} is a string, not ${typeof bound}`)
  const bytes = utf8Length(bound)
  if (bytes === undefined) throw invalidArgument(`${what} holds half a surrogate pair, which UTF-8 cannot carry`)
  if (bytes > KEY_LIMIT_BYTES)
    throw new TroupeError('TOO_LARGE', `${what} has ${bytes} bytes, and ${KEY_LIMIT_BYTES} are the most`)
}

/** Whether UTF-8 can carry the text. */
export function isWellFormed(text: string): boolean {
  return utf8Length(text) !== undefined
}

/** The first text after all those that begin with `prefix`; `''` when there is none. */
export function endOfPrefix(prefix: string): string {
  const points = Array.from(prefix)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0) ?? 0
    // The code points of surrogates are no characters: the one after U+D7FF is U+E000.
    if (point < LAST_CODE_POINT) return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return ''
}

/** Bytes of the text as UTF-8; undefined when it is not well-formed. */
function utf8Length(text: string): number | undefined {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    if (unit < 0xd800 || unit >= 0xe000) continue
    const low = text.charCodeAt(at + 1)
    if (unit >= 0xdc00 || !(low >= 0xdc00 && low < 0xe000)) return undefined
    // Two units of a pair, counted as one each so far, are four bytes.
    at++
  }
  return bytes
}
