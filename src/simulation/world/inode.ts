/**
 * An inode is one file of the virtual disk: its bytes as every process sees them, and what the device has instead where
 * no sync confirmed them.
 */

import { TroupeError } from '../../base/error.ts'
import type { Random } from '../../base/random.ts'

const SECTOR = 512
export const PAGE = 4096

/** Sectors as the device has them, where the cache differs. */
type Sectors = Map<number, Uint8Array>

export class Inode {
  #buffer: Uint8Array
  #length: number
  #durableLength: number
  #unsynced: Sectors = new Map()
  #syncing: Sectors[] = []
  /** A sync failed on these, and the operating system believes them clean: no later sync writes them. */
  #forgotten: Sectors = new Map()
  /** Pages that the device cannot read. */
  readonly unreadable: Set<number> = new Set()

  constructor(length: number) {
    this.#buffer = new Uint8Array(length)
    this.#length = length
    this.#durableLength = length
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** A view; good until something is written. */
  read(position: number, length: number): Uint8Array {
    const read = this.bytes.subarray(position, position + length)
    for (const page of this.unreadable) {
      if (page * PAGE < position + read.length && (page + 1) * PAGE > position) throw unreadable(page)
    }
    return read
  }

  /** What a page holds that is written in part has to be read first. */
  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length
    for (const page of this.unreadable) {
      if (page * PAGE >= end || (page + 1) * PAGE <= position) continue
      if (page * PAGE < position || Math.min((page + 1) * PAGE, this.#length) > end) throw unreadable(page)
      this.unreadable.delete(page)
    }
    if (position + bytes.length > this.#length) this.resize(position + bytes.length)
    for (let sector = Math.floor(position / SECTOR); sector * SECTOR < position + bytes.length; sector++) {
      if (!this.#unsynced.has(sector)) this.#unsynced.set(sector, this.#sector(sector).slice())
    }
    this.#buffer.set(bytes, position)
  }

  /** Writes whole sectors that are on the device at once. */
  writeThrough(position: number, bytes: Uint8Array): void {
    this.write(position, bytes)
    for (let sector = position / SECTOR; sector * SECTOR < position + bytes.length; sector++) {
      for (const layer of [this.#unsynced, this.#forgotten, ...this.#syncing]) layer.delete(sector)
    }
    this.#durableLength = Math.max(this.#durableLength, position + bytes.length)
  }

  resize(length: number): void {
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(length, this.#buffer.length * 2))
      grown.set(this.bytes)
      this.#buffer = grown
    }
    this.#buffer.fill(0, length)
    this.#length = length
  }

  /** Returns what ends the sync; writes from now on belong to the next one. */
  startSync(): () => void {
    const syncing = this.#unsynced
    const length = this.#length
    this.#unsynced = new Map()
    this.#syncing.push(syncing)
    return () => {
      this.#syncing = this.#syncing.filter((other) => other !== syncing)
      this.#durableLength = length
    }
  }

  failSync(): void {
    for (const [sector, bytes] of this.#unsynced) {
      if (!this.#forgotten.has(sector)) this.#forgotten.set(sector, bytes)
    }
    this.#unsynced = new Map()
  }

  /** Returns the pages of which only a part came through. */
  crash(random: Random): Set<number> {
    const before: Sectors = new Map()
    for (const layer of [...this.#syncing, this.#unsynced]) {
      for (const [sector, bytes] of layer) if (!before.has(sector)) before.set(sector, bytes)
    }
    const torn = new Set<number>()
    for (const [sector, bytes] of before) {
      const surviving = survivingBytes(random)
      if (surviving < SECTOR) torn.add(Math.floor((sector * SECTOR) / PAGE))
      this.#revert(sector, bytes.subarray(surviving), bytes)
    }
    for (const [sector, bytes] of this.#forgotten) this.#revert(sector, bytes, bytes)
    const [shorter, longer] = [Math.min(this.#length, this.#durableLength), Math.max(this.#length, this.#durableLength)]
    this.resize(shorter + random.below(longer - shorter + 1))
    this.#durableLength = this.#length
    this.#syncing = []
    this.#unsynced = new Map()
    this.#forgotten = new Map()
    return torn
  }

  clone(): Inode {
    const copy = new Inode(0)
    copy.#buffer = this.#buffer.slice()
    copy.#length = this.#length
    copy.#durableLength = this.#durableLength
    copy.#unsynced = new Map(this.#unsynced)
    copy.#syncing = this.#syncing.map((layer) => new Map(layer))
    copy.#forgotten = new Map(this.#forgotten)
    return copy
  }

  #sector(sector: number): Uint8Array {
    return this.#buffer.subarray(sector * SECTOR, (sector + 1) * SECTOR)
  }

  /** Puts the end of a sector back to what the device had. */
  #revert(sector: number, tail: Uint8Array, whole: Uint8Array): void {
    this.#sector(sector).set(tail, whole.length - tail.length)
  }
}

/** How much of a sector's last write came through: all of it, none, or (devices promise otherwise, but do) a part. */
function survivingBytes(random: Random): number {
  const fate = random.below(3)
  if (fate === 2) return random.below(SECTOR)
  return fate === 1 ? SECTOR : 0
}

function unreadable(page: number): TroupeError {
  return new TroupeError('DISK_FAILED', `page ${page} cannot be read`, { details: { errno: 'EIO' } })
}
