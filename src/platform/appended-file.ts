/**
 * An appended file is written from front to back in whole pages: directly while the disk is quick, through the
 * operating system's cache while it is not.
 */

import { assert } from '../base/assert.ts'
import type { DiskFile, Done } from '../host/port.ts'
import { type DirectFile, PAGE_BYTES } from './direct-file.ts'
import { diskFailed } from './disk-error.ts'
import type { Syncs } from './syncs.ts'

export interface AppendedFilePorts {
  readonly name: string
  /** The same file through the cache, which is read, and written while the disk is slow. */
  readonly file: DiskFile
  readonly direct: Pick<DirectFile, 'write' | 'close'>
  readonly syncs: Syncs
  /** Memory that begins at a page and is a whole number of them; all files of a disk may share it. */
  readonly pages: Uint8Array
}

export class AppendedFile implements DiskFile {
  readonly #ports: AppendedFilePorts
  #end = 0
  /** The page in which the file ends so far: it is written again with what follows. */
  readonly #lastPage = new Uint8Array(PAGE_BYTES)
  /** How many writes went through the cache; the first is what whoever had the file before may have left there. */
  #cached = 1
  /** How many of them are known to be on the device. */
  #synced = 0

  constructor(ports: AppendedFilePorts) {
    this.#ports = ports
  }

  get size(): number {
    return this.#ports.file.size
  }

  read(position: number, length: number, into?: Uint8Array): Uint8Array {
    return this.#ports.file.read(position, length, into)
  }

  write(position: number, bytes: Uint8Array): void {
    assert(position === this.#end, `${this.#ports.name} is written from front to back`)
    const isQuick = this.#ports.syncs.isQuick(bytes.length)
    for (let at = 0; at < bytes.length; ) {
      const inPage = this.#end % PAGE_BYTES
      const taken = bytes.subarray(at, at + this.#ports.pages.length - inPage)
      this.#put(this.#end - inPage, this.#fill(inPage, taken), isQuick)
      this.#end += taken.length
      at += taken.length
    }
  }

  sync(done: Done): void {
    const cached = this.#cached
    if (cached === this.#synced) {
      done(undefined)
      return
    }
    this.#ports.file.sync((error) => {
      if (error === undefined) this.#synced = Math.max(this.#synced, cached)
      done(error)
    })
  }

  truncate(): void {
    assert(false, `${this.#ports.name} is not cut while it is written`)
  }

  close(): void {
    this.#ports.direct.close()
    this.#ports.file.close()
  }

  /** The pages that begin with `inPage` bytes of the last one, go on with these, and end with zeros. */
  #fill(inPage: number, bytes: Uint8Array): Uint8Array {
    const { pages } = this.#ports
    const end = inPage + bytes.length
    const whole = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES
    pages.set(this.#lastPage.subarray(0, inPage))
    pages.set(bytes, inPage)
    pages.fill(0, end, whole)
    this.#lastPage.set(pages.subarray(whole - PAGE_BYTES, whole))
    return pages.subarray(0, whole)
  }

  #put(position: number, pages: Uint8Array, isQuick: boolean): void {
    if (isQuick && this.#writeDirectly(position, pages)) return
    this.#ports.file.write(position, pages)
    this.#cached++
  }

  #writeDirectly(position: number, pages: Uint8Array): boolean {
    const { name, direct, syncs } = this.#ports
    try {
      return syncs.wait(() => direct.write(position, pages))
    } catch (error) {
      throw diskFailed(name, error)
    }
  }
}
