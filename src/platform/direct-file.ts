/** A direct file takes whole pages straight to the device, past the operating system's cache, and returns when they are there. */

import { closeSync, constants, openSync, writeSync } from 'node:fs'

export const PAGE_BYTES: number = 4096

const WEB_ASSEMBLY_PAGE_BYTES = 65_536

/** Declared here: Node has it, and its types leave it to the ones of a browser. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer }
}

/** The flag of a direct file, which Linux alone has; Node's types claim that every system does. */
export const DIRECT: number | undefined = constants.O_DIRECT as number | undefined

/** Whether a file system says by this that it opens the file, or takes these bytes, through its cache only. */
export function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EINVAL'
}

/** Zeros that begin at a page's boundary in memory, as direct writes demand: WebAssembly is what promises that in JavaScript. */
export function allocatePages(bytes: number): Uint8Array {
  try {
    return new Uint8Array(new WebAssembly.Memory({ initial: Math.ceil(bytes / WEB_ASSEMBLY_PAGE_BYTES) }).buffer)
  } catch {
    // There is none with `--jitless`, nor where a process may not reserve the addresses that it takes: direct writes
    // are refused then.
    return new Uint8Array(bytes)
  }
}

export class DirectFile {
  readonly #descriptor: number
  #isOpen = true

  /** The file, or undefined where the system or the file system has only its cache. */
  static open(path: string): DirectFile | undefined {
    if (DIRECT === undefined) return
    try {
      return new DirectFile(openSync(path, constants.O_WRONLY | constants.O_DSYNC | DIRECT))
    } catch (error) {
      if (isRefused(error)) return
      throw error
    }
  }

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** Returns false when the file system refuses to take these pages directly, from now on as well; some may be written. */
  write(position: number, pages: Uint8Array): boolean {
    for (let at = 0; at < pages.length; ) {
      const written = this.#isOpen ? this.#writePages(pages.subarray(at), position + at) : 0
      if (written === 0) {
        this.close()
        return false
      }
      at += written
    }
    return true
  }

  #writePages(pages: Uint8Array, position: number): number {
    try {
      const written = writeSync(this.#descriptor, pages, 0, pages.length, position)
      // What ends within a page is written again from its beginning.
      return written - (written % PAGE_BYTES)
    } catch (error) {
      if (isRefused(error)) return 0
      throw error
    }
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#descriptor)
    this.#isOpen = false
  }
}
