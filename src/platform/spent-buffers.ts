/** Spent buffers are what came from sockets and is needed until the turn ends in which it came. */

import { release } from '../base/release.ts'

export class SpentBuffers {
  #buffers: Uint8Array[] = []

  /** Nobody but the present turn, or the one that what came brings about, needs this buffer. */
  add(buffer: Uint8Array): void {
    // A turn that was asked for in this round of the event loop has ended when the next one has gone round.
    if (this.#buffers.length === 0) setImmediate(() => setImmediate(this.#release, this.#take()))
    this.#buffers.push(buffer)
  }

  #take(): Uint8Array[] {
    const taken = this.#buffers
    this.#buffers = []
    return taken
  }

  readonly #release = (buffers: readonly Uint8Array[]): void => {
    for (const buffer of buffers) release(buffer)
  }
}
