/** A snapshot travels in chunks; each is confirmed with how much has arrived, so that a broken transfer goes on where it stopped. */

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { GroupId } from '../base/identity.ts'
import type { LogPosition, Term } from '../protocol/core.ts'

export interface SnapshotChunk {
  readonly group: GroupId
  /** Of the leader that sends it. */
  readonly term: Term
  readonly position: LogPosition
  readonly chain: number
  readonly configuration: Uint8Array
  /** Length of the whole body in bytes. */
  readonly total: number
  /** A hash of what the body says beside the group's state at the position: with another one the body is another. */
  readonly content: number
  readonly offset: number
  readonly bytes: Uint8Array
}

export interface SnapshotReply {
  readonly group: GroupId
  readonly term: Term
  readonly position: LogPosition
  /** Bytes of the body that have arrived; `total` and durable once everything has. */
  readonly received: number
}

export function writeSnapshotChunk(writer: ByteWriter, chunk: SnapshotChunk): void {
  writer.u32(chunk.group)
  writer.u53(chunk.term)
  writer.u53(chunk.position.index)
  writer.u53(chunk.position.term)
  writer.u32(chunk.chain)
  writer.blob(chunk.configuration)
  writer.u53(chunk.total)
  writer.u32(chunk.content)
  writer.u53(chunk.offset)
  writer.blob(chunk.bytes)
}

export function readSnapshotChunk(reader: ByteReader): SnapshotChunk {
  return {
    group: reader.u32() as GroupId,
    term: reader.u53(),
    position: { index: reader.u53(), term: reader.u53() },
    chain: reader.u32(),
    configuration: reader.blob(),
    total: reader.u53(),
    content: reader.u32(),
    offset: reader.u53(),
    bytes: reader.blob(),
  }
}

export function writeSnapshotReply(writer: ByteWriter, reply: SnapshotReply): void {
  writer.u32(reply.group)
  writer.u53(reply.term)
  writer.u53(reply.position.index)
  writer.u53(reply.position.term)
  writer.u53(reply.received)
}

export function readSnapshotReply(reader: ByteReader): SnapshotReply {
  return {
    group: reader.u32() as GroupId,
    term: reader.u53(),
    position: { index: reader.u53(), term: reader.u53() },
    received: reader.u53(),
  }
}
