/** A table of topics or schedules on its own, with neighbours that note what is asked of them. */

import { ByteReader, ByteWriter } from '../../../../src/base/bytes.ts'
import { type CommandReply, decodeCommandReply } from '../../../../src/machine/command.ts'
import type { Announcement, Enqueued, Neighbours, Table } from '../../../../src/machine/table.ts'
import {
  decodePartitionOffsets,
  decodeRecords,
  encodeFetch,
  encodeOffsets,
  encodePublish,
  encodeTopicConfigure,
  type PartitionOffsets,
  TOPIC_COMMAND,
  TOPIC_QUERY,
  type TopicRecord,
  type TopicSettings,
} from '../../../../src/machine/topic/command.ts'
import { bytes } from '../operations.ts'

export interface Neighbourhood extends Neighbours {
  readonly leases: Set<number>
  readonly announced: Announcement[]
  readonly sent: (Enqueued & { readonly time: number })[]
}

export function neighbourhood(): Neighbourhood {
  let revision = 0
  const leases = new Set<number>()
  const announced: Announcement[] = []
  const sent: (Enqueued & { readonly time: number })[] = []
  return {
    leases,
    announced,
    sent,
    revise: (time) => {
      revision = Math.max(revision + 1, time)
      return revision
    },
    announce: (announcement) => announced.push(announcement),
    enqueue: (message, time) => sent.push({ ...message, time }),
    deleteKey: () => {},
    leaseEnded: () => {},
    hasLease: (lease) => leases.has(lease),
  }
}

/** Gives a command to a table as a shard would: late enough batches advance it first. */
export function give(table: Table, time: number, kind: number, encode: (writer: ByteWriter) => void): CommandReply {
  return giveAt(1, table, time, { kind, encode })
}

/** As one of an entry of this level. */
export function giveAt(
  level: number,
  table: Table,
  time: number,
  { kind, encode }: { readonly kind: number; readonly encode: (writer: ByteWriter) => void },
): CommandReply {
  if (table.dueAt <= time) table.advance(time)
  const body = bytes(encode)
  const outcome = { status: 0, revision: 0 }
  table.run({ kind, reader: new ByteReader(body), end: body.length, time, outcome, level })
  return decodeCommandReply(
    bytes((writer) => {
      writer.u8(outcome.status)
      writer.u53(outcome.revision)
    }),
  )
}

/** What follows the status of an answer; undefined when there is none. */
export function ask(table: Table, kind: number, encode: (writer: ByteWriter) => void): ByteReader | undefined {
  const reply = new ByteWriter()
  if (!table.query(kind, new ByteReader(bytes(encode)), reply)) return undefined
  const reader = new ByteReader(reply.take())
  return reader.u8() === 1 ? reader : undefined
}

export const sectionsOf = (table: Table): Uint8Array[] => [...table.freeze().sections()]

export function restored<Restored extends Table>(sections: Iterable<Uint8Array>, table: Restored): Restored {
  for (const section of sections) table.load(new ByteReader(section))
  return table
}

const KEEP_ALL: TopicSettings = {
  partitions: 1,
  keepMs: Number.POSITIVE_INFINITY,
  keepBytes: Number.POSITIVE_INFINITY,
  keepCount: Number.POSITIVE_INFINITY,
  compact: false,
}

export const configure = (table: Table, settings: Partial<TopicSettings>, topic = 't') =>
  give(table, 0, TOPIC_COMMAND.topicConfigure, (writer) =>
    encodeTopicConfigure(writer, topic, { ...KEEP_ALL, ...settings }),
  )

export const publish = (table: Table, time: number, payload: Uint8Array, key = '') =>
  give(table, time, TOPIC_COMMAND.publish, (writer) =>
    encodePublish(writer, { topic: 't', partition: 0, key, headers: new Uint8Array(0), payload }),
  )

/** All records from an offset on, in as many fetches as that takes. */
export function readAll(table: Table, offset = 0, limitBytes = 1000): TopicRecord[] {
  const records: TopicRecord[] = []
  for (let from = offset; ; ) {
    const reply = ask(table, TOPIC_QUERY.fetch, (writer) =>
      encodeFetch(writer, { topic: 't', partition: 0, offset: from, limitBytes }),
    )
    if (reply === undefined) return records
    from = reply.u53()
    const count = reply.u32()
    const page = decodeRecords(reply.raw(reply.remaining))
    if (page.length !== count) throw new Error(`${count} records were announced, ${page.length} came`)
    if (count === 0) return records
    records.push(...page)
  }
}

export function offsetsOf(table: Table, time = 0): PartitionOffsets {
  const reply = ask(table, TOPIC_QUERY.offsets, (writer) => encodeOffsets(writer, 't', 0, time))
  if (reply === undefined) throw new Error('no offsets')
  return decodePartitionOffsets(reply)
}
