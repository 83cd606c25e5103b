/** The piece files are the piece stores of a node's groups on its disk: one file for each large payload. */

import type { GroupId } from '../base/identity.ts'
import { MemoryPieces, type Piece, type PieceStore } from '../machine/pieces.ts'
import type { Disk, DiskFile, Done } from './port.ts'
import { refusalOf } from './refusal.ts'

/** The piece stores of all groups of a node. */
export interface PieceStores {
  /** The store of one group; always the same. */
  of(group: GroupId): PieceStore
  /**
   * Makes durable what the group's store holds now. A snapshot of a state that has pieces must not be visible before:
   * with it, the entries that brought them are never executed again.
   */
  sync(group: GroupId, done: Done): void
  close(): void
}

const NAME = /^pieces-(\d+)-(\d+)$/

function nameOf(group: number, upload: number): string {
  return `pieces-${group}-${upload}`
}

/** Files that are kept open, because more of the same is likely to follow. */
const OPEN_LIMIT = 8

export class PieceFiles implements PieceStores {
  readonly #files: OpenFiles
  readonly #groups = new Map<GroupId, GroupPieces>()

  constructor(disk: Disk) {
    this.#files = new OpenFiles(disk)
    for (const name of disk.list()) {
      const [group, upload] = NAME.exec(name)?.slice(1).map(Number) ?? []
      if (group === undefined || upload === undefined || nameOf(group, upload) !== name) continue
      this.#pieces(group as GroupId).adopt(upload)
    }
  }

  of(group: GroupId): PieceStore {
    return this.#pieces(group)
  }

  sync(group: GroupId, done: Done): void {
    this.#pieces(group).sync(done)
  }

  close(): void {
    this.#files.close()
  }

  #pieces(group: GroupId): GroupPieces {
    const pieces = this.#groups.get(group) ?? new GroupPieces(group, this.#files)
    this.#groups.set(group, pieces)
    return pieces
  }
}

class GroupPieces implements PieceStore {
  readonly #group: GroupId
  readonly #files: OpenFiles
  readonly #uploads = new Set<number>()
  /** Written since they were synced. */
  #dirty = new Set<number>()

  constructor(group: GroupId, files: OpenFiles) {
    this.#group = group
    this.#files = files
  }

  /** A file is there from an earlier start. */
  adopt(upload: number): void {
    this.#uploads.add(upload)
  }

  put(upload: number, offset: number, bytes: Uint8Array): number {
    const file = this.#files.open(this.#name(upload), !this.#uploads.has(upload))
    this.#uploads.add(upload)
    this.#dirty.add(upload)
    file.write(offset, bytes)
    return this.#files.disk.crc32(bytes)
  }

  get({ upload, offset, length, crc }: Piece): Uint8Array | undefined {
    if (!this.#uploads.has(upload)) return undefined
    let bytes: Uint8Array | undefined
    // What the device cannot read is as good as damaged: another replica has it.
    refusalOf(() => {
      bytes = this.#files.open(this.#name(upload), false).read(offset, length)
    })
    return bytes?.length === length && this.#files.disk.crc32(bytes) === crc ? bytes : undefined
  }

  delete(upload: number): void {
    if (!this.#uploads.delete(upload)) return
    this.#dirty.delete(upload)
    this.#files.remove(this.#name(upload))
  }

  retain(uploads: ReadonlySet<number>): void {
    for (const upload of this.#uploads) if (!uploads.has(upload)) this.delete(upload)
  }

  sync(done: Done): void {
    const dirty = this.#dirty
    this.#dirty = new Set()
    const next = (): void => {
      const [upload] = dirty
      if (upload === undefined) {
        done(undefined)
        return
      }
      dirty.delete(upload)
      if (this.#uploads.has(upload)) this.#files.sync(this.#name(upload), (error) => (error ? done(error) : next()))
      else next()
    }
    next()
  }

  #name(upload: number): string {
    return nameOf(this.#group, upload)
  }
}

/** Invariant: at most `OPEN_LIMIT` files are open, but for those that are being synced. */
class OpenFiles {
  readonly disk: Disk
  /** The one that was used last comes last. */
  readonly #open = new Map<string, DiskFile>()

  constructor(disk: Disk) {
    this.disk = disk
  }

  open(name: string, isNew: boolean): DiskFile {
    const file = this.#open.get(name) ?? this.disk.open(name, isNew ? 0 : undefined)
    this.#open.delete(name)
    this.#open.set(name, file)
    const [oldest] = this.#open.keys()
    if (this.#open.size > OPEN_LIMIT && oldest !== undefined) this.#close(oldest)
    return file
  }

  /** A sync is of the file, whoever wrote to it. */
  sync(name: string, done: Done): void {
    const refusal = refusalOf(() => this.open(name, false).sync(done))
    if (refusal !== undefined) done(refusal)
  }

  remove(name: string): void {
    this.#close(name)
    this.disk.remove(name)
  }

  close(): void {
    for (const name of this.#open.keys()) this.#close(name)
  }

  #close(name: string): void {
    this.#open.get(name)?.close()
    this.#open.delete(name)
  }
}

/** The piece stores of a node that keeps nothing over a restart. */
export class MemoryPieceStores implements PieceStores {
  readonly #stores = new Map<GroupId, PieceStore>()

  of(group: GroupId): PieceStore {
    const store = this.#stores.get(group) ?? new MemoryPieces()
    this.#stores.set(group, store)
    return store
  }

  sync(_group: GroupId, done: Done): void {
    done(undefined)
  }

  close(): void {}
}
