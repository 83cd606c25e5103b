/** The real disk is a directory that one process owns, with files that are written and synced by the operating system. */

import {
  accessSync,
  closeSync,
  constants,
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
import type { Disk, DiskFile, Done } from '../host/port.ts'
import { AppendedFile } from './appended-file.ts'
import { allocatePages, DIRECT, DirectFile, isRefused } from './direct-file.ts'
import { DirectoryLock, isLockFile } from './directory-lock.ts'
import { directoryUnusable, diskFailed } from './disk-error.ts'
import { makeDirectory } from './make-directory.ts'
import { type SyncPlace, Syncs } from './syncs.ts'

export interface DiskOptions {
  /**
   * Where a sync waits: `'engine'` in the calling thread, which answers nobody meanwhile; `'thread'` in another one;
   * `'adaptive'`, the default, in the calling thread for as long as the disk is quick and little was written. The
   * figures are in docs/decisions/0005-where-fsync-runs.md.
   */
  readonly sync?: SyncPlace
  /** Whether nobody else uses this process, and the threads that libuv has in it. */
  readonly ownsProcess?: boolean
}

const MEBIBYTE = 1024 * 1024

const ZEROS = new Uint8Array(MEBIBYTE)

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
    throw directoryUnusable(directory, error)
  }
  return new DirectoryDisk(directory, DirectoryLock.acquire(directory), options)
}

export class DirectoryDisk implements Disk {
  readonly #directory: string
  readonly #lock: DirectoryLock
  readonly #syncs: Syncs
  /** Files that are being prepared. */
  #preparing = 0
  /** Memory for direct writes, once there are any: what appended files fill, and zeros. */
  #memory: { readonly pages: Uint8Array; readonly zeros: Uint8Array } | undefined = undefined
  #isClosing = false
  #closed: () => void = () => {}

  constructor(directory: string, lock: DirectoryLock, options: DiskOptions) {
    this.#directory = directory
    this.#lock = lock
    this.#syncs = new Syncs(options.sync ?? 'adaptive', options.ownsProcess)
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

  openAppended(name: string): DiskFile {
    const file = this.open(name)
    return this.#attempt(name, () => {
      const direct = DirectFile.open(this.#path(name))
      if (direct === undefined) return file
      return new AppendedFile({ name, file, direct, syncs: this.#syncs, pages: this.#forDirectWrites().pages })
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
      else ready(error === undefined ? undefined : diskFailed(name, error))
    }
    allocate({ path: this.#path(name), bytes, zeros: this.#forDirectWrites().zeros, isGivenUp: () => this.#isClosing })
      .then(() => syncPath(this.#directory))
      .then(() => ended(), ended)
  }

  crc32(bytes: Uint8Array, seed?: number): number {
    return crc32(bytes, seed)
  }

  /**
   * Ends the threads and lets the next process in, once nothing of this one is on its way to a file any more: then it
   * calls `done`. Callbacks under way never come. Files must be closed before.
   */
  close(done: () => void = () => {}): void {
    this.#isClosing = true
    this.#closed = done
    this.#syncs.close()
    this.#letGo()
  }

  #forDirectWrites(): { readonly pages: Uint8Array; readonly zeros: Uint8Array } {
    if (this.#memory === undefined) {
      const both = allocatePages(2 * MEBIBYTE)
      this.#memory = { pages: both.subarray(0, MEBIBYTE), zeros: both.subarray(MEBIBYTE) }
    }
    return this.#memory
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
      throw diskFailed(name, error)
    }
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
      done(error && diskFailed(this.#name, error))
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
      throw diskFailed(this.#name, error)
    }
  }
}

interface Allocation {
  readonly path: string
  readonly bytes: number
  readonly zeros: Uint8Array
  readonly isGivenUp: () => boolean
}

/** Fills a file with zeros, a little at a time, so that the log's own syncs never wait for all of it. What fails leaves no file. */
async function allocate(wanted: Allocation): Promise<void> {
  const existing = await open(wanted.path, 'r+').catch(() => undefined)
  const isThere = (await existing?.stat())?.size === wanted.bytes
  await existing?.close()
  if (isThere) return
  try {
    await fill(wanted, DIRECT ?? 0).catch((error: unknown) => {
      if (!isRefused(error)) throw error
      return fill(wanted, 0)
    })
  } catch (error) {
    await unlink(wanted.path)
    throw error
  }
}

async function fill({ path, bytes, zeros, isGivenUp }: Allocation, flags: number): Promise<void> {
  const { O_WRONLY, O_CREAT, O_TRUNC } = constants
  const file = await open(path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0o600)
  try {
    for (let at = 0; at < bytes; at += zeros.length) {
      if (isGivenUp()) throw new Error('the directory is being closed')
      await writeAll(file, at, zeros.subarray(0, bytes - at))
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  }
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
