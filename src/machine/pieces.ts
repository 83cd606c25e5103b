/** A piece is a part of a large payload; its bytes are kept outside of the machine, which knows of each that it is there. */

import { crc32 } from '../base/crc.ts'

/** A piece as the state has it: where it stands in its payload, and what it must be. */
export interface Piece {
  readonly upload: number
  readonly offset: number
  readonly length: number
  /** CRC-32 of its bytes. */
  readonly crc: number
}

/**
 * Keeps the bytes of a shard's pieces. What it holds follows from the entries of the log, which are executed again
 * after a crash: nothing here need be durable before the snapshot that stands for those entries.
 */
export interface PieceStore {
  /** Copies the bytes to their place, over whatever is there. Returns their CRC-32. */
  put(upload: number, offset: number, bytes: Uint8Array): number
  /**
   * The bytes; undefined when they are not what the state says. That may be so on a machine that has been restored:
   * what a later entry deletes is gone already, until that entry has been executed again.
   */
  get(piece: Piece): Uint8Array | undefined
  /** Without effect when there is nothing of it. */
  delete(upload: number): void
  /** Deletes everything else. */
  retain(uploads: ReadonlySet<number>): void
}

/** The piece store of a machine that keeps nothing over a restart. */
export class MemoryPieces implements PieceStore {
  readonly #uploads: Map<number, Map<number, Uint8Array>> = new Map()

  put(upload: number, offset: number, bytes: Uint8Array): number {
    const pieces = this.#uploads.get(upload) ?? new Map<number, Uint8Array>()
    this.#uploads.set(upload, pieces.set(offset, bytes.slice()))
    return crc32(bytes)
  }

  get({ upload, offset, length }: Piece): Uint8Array | undefined {
    const bytes = this.#uploads.get(upload)?.get(offset)
    return bytes?.length === length ? bytes : undefined
  }

  delete(upload: number): void {
    this.#uploads.delete(upload)
  }

  retain(uploads: ReadonlySet<number>): void {
    for (const upload of this.#uploads.keys()) if (!uploads.has(upload)) this.#uploads.delete(upload)
  }
}
