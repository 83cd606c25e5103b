/** The real disk is a directory that one process owns, with files that are written and synced by the operating system. */

import {
  accessSync,
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import { isTroupeError, TroupeError } from '../base/error.ts'
import type { Disk, DiskFile } from '../host/port.ts'
import { DirectoryLock, isLockFile } from './directory-lock.ts'
import { DiskThreads } from './disk-thread.ts'
import { makeDirectory } from './make-directory.ts'

export interface DiskOptions {
  /**
   * Where a sync waits: `'engine'` in the calling thread, which answers nobody meanwhile; `'thread'` in another one;
   * `'adaptive'`, the default, in the calling thread for as long as the disk is quick and little was written. The figures
   * are in docs/decisions/0005-where-fsync-runs.md.
   */
  readonly sync?: 'engine' | 'thread' | 'adaptive'
}

/** A sync that took this long is slow: the engine's peers noticed. */
const SLOW_SYNC_MS = 50
/** A slow sync is remembered for so many times as long as it took: no more of the engine's time than that is lost to them. */
const SLOW_FOR = 20
/** More than this is not synced in the calling thread, however quick the disk was so far. */
const LITTLE_BYTES = 1024 * 1024

type Done = (error: Error | undefined) => void

const ZEROS = new Uint8Array(1024 * 1024)

/**
 * Opens a data directory, which is created when missing (mode 0700), for this process alone.
 *
 * Throws `DIRECTORY_UNUSABLE`, `DIRECTORY_IN_USE`.
 */
export function openDirectory(directory: string, options: DiskOptions = {}): DirectoryDisk {
  try {
    makeDirectory(directory)
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw unusable(directory, error)
  }
  return new DirectoryDisk(directory, DirectoryLock.acquire(directory), options)
}

export class DirectoryDisk implements Disk {
  readonly #directory: string
  readonly #lock: DirectoryLock
  readonly #syncs: Syncs
  /** Files that are being prepared. */
  #preparing = 0
  #isClosing = false
  #closed: () => void = () => {}

  constructor(directory: string, lock: DirectoryLock, options: DiskOptions) {
    this.#directory = directory
    this.#lock = lock
    this.#syncs = new Syncs(options.sync ?? 'adaptive')
  }

  list(): readonly string[] {
    return this.#attempt('.', () =>
      readdirSync(this.#directory, { withFileTypes: true })
        .filter((file) => file.isFile() && !isLockFile(file.name))
        .map((file) => file.name)
        .sort(),
    )
  }

  open(name: string, createBytes?: number): DiskFile {
    return this.#attempt(name, () => {
      const descriptor = openSync(this.#path(name), createBytes === undefined ? 'r+' : 'w+', 0o600)
      const file = new DirectoryFile(name, descriptor, this.#syncs)
      if (createBytes === undefined) return file
      try {
        for (let at = 0; at < createBytes; at += ZEROS.length) file.write(at, ZEROS.subarray(0, createBytes - at))
        fsyncSync(descriptor)
        this.syncDirectory()
      } catch (error) {
        file.close()
        // On a full disk what was begun has taken the last of the room.
        unlinkSync(this.#path(name))
        throw error
      }
      return file
    })
  }

  rename(from: string, to: string): void {
    this.#attempt(from, () => renameSync(this.#path(from), this.#path(to)))
  }

  remove(name: string): void {
    this.#attempt(name, () => unlinkSync(this.#path(name)))
  }

  syncDirectory(): void {
    // Windows has no such call, and needs none: NTFS journals its names.
    if (process.platform === 'win32') return
    this.#attempt('.', () => {
      const descriptor = openSync(this.#directory, 'r')
      try {
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
    })
  }

  prepare(name: string, bytes: number, ready: Done): void {
    if (this.#isClosing) return
    this.#preparing++
    const ended = (error?: unknown): void => {
      this.#preparing--
      if (this.#isClosing) this.#letGo()
      else ready(error === undefined ? undefined : failed(name, error))
    }
    allocate(this.#path(name), bytes, () => this.#isClosing)
      .then(() => syncPath(this.#directory))
      .then(() => ended(), ended)
  }

  crc32(bytes: Uint8Array, seed?: number): number {
    return crc32(bytes, seed)
  }

  /**
   * Ends the threads and lets the next process in, once nothing of this one is on its way to a file any more: then it calls
   * `done`. Callbacks under way never come. Files must be closed before.
   */
  close(done: () => void = () => {}): void {
    this.#isClosing = true
    this.#closed = done
    this.#syncs.close()
    this.#letGo()
  }

  #letGo(): void {
    if (this.#preparing > 0) return
    this.#lock.release()
    this.#closed()
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }

  #attempt<Result>(name: string, action: () => Result): Result {
    try {
      return action()
    } catch (error) {
      throw failed(name, error)
    }
  }
}

/** Decides where each sync waits, by how long the last ones took. */
class Syncs {
  readonly #where: 'engine' | 'thread' | 'adaptive'
  readonly #threads = new DiskThreads()
  #slowUntil = 0

  constructor(where: 'engine' | 'thread' | 'adaptive') {
    this.#where = where
  }

  sync(descriptor: number, bytes: number, done: Done): void {
    if (this.#isInline(bytes)) this.#syncHere(descriptor, done)
    else this.#threads.sync(descriptor, done)
  }

  close(): void {
    this.#threads.close()
  }

  #isInline(bytes: number): boolean {
    if (this.#where !== 'adaptive') return this.#where === 'engine'
    return bytes <= LITTLE_BYTES && performance.now() >= this.#slowUntil
  }

  #syncHere(descriptor: number, done: Done): void {
    const begun = performance.now()
    let failure: Error | undefined
    try {
      fdatasyncSync(descriptor)
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    const ended = performance.now()
    if (ended - begun > SLOW_SYNC_MS) this.#slowUntil = ended + SLOW_FOR * (ended - begun)
    done(failure)
  }
}

class DirectoryFile implements DiskFile {
  readonly #name: string
  readonly #descriptor: number
  readonly #syncs: Syncs
  #size: number
  #unsyncedBytes = 0
  #syncsUnderWay = 0
  #isClosed = false

  constructor(name: string, descriptor: number, syncs: Syncs) {
    this.#name = name
    this.#descriptor = descriptor
    this.#syncs = syncs
    this.#size = fstatSync(descriptor).size
  }

  get size(): number {
    return this.#size
  }

  read(position: number, length: number, into?: Uint8Array): Uint8Array {
    const most = Math.max(0, Math.min(length, this.#size - position))
    const bytes = into?.subarray(0, most) ?? new Uint8Array(most)
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) {
        const read = readSync(this.#descriptor, bytes, at, bytes.length - at, position + at)
        if (read === 0) throw new Error('the file is shorter than it was')
        at += read
      }
    })
    return bytes
  }

  write(position: number, bytes: Uint8Array): void {
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(this.#descriptor, bytes, at, bytes.length - at, position + at)
      }
    })
    this.#unsyncedBytes += bytes.length
    this.#size = Math.max(this.#size, position + bytes.length)
  }

  sync(done: Done): void {
    assert(!this.#isClosed, `${this.#name} is open`)
    const bytes = this.#unsyncedBytes
    this.#unsyncedBytes = 0
    this.#syncsUnderWay++
    this.#syncs.sync(this.#descriptor, bytes, (error) => {
      this.#syncsUnderWay--
      if (this.#isClosed) this.#closeWhenIdle()
      done(error && failed(this.#name, error))
    })
  }

  truncate(bytes: number): void {
    this.#attempt(() => ftruncateSync(this.#descriptor, bytes))
    this.#size = bytes
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closeWhenIdle()
  }

  /** A descriptor that a thread still syncs must not be given to another file. */
  #closeWhenIdle(): void {
    if (this.#syncsUnderWay === 0) this.#attempt(() => closeSync(this.#descriptor))
  }

  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      throw failed(this.#name, error)
    }
  }
}

/** Fills a file with zeros, a little at a time, so that the log's own syncs never wait for all of it. What fails leaves no file. */
async function allocate(path: string, bytes: number, isGivenUp: () => boolean): Promise<void> {
  const existing = await open(path, 'r+').catch(() => undefined)
  const isThere = (await existing?.stat())?.size === bytes
  await existing?.close()
  if (isThere) return
  const file = await open(path, 'w', 0o600)
  try {
    for (let at = 0; at < bytes; at += ZEROS.length) {
      if (isGivenUp()) throw new Error('the directory is being closed')
      await writeZeros(file, at, Math.min(ZEROS.length, bytes - at))
    }
    await file.sync()
  } catch (error) {
    await unlink(path)
    throw error
  } finally {
    await file.close()
  }
}

async function writeZeros(file: FileHandle, position: number, length: number): Promise<void> {
  for (let at = 0; at < length; ) at += (await file.write(ZEROS, 0, length - at, position + at)).bytesWritten
  await file.datasync()
}

async function syncPath(directory: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function failed(file: string, error: unknown): TroupeError {
  if (isTroupeError(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new TroupeError('DISK_FAILED', `the disk refuses ${file}: ${reason}`, { details: { file }, cause: error })
}

function unusable(directory: string, error: unknown): TroupeError {
  const reason = error instanceof Error ? error.message : String(error)
  return new TroupeError(
    'DIRECTORY_UNUSABLE',
    `the data directory ${directory} cannot be used: ${reason}. Correct \`dataDir\` or the directory's permissions.`,
    { details: { directory }, cause: error },
  )
}
