/** A sync waits for the disk in the thread that asks for it while the disk is quick, and in another one while it is not. */

import { fdatasyncSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import type { Done } from '../host/port.ts'
import { DiskPool } from './disk-pool.ts'
import { DiskThreads } from './disk-thread.ts'

/** `'engine'` is the calling thread. */
export type SyncPlace = 'engine' | 'thread' | 'adaptive'

/** A wait of this length is slow: the engine's peers noticed. */
const SLOW_MS = 50
/** A slow wait is remembered for so many times as long as it took: no more of the engine's time than that is lost to them. */
const SLOW_FOR = 20
/** More than this is not waited for in the calling thread, however quick the disk was so far. */
const LITTLE_BYTES = 1024 * 1024

/** Decides where each wait for the disk takes place, by how long the last ones took. */
export class Syncs {
  readonly #place: SyncPlace
  readonly #threads: DiskPool | DiskThreads
  #slowUntil = 0

  /** @param ownsProcess so that nobody else puts anything into the pool of libuv, whose threads cost no memory */
  constructor(place: SyncPlace, ownsProcess = false) {
    this.#place = place
    this.#threads = ownsProcess ? new DiskPool() : new DiskThreads()
  }

  /** Whether the calling thread may wait until the device has so many bytes. */
  isQuick(bytes: number): boolean {
    if (this.#place !== 'adaptive') return this.#place === 'engine'
    return bytes <= LITTLE_BYTES && performance.now() >= this.#slowUntil
  }

  /** Runs what waits for the device in the calling thread, and remembers when that was slow. */
  wait<Result>(action: () => Result): Result {
    const begun = performance.now()
    try {
      return action()
    } finally {
      const ended = performance.now()
      if (ended - begun > SLOW_MS) this.#slowUntil = ended + SLOW_FOR * (ended - begun)
    }
  }

  sync(descriptor: number, bytes: number, done: Done): void {
    if (this.isQuick(bytes)) this.#syncHere(descriptor, done)
    else this.#threads.sync(descriptor, done)
  }

  close(): void {
    this.#threads.close()
  }

  #syncHere(descriptor: number, done: Done): void {
    let failure: Error | undefined
    try {
      this.wait(() => fdatasyncSync(descriptor))
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    done(failure)
  }
}
