/** A snapshot file is a header, padded to whole sectors, and a body in blocks that carry a checksum each. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { TroupeError } from '../../base/error.ts'
import type { GroupId } from '../../base/identity.ts'
import type { LogIndex } from '../../protocol/core.ts'
import type { SnapshotHeader } from '../log-device.ts'
import { REMEDY } from '../remedy.ts'

const MAGIC = 0x53505254 // 'TRPS'
const FORMAT_VERSION = 1
const SECTOR = 512
/** Magic, checksum, format and length: what must be read to know how much more. */
export const PREFIX_BYTES = 16
/** Bytes of body in a block. */
export const BLOCK_BYTES: number = 64 * 1024
/** Bytes from one block to the next: its checksum comes first. */
export const BLOCK_STRIDE: number = BLOCK_BYTES + 4

type Checksum = (bytes: Uint8Array, seed?: number) => number

const NAME = /^snapshot-(\d+)-(\d+)$/
export const PARTIAL: string = '.partial'

export function snapshotName(group: GroupId, index: LogIndex): string {
  return `snapshot-${group}-${String(index).padStart(16, '0')}`
}

/** Undefined for the name of any other file. */
export function parseName(name: string): { readonly group: GroupId; readonly index: LogIndex } | undefined {
  const match = NAME.exec(name)
  if (match === null) return
  const [group, index] = [Number(match[1]) as GroupId, Number(match[2])]
  return snapshotName(group, index) === name ? { group, index } : undefined
}

/** The padded header; its size depends on the configuration alone. */
export function encodeHeader(
  group: GroupId,
  header: SnapshotHeader,
  bodyBytes: number,
  checksum: Checksum,
): Uint8Array {
  const writer = new ByteWriter(SECTOR)
  writer.u32(MAGIC)
  writer.u32(0)
  writer.u32(FORMAT_VERSION)
  writer.u32(0)
  writer.u32(group)
  writer.u53(header.position.index)
  writer.u53(header.position.term)
  writer.u32(header.chain)
  writer.u53(bodyBytes)
  writer.blob(header.configuration)
  const padded = new Uint8Array(Math.ceil(writer.length / SECTOR) * SECTOR)
  writer.patchU32(12, padded.length)
  padded.set(writer.take())
  new DataView(padded.buffer).setUint32(4, checksum(padded.subarray(8)), true)
  return padded
}

/** How long the whole header is, as its prefix says; undefined when this is no prefix. The prefix is the same in every format. */
export function headerBytes(prefix: Uint8Array): number | undefined {
  if (prefix.length < PREFIX_BYTES) return
  const reader = new ByteReader(prefix)
  if (reader.u32() !== MAGIC) return
  reader.raw(8)
  const length = reader.u32()
  return length < PREFIX_BYTES ? undefined : length
}

export interface DecodedHeader {
  readonly group: GroupId
  readonly header: SnapshotHeader
  readonly bodyBytes: number
}

/** Undefined when the checksum does not fit. Throws `VERSION_SKEW`. */
export function decodeHeader(name: string, bytes: Uint8Array, checksum: Checksum): DecodedHeader | undefined {
  const reader = new ByteReader(bytes)
  reader.u32()
  if (reader.u32() !== checksum(bytes.subarray(8))) return
  const format = reader.u32()
  if (format > FORMAT_VERSION) throw tooNew(name, format)
  reader.u32()
  const group = reader.u32() as GroupId
  const position = { index: reader.u53(), term: reader.u53() }
  const chain = reader.u32()
  const bodyBytes = reader.u53()
  return { group, header: { position, chain, configuration: reader.blob() }, bodyBytes }
}

/** Size of a whole file. */
export function fileBytes(headerSize: number, bodyBytes: number): number {
  return headerSize + bodyBytes + Math.ceil(bodyBytes / BLOCK_BYTES) * 4
}

function tooNew(file: string, format: number): TroupeError {
  return new TroupeError(
    'VERSION_SKEW',
    `${file} is of snapshot format ${format}, and this version knows up to ${FORMAT_VERSION}. ` +
      'Start the version of Troupe that wrote it, or a newer one.',
    { details: { file, format } },
  )
}

/** The log of a group begins after an entry up to which there is no snapshot. */
export function missingSnapshot(group: GroupId, start: LogIndex, end: LogIndex): TroupeError {
  const file = snapshotName(group, start)
  return new TroupeError(
    'DATA_DAMAGED',
    `${file}, or a newer snapshot of group ${group}, is missing: its log begins after entry ${start}, and its newest snapshot ends at ` +
      `${end}. ${REMEDY}`,
    { details: { file, offset: 0, group } },
  )
}

export function damagedSnapshot(file: string, offset: number): TroupeError {
  return new TroupeError('DATA_DAMAGED', `${file} is damaged at byte ${offset}. ${REMEDY}`, {
    details: { file, offset },
  })
}
