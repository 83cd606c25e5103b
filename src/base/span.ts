/** A span is a run of bytes within larger ones, filled again and again where a view for each would be garbage. */

export interface Span {
  bytes: Uint8Array
  start: number
  /** Behind the last byte. */
  end: number
}

/** Below this length a loop beats making a view for the platform's copy. */
const SHORT_BYTES = 48

/** A span of all the bytes. */
export function spanOf(bytes: Uint8Array): Span {
  return { bytes, start: 0, end: bytes.length }
}

/** Below 0 when `a` comes first in the order of bytes, above 0 when `b` does, 0 when they are equal. */
export function compareSpans(a: Span, b: Span): number {
  const left = a.bytes
  const right = b.bytes
  const length = Math.min(a.end - a.start, b.end - b.start)
  for (let at = 0; at < length; at++) {
    const difference = (left[a.start + at] ?? 0) - (right[b.start + at] ?? 0)
    if (difference !== 0) return difference
  }
  return a.end - a.start - (b.end - b.start)
}

/** How many bytes both begin with. */
export function commonLength(a: Span, b: Span): number {
  const length = Math.min(a.end - a.start, b.end - b.start)
  let at = 0
  while (at < length && a.bytes[a.start + at] === b.bytes[b.start + at]) at++
  return at
}

export function isEqualSpan(a: Span, b: Span): boolean {
  return a.end - a.start === b.end - b.start && commonLength(a, b) === a.end - a.start
}

export function copySpan({ bytes, start, end }: Span, target: Uint8Array, at: number): void {
  if (end - start > SHORT_BYTES) target.set(bytes.subarray(start, end), at)
  else for (let from = start; from < end; from++) target[at + from - start] = bytes[from] ?? 0
}
