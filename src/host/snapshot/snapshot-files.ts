/** The snapshot files are the snapshot store on a disk: one file for each group, written aside and then put in place. */

import { assert, required } from '../../base/assert.ts'
import type { GroupId } from '../../base/identity.ts'
import type { LogIndex } from '../../protocol/core.ts'
import type { GroupStart, SnapshotHeader, SnapshotStore, SnapshotWriter, StoredSnapshot } from '../log-device.ts'
import type { Disk, DiskFile, Done } from '../port.ts'
import { refusalOf } from '../refusal.ts'
import {
  BLOCK_BYTES,
  BLOCK_STRIDE,
  damagedSnapshot,
  decodeHeader,
  encodeHeader,
  fileBytes,
  headerBytes,
  missingSnapshot,
  PARTIAL,
  PREFIX_BYTES,
  parseName,
  snapshotName,
} from './format.ts'

export class SnapshotFiles implements SnapshotStore {
  readonly #disk: Disk
  readonly #newest = new Map<GroupId, LogIndex>()
  #writers = 0

  /** Finds the newest snapshot of each group, and changes nothing. Throws `DATA_DAMAGED` and `VERSION_SKEW`. */
  constructor(disk: Disk) {
    this.#disk = disk
    for (const { group, index } of disk
      .list()
      .map(parseName)
      .filter((name) => name !== undefined))
      this.#newest.set(group, Math.max(index, this.#newest.get(group) ?? 0))
    for (const group of this.#newest.keys()) this.newest(group)?.close()
  }

  /**
   * Throws `DATA_DAMAGED` when the log of a group begins where no snapshot ends. Otherwise removes what a crash left
   * unfinished or not yet removed.
   */
  accept(groups: Iterable<GroupStart>): void {
    for (const { id, start } of groups) {
      const end = this.#newest.get(id) ?? 0
      if (end < start.index) throw missingSnapshot(id, start.index, end)
    }
    for (const name of this.#disk.list()) if (this.#isLeftOver(name)) this.#disk.remove(name)
  }

  newest(group: GroupId): StoredSnapshot | undefined {
    const index = this.#newest.get(group)
    if (index === undefined) return
    const name = snapshotName(group, index)
    const file = this.#disk.open(name)
    try {
      return openSnapshot(this.#disk, { group, index, name }, file)
    } catch (error) {
      file.close()
      throw error
    }
  }

  begin(group: GroupId, header: SnapshotHeader): SnapshotWriter {
    this.#writers++
    const { index } = header.position
    const partial = `${snapshotName(group, index)}.${this.#writers}${PARTIAL}`
    return new FileWriter(this.#disk, { group, header, partial }, () => {
      this.#disk.rename(partial, snapshotName(group, index))
      this.#disk.syncDirectory()
      this.#adopt(group, index)
    })
  }

  #isLeftOver(name: string): boolean {
    if (name.startsWith('snapshot-') && name.endsWith(PARTIAL)) return true
    const found = parseName(name)
    return found !== undefined && found.index !== this.#newest.get(found.group)
  }

  /** The newer of two snapshots stays, in whatever order they were finished. */
  #adopt(group: GroupId, index: LogIndex): void {
    const known = this.#newest.get(group)
    if (known === index) return
    if (known !== undefined) this.#disk.remove(snapshotName(group, Math.min(known, index)))
    this.#newest.set(group, Math.max(known ?? 0, index))
  }
}

interface Named {
  readonly group: GroupId
  readonly index: LogIndex
  readonly name: string
}

function openSnapshot(disk: Disk, { group, index, name }: Named, file: DiskFile): StoredSnapshot {
  const size = headerBytes(file.read(0, PREFIX_BYTES))
  const bytes = size === undefined || size > file.size ? undefined : file.read(0, size)
  const found = bytes && decodeHeader(name, bytes, (part) => disk.crc32(part))
  const isItsOwn = found?.group === group && found.header.position.index === index
  if (bytes === undefined || found === undefined || !isItsOwn) throw damagedSnapshot(name, 0)
  if (file.size !== fileBytes(bytes.length, found.bodyBytes))
    throw damagedSnapshot(name, Math.min(file.size, bytes.length))
  const block = blockReader(disk, { name, file, headerBytes: bytes.length })
  return {
    header: found.header,
    bytes: found.bodyBytes,
    read: (offset, length) => readBody(block, offset, Math.min(length, found.bodyBytes - offset)),
    close: () => file.close(),
  }
}

interface Body {
  readonly name: string
  readonly file: DiskFile
  readonly headerBytes: number
}

type ReadBlock = (number: number) => Uint8Array

/** Keeps the last block, because readers go through the body in parts that are smaller or lie across. */
function blockReader(disk: Disk, { name, file, headerBytes }: Body): ReadBlock {
  let kept: { readonly number: number; readonly bytes: Uint8Array } | undefined
  return (number) => {
    if (kept?.number === number) return kept.bytes
    const at = headerBytes + number * BLOCK_STRIDE
    const stored = file.read(at, BLOCK_STRIDE)
    const bytes = stored.subarray(4)
    const view = new DataView(stored.buffer, stored.byteOffset, stored.length)
    if (stored.length < 4 || view.getUint32(0, true) !== disk.crc32(bytes, number)) throw damagedSnapshot(name, at)
    kept = { number, bytes }
    return bytes
  }
}

function readBody(block: ReadBlock, offset: number, length: number): Uint8Array {
  const body = new Uint8Array(Math.max(0, length))
  for (let at = 0; at < body.length; ) {
    const within = (offset + at) % BLOCK_BYTES
    const part = block(Math.floor((offset + at) / BLOCK_BYTES)).subarray(within, within + body.length - at)
    assert(part.length > 0, 'a block holds what the size of the file promises')
    body.set(part, at)
    at += part.length
  }
  return body
}

interface Draft {
  readonly group: GroupId
  readonly header: SnapshotHeader
  readonly partial: string
}

class FileWriter implements SnapshotWriter {
  readonly #disk: Disk
  readonly #draft: Draft
  readonly #finished: () => void
  #file: DiskFile | undefined
  /** The block that is being filled, its checksum first. */
  readonly #block: Uint8Array = new Uint8Array(BLOCK_STRIDE)
  #filled = 0
  #blocks = 0
  readonly #headerBytes: number

  constructor(disk: Disk, draft: Draft, finished: () => void) {
    this.#disk = disk
    this.#draft = draft
    this.#finished = finished
    this.#headerBytes = this.#header().length
    this.#file = disk.open(draft.partial, 0)
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + BLOCK_BYTES - this.#filled)
      this.#block.set(part, 4 + this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === BLOCK_BYTES) this.#flush()
    }
  }

  finish(done: Done): void {
    const file = required(this.#file, 'the file of a snapshot that is being written')
    const header = this.#header()
    if (this.#filled > 0) this.#flush()
    file.write(0, header)
    file.sync((error) => {
      if (this.#file === undefined) return
      this.#file = undefined
      file.close()
      done(error ?? refusalOf(this.#finished))
    })
  }

  abandon(): void {
    if (this.#file === undefined) return
    this.#file.close()
    this.#file = undefined
    this.#disk.remove(this.#draft.partial)
  }

  #header(): Uint8Array {
    const bodyBytes = this.#blocks * BLOCK_BYTES + this.#filled
    return encodeHeader(this.#draft.group, this.#draft.header, bodyBytes, (part) => this.#disk.crc32(part))
  }

  #flush(): void {
    const block = this.#block.subarray(0, 4 + this.#filled)
    const checksum = this.#disk.crc32(block.subarray(4), this.#blocks)
    new DataView(block.buffer).setUint32(0, checksum, true)
    required(this.#file, 'the file of a snapshot that is being written').write(
      this.#headerBytes + this.#blocks * BLOCK_STRIDE,
      block,
    )
    this.#blocks++
    this.#filled = 0
  }
}
