/** The charter file is where a node keeps what it has agreed about its cluster. */

import type { Disk, Done } from './port.ts'
import { SealedFile } from './sealed-file.ts'

const REMEDY =
  'Nothing was changed. Put it back from a copy, or remove it: the other members, when `join` names one that serves, tell what it held.'

/** Replaces the charter one at a time; of what waits, only the newest is written. */
export class CharterFile {
  readonly #file: SealedFile
  #isWriting = false
  #waiting: { readonly bytes: Uint8Array; readonly done: Done[] } | undefined

  constructor(disk: Disk) {
    this.#file = new SealedFile(disk, { name: 'charter', format: 1, remedy: REMEDY })
  }

  /** Throws `DATA_DAMAGED`, `VERSION_SKEW`. */
  read(): Uint8Array | undefined {
    return this.#file.read()
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#waiting = { bytes, done: [...(this.#waiting?.done ?? []), done] }
    if (!this.#isWriting) this.#next()
  }

  #next(): void {
    const next = this.#waiting
    this.#waiting = undefined
    this.#isWriting = next !== undefined
    if (next === undefined) return
    this.#file.replace(next.bytes, (error) => {
      for (const done of next.done) done(error)
      this.#next()
    })
  }
}
