/** A sealed file is a small file that is replaced whole and checked whole. */

import { TroupeError } from '../base/error.ts'
import type { Disk, Done } from './port.ts'
import { refusalOf } from './refusal.ts'
import { REMEDY } from './remedy.ts'

const MAGIC = 0x46505254 // 'TRPF'
const HEAD = 16

export interface SealedFileKind {
  readonly name: string
  /** Format of the content that this version writes, and the newest that it reads. */
  readonly format: number
  /** The oldest that it reads; default 1. */
  readonly oldest?: number
  /** What to do when it is damaged. */
  readonly remedy?: string
}

export class SealedFile {
  readonly #disk: Disk
  readonly #kind: SealedFileKind

  constructor(disk: Disk, kind: SealedFileKind) {
    this.#disk = disk
    this.#kind = kind
  }

  /** The content; undefined when there is no such file. Throws `DATA_DAMAGED`, `VERSION_SKEW`. */
  read(): Uint8Array | undefined {
    const { name, format, oldest = 1 } = this.#kind
    if (!this.#disk.list().includes(name)) return
    const bytes = readWhole(this.#disk, name)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const isWhole =
      bytes.length >= HEAD && view.getUint32(0, true) === MAGIC && view.getUint32(12, true) + HEAD === bytes.length
    if (!isWhole || view.getUint32(4, true) !== this.#disk.crc32(bytes.subarray(8))) throw damaged(this.#kind)
    const found = view.getUint32(8, true)
    if (found > format) throw tooNew(name, found, format)
    if (found < oldest) throw tooOld(name, found, oldest)
    return bytes.slice(HEAD)
  }

  /** Makes this the content, durably and atomically: after a crash it is the old or the new one. */
  replace(content: Uint8Array, done: Done): void {
    const fresh = `${this.#kind.name}.new`
    const refusal = refusalOf(() => {
      const file = this.#disk.open(fresh, 0)
      file.write(0, this.#seal(content))
      file.sync((error) => {
        file.close()
        done(error ?? refusalOf(() => this.#putInPlace(fresh)))
      })
    })
    if (refusal !== undefined) done(refusal)
  }

  #putInPlace(fresh: string): void {
    this.#disk.rename(fresh, this.#kind.name)
    this.#disk.syncDirectory()
  }

  #seal(content: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(HEAD + content.length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, MAGIC, true)
    view.setUint32(8, this.#kind.format, true)
    view.setUint32(12, content.length, true)
    bytes.set(content, HEAD)
    view.setUint32(4, this.#disk.crc32(bytes.subarray(8)), true)
    return bytes
  }
}

function readWhole(disk: Disk, name: string): Uint8Array {
  const file = disk.open(name)
  try {
    return file.read(0, file.size)
  } finally {
    file.close()
  }
}

function damaged({ name: file, remedy }: SealedFileKind): TroupeError {
  return new TroupeError('DATA_DAMAGED', `${file} is damaged. ${remedy ?? REMEDY}`, { details: { file, offset: 0 } })
}

function tooOld(file: string, found: number, oldest: number): TroupeError {
  return new TroupeError(
    'VERSION_SKEW',
    `${file} is of format ${found}, and this version reads from ${oldest} on. Nothing was changed. Start the version of Troupe that ` +
      'wrote it, or move the data directory away and begin anew.',
    { details: { file, format: found } },
  )
}

function tooNew(file: string, found: number, known: number): TroupeError {
  return new TroupeError(
    'VERSION_SKEW',
    `${file} is of format ${found}, and this version knows up to ${known}. Start the version of Troupe that wrote it, or a newer one.`,
    { details: { file, format: found } },
  )
}
