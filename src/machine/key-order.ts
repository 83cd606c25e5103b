/** Keys are ordered as their UTF-8 bytes are. */

/**
 * Compares two keys as their UTF-8 bytes compare. JavaScript's own order is that of UTF-16, which differs only where a
 * surrogate (a character beyond U+FFFF) meets a character from U+E000 on.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
