/** A CRC-32 tells bytes that were damaged by accident from those that were written. */

const POLYNOMIAL = 0xedb88320

/** Four tables of 256 entries one after another: entry n of table k is the CRC of byte n followed by k zero bytes. */
const TABLES: Uint32Array = makeTables()

/**
 * CRC-32 as in IEEE 802.3, zlib and PNG, four bytes at a time (slicing-by-4; Kounavis and Berry 2005).
 *
 * @param seed the CRC of the bytes before, so that a long message can be checked in parts
 */
export function crc32(bytes: Uint8Array, seed = 0): number {
  const tables = TABLES
  let crc = ~seed
  const words = bytes.length & ~3
  let at = 0
  for (; at < words; at += 4) {
    crc ^= byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24)
    crc =
      entry(tables, 768 + (crc & 255)) ^
      entry(tables, 512 + ((crc >>> 8) & 255)) ^
      entry(tables, 256 + ((crc >>> 16) & 255)) ^
      entry(tables, crc >>> 24)
  }
  for (; at < bytes.length; at++) crc = entry(tables, (crc ^ byte(bytes, at)) & 255) ^ (crc >>> 8)
  return ~crc >>> 0
}

function makeTables(): Uint32Array {
  const tables = new Uint32Array(1024)
  for (let at = 0; at < 256; at++) {
    let crc = at
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? POLYNOMIAL ^ (crc >>> 1) : crc >>> 1
    tables[at] = crc
  }
  for (let at = 256; at < 1024; at++) {
    const before = entry(tables, at - 256)
    tables[at] = entry(tables, before & 255) ^ (before >>> 8)
  }
  return tables
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

function entry(tables: Uint32Array, at: number): number {
  return tables[at] ?? 0
}
