/** The disk pool has libuv's threads wait for the disk: for a process of our own, where nothing that takes long is in their way. */

import { fdatasync } from 'node:fs'
import type { Done } from '../host/port.ts'

export class DiskPool {
  #isClosed = false

  sync(descriptor: number, done: Done): void {
    fdatasync(descriptor, (error) => {
      if (!this.#isClosed) done(error ?? undefined)
    })
  }

  /** Callbacks under way never come. */
  close(): void {
    this.#isClosed = true
  }
}
