/** Commands, batches and queries for the tests of the machine, all of them on one map. */

import { ByteWriter } from '../../../src/base/bytes.ts'
import type { SessionId } from '../../../src/base/identity.ts'
import { BatchWriter } from '../../../src/machine/batch.ts'
import {
  type CommandReply,
  decodeCommandReply,
  decodeGetReply,
  decodePage,
  decodeResolveReply,
  encodeDelete,
  encodeGet,
  encodeResolve,
  encodeScan,
  encodeSet,
  NO_SESSION,
  type Page,
  type Resolution,
  type ScanQuery,
} from '../../../src/machine/command.ts'
import type { Shard } from '../../../src/machine/shard.ts'
import type { Neighbours } from '../../../src/machine/table.ts'

export const anyone = { session: NO_SESSION, sequence: 1, acknowledged: 1 }
export const from = (session: number, sequence: number, acknowledged = 1) => ({
  session: session as SessionId,
  sequence,
  acknowledged,
})

export function bytes(encode: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  encode(writer)
  return writer.copy()
}

export const setting = (key: string, value: number, envelope = anyone, ifRevision?: number) =>
  bytes((writer) => encodeSet(writer, envelope, { map: 'm', key, value: Uint8Array.of(value), ifRevision }))
export const deleting = (key: string, envelope = anyone, ifRevision?: number) =>
  bytes((writer) => encodeDelete(writer, envelope, { map: 'm', key, ifRevision }))
export const resolving = (session: number, sequence: number) =>
  bytes((writer) => encodeResolve(writer, anyone, { session: session as SessionId, sequence }))

export function batchOf(time: number, commands: readonly Uint8Array[]): Uint8Array {
  const batch = new BatchWriter()
  for (const command of commands) batch.add(command)
  return batch.finish(time)
}

export function apply(shard: Shard, time: number, ...commands: Uint8Array[]): CommandReply[] {
  const replies: CommandReply[] = []
  shard.apply(batchOf(time, commands), (position, reply) => {
    replies[position] = decodeCommandReply(reply)
  })
  return replies
}

export function resolve(shard: Shard, time: number, session: number, sequence: number): Resolution | undefined {
  let resolution: Resolution | undefined
  shard.apply(batchOf(time, [resolving(session, sequence)]), (_, reply) => {
    resolution = decodeResolveReply(reply)
  })
  return resolution
}

export const get = (shard: Shard, key: string) =>
  decodeGetReply(shard.query(bytes((writer) => encodeGet(writer, { map: 'm', key }))))

export function scan(shard: Shard, query: Partial<ScanQuery> = {}): Page {
  const whole = { map: 'm', from: '', until: '', reverse: false, limit: 1000, byteLimit: 1_000_000 }
  return decodePage(shard.query(bytes((writer) => encodeScan(writer, { ...whole, ...query }))))
}

export const contents = (shard: Shard) => scan(shard).entries.map(({ key, value }) => [key, value[0]])

/** What a table asks of its shard, when nothing else is in it. */
export function neighbours(): Neighbours {
  let revision = 0
  return {
    revise: () => ++revision,
    announce: () => undefined,
    enqueue: () => 0,
    deleteKey: () => undefined,
    leaseEnded: () => undefined,
    hasLease: () => false,
  }
}
