/** The key order is that of the keys' UTF-8 bytes, which is that of their code points. */

/**
 * Negative, zero or positive as `a` stands before, at or after `b`. UTF-16 code units disagree with code points only
 * where a surrogate meets a unit from U+E000 upwards, so the two ranges change places (ICU, "UTF-16 code point order").
 */
export function compareKeys(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let at = 0; at < shared; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

/** Whether `key` lies in [from, until); an `until` of `''` means to the end. */
export function isInRange(key: string, from: string, until: string): boolean {
  return compareKeys(key, from) >= 0 && (until === '' || compareKeys(key, until) < 0)
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}
