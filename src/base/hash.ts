/** A hash turns bytes or text into a number that looks random and is the same on every machine. */

const TEXT = new TextEncoder()

/** MurmurHash3 (x86, 32 bit; Austin Appleby). For placement and chains, not for secrets, damage detection, or
 * tables whose keys come from outside. */
export function hashBytes(bytes: Uint8Array, seed = 0): number {
  // Words from a view: snapshots are hashed whole, and byte by byte it takes twice as long.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let hash = seed | 0
  const words = bytes.length & ~3
  for (let at = 0; at < words; at += 4) {
    hash ^= scramble(view.getInt32(at, true))
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= words; at--) tail = (tail << 8) | view.getUint8(at)
  if (bytes.length > words) hash ^= scramble(tail)
  return avalanche(hash ^ bytes.length)
}

/** {@link hashBytes} of the text as UTF-8. */
export function hashText(text: string, seed = 0): number {
  let hash = seed | 0
  let word = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code > 127) return hashBytes(TEXT.encode(text), seed)
    word |= code << ((at & 3) << 3)
    if ((at & 3) !== 3) continue
    hash ^= scramble(word)
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
    word = 0
  }
  if ((text.length & 3) !== 0) hash ^= scramble(word)
  return avalanche(hash ^ text.length)
}

/** Mixes one 32-bit number into a hash. */
export function hashNumber(number: number, seed: number): number {
  return avalanche(Math.imul((seed | 0) ^ scramble(number | 0), 5) + 0xe6546b64)
}

function scramble(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

function avalanche(hash: number): number {
  let mixed = hash
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
