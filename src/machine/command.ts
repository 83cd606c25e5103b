/** A command asks a machine for a change and a query for an answer; driver and machine agree here on their bytes. */

import { ByteReader, type ByteWriter, malformed } from '../base/bytes.ts'
import type { SessionId } from '../base/identity.ts'

/**
 * What a command does. Command: `[kind u8, session u53, sequence u53, acknowledged u53, body]`. A kind never changes
 * its body: a new body is a new kind, and a machine that does not know it answers `'unsupported'`. Ranges by type of
 * table: 1–31 the machine itself · 32–63 map · 64–95 queue · 96–127 topic · 128–159 lease · 160–191 registry · 192–223
 * entity · 224–255 schedule. Kinds of the tables are in their own files (`queue-command.ts` and so on).
 *
 * - `transaction` several parts, all or none: see `transaction.ts`.
 * - `refuse` in the place of a command that the leader refused: `fenced`, unless the command has run before.
 * - `emit`, `relay`, `relayed` carry commands to other shards: see `outbox.ts`.
 */
export const COMMAND = {
  resolve: 1,
  transaction: 2,
  refuse: 3,
  emit: 4,
  relay: 5,
  relayed: 6,
  set: 32,
  delete: 33,
} as const

/** What a query asks; the ranges are those of {@link COMMAND}. Query: `[kind u8, body]`. */
export const QUERY = { get: 32, scan: 33 } as const

/**
 * How a command or query ended; the first byte of its reply.
 * - `ok` done.
 * - `absent` there is no such key; a delete had nothing to do.
 * - `conflict` the condition does not hold; the reply carries the key's present revision, 0 when it is absent.
 * - `malformed` the bytes are no command.
 * - `expired` what became of the command is no longer known, and it was not run now: it may have been run before.
 * - `cancelled` a `resolve` has settled that this command never happens.
 * - `unsupported` this version does not know the kind.
 * - `overloaded` a limit of the sessions is reached; nothing was done, and the same command may be sent again.
 * - `fenced` a newer token has been seen, or the lease or generation that the command relies on is over; the reply
 *   carries the newer token, or 0.
 * - `full` a limit that somebody set is reached; nothing was done.
 * - `duplicate` it has been done before under the same deduplication id; the reply carries what it was then.
 * - `waiting` it stands in line; the reply carries its place's revision.
 * - `unruled` done, in a queue or topic whose rules nobody has said since it was deleted, or ever: say them.
 */
export const STATUS = {
  ok: 1,
  absent: 2,
  conflict: 3,
  malformed: 4,
  expired: 5,
  cancelled: 6,
  unsupported: 7,
  overloaded: 8,
  fenced: 9,
  full: 10,
  duplicate: 11,
  waiting: 12,
  unruled: 13,
} as const

/** Whether a command with this status has come to its end: its reply is kept, and sending it again changes nothing. */
export function isSettled(status: number): boolean {
  return (status >= STATUS.ok && status <= STATUS.conflict) || (status >= STATUS.fenced && status <= STATUS.unruled)
}

/** Whether a command with this status took effect, now or before. */
export function isCommitted(status: number): boolean {
  return status === STATUS.ok || status === STATUS.absent || (status >= STATUS.duplicate && status <= STATUS.unruled)
}

export type Status = keyof typeof STATUS

const STATUS_NAMES: readonly Status[] = Object.keys(STATUS) as Status[]

/** Commands of this session are not deduplicated: for the engine's own, and for those that may happen twice. */
export const NO_SESSION: SessionId = 0 as SessionId

/**
 * Who sends a command, so that it happens once however often it is sent. Sequences are counted for each session in each
 * shard, from 1 and without gaps.
 */
export interface Envelope {
  readonly session: SessionId
  readonly sequence: number
  /** Every sequence below has been answered, so its reply may be forgotten; 1 while none has. At most `sequence`. */
  readonly acknowledged: number
}

export interface SetCommand {
  readonly map: string
  readonly key: string
  readonly value: Uint8Array
  /** Only when the key's present revision is this one; 0: only when it is absent; undefined: always. */
  readonly ifRevision?: number | undefined
}

export interface DeleteCommand {
  readonly map: string
  readonly key: string
  readonly ifRevision?: number | undefined
}

/** Settles what became of another command, which never happens afterwards unless it has already. */
export interface ResolveCommand {
  readonly session: SessionId
  readonly sequence: number
}

export interface GetQuery {
  readonly map: string
  readonly key: string
}

/** Entries with keys in [from, until), in the order of their UTF-8 bytes; an `until` of `''` means to the end. */
export interface ScanQuery {
  readonly map: string
  readonly from: string
  readonly until: string
  /** From the last key to the first. */
  readonly reverse: boolean
  /** Most entries of the page; the machine may give fewer, but at least one when there is one. */
  readonly limit: number
  /** Most bytes of keys and values of the page, exceeded only by a single entry. */
  readonly byteLimit: number
}

export function encodeSet(writer: ByteWriter, envelope: Envelope, command: SetCommand): void {
  encodeHead(writer, COMMAND.set, envelope)
  encodeCondition(writer, command.ifRevision)
  writer.text(command.map)
  writer.text(command.key)
  writer.blob(command.value)
}

export function encodeDelete(writer: ByteWriter, envelope: Envelope, command: DeleteCommand): void {
  encodeHead(writer, COMMAND.delete, envelope)
  encodeCondition(writer, command.ifRevision)
  writer.text(command.map)
  writer.text(command.key)
}

export function encodeResolve(writer: ByteWriter, envelope: Envelope, command: ResolveCommand): void {
  encodeHead(writer, COMMAND.resolve, envelope)
  writer.u53(command.session)
  writer.u53(command.sequence)
}

export function encodeGet(writer: ByteWriter, query: GetQuery): void {
  writer.u8(QUERY.get)
  writer.text(query.map)
  writer.text(query.key)
}

export function encodeScan(writer: ByteWriter, query: ScanQuery): void {
  writer.u8(QUERY.scan)
  writer.text(query.map)
  writer.text(query.from)
  writer.text(query.until)
  writer.u8(query.reverse ? 1 : 0)
  writer.u32(query.limit)
  writer.u32(query.byteLimit)
}

/** What comes before a command's body. */
export function encodeHead(writer: ByteWriter, kind: number, envelope: Envelope): void {
  writer.u8(kind)
  writer.u53(envelope.session)
  writer.u53(envelope.sequence)
  writer.u53(envelope.acknowledged)
}

function encodeCondition(writer: ByteWriter, ifRevision: number | undefined): void {
  writer.u8(ifRevision === undefined ? 0 : 1)
  writer.u53(ifRevision ?? 0)
}

/** The reply to a command: `[status u8, number u53]`. */
export interface CommandReply {
  readonly status: Status
  /** Of the change for `ok`, of the shard for `absent`, the key's present one for `conflict`, else 0. */
  readonly revision: number
}

export function decodeCommandReply(reply: Uint8Array): CommandReply {
  const reader = new ByteReader(reply)
  const status = decodeStatus(reader)
  return { status, revision: reader.u53() }
}

/** What `resolve` has settled. `'unknown'`: the session, or the reply, has been forgotten. */
export type Resolution = 'committed' | 'not-committed' | 'unknown'

export const RESOLUTIONS: readonly Resolution[] = ['unknown', 'committed', 'not-committed']

/** The reply to a `resolve` that is not `ok` settles nothing: `undefined`. */
export function decodeResolveReply(reply: Uint8Array): Resolution | undefined {
  const { status, revision } = decodeCommandReply(reply)
  return status === 'ok' ? RESOLUTIONS[revision] : undefined
}

/** The reply to a `get`: `[status u8, revision u53, value]`. */
export interface GetReply {
  readonly status: Status
  /** Of the value for `ok`, of the shard for `absent`, else 0. */
  readonly revision: number
  /** A view into the reply; empty unless `ok`. */
  readonly value: Uint8Array
}

export function decodeGetReply(reply: Uint8Array): GetReply {
  const reader = new ByteReader(reply)
  const status = decodeStatus(reader)
  return { status, revision: reader.u53(), value: reader.raw(reader.remaining) }
}

export interface PageEntry {
  readonly key: string
  /** A view into the reply. */
  readonly value: Uint8Array
  readonly revision: number
}

/** The reply to a `scan`: `[status u8, revision u53, more u8, next text, count u32, entries]`, entry `[key, revision, value]`. */
export interface Page {
  readonly status: Status
  /** Of the shard when the page was read. */
  readonly revision: number
  readonly entries: readonly PageEntry[]
  /** Where the following page begins: its `from`, or its `until` in reverse; undefined at the end of the range. */
  readonly next: string | undefined
}

export function decodePage(reply: Uint8Array): Page {
  const reader = new ByteReader(reply)
  const status = decodeStatus(reader)
  const revision = reader.u53()
  if (status !== 'ok') return { status, revision, entries: [], next: undefined }
  const more = reader.u8() === 1
  const next = reader.text()
  const entries: PageEntry[] = []
  for (let left = reader.u32(); left > 0; left--) {
    entries.push({ key: reader.text(), revision: reader.u53(), value: reader.blob() })
  }
  return { status, revision, entries, next: more ? next : undefined }
}

function decodeStatus(reader: ByteReader): Status {
  const status = STATUS_NAMES[reader.u8() - 1]
  if (status === undefined) throw malformed('no such status')
  return status
}

/** The fields before a command's body; the machine fills one object again and again. */
export interface CommandHead {
  kind: number
  session: number
  sequence: number
  acknowledged: number
}

/** What a command came to; the machine fills one object again and again. */
export interface Outcome {
  /** One of {@link STATUS}. */
  status: number
  /** See {@link CommandReply.revision}. */
  revision: number
}

/** `[kind u8, session u53, sequence u53, acknowledged u53]`, with which every command begins. */
export const COMMAND_HEAD_BYTES = 25

/** `[status u8, revision u53]`, with which every answer begins; the revision may be any other number. */
export const ANSWER_HEAD_BYTES = 9

export function readHead(reader: ByteReader, head: CommandHead): void {
  head.kind = reader.u8()
  head.session = reader.u53()
  head.sequence = reader.u53()
  head.acknowledged = reader.u53()
}

export function expectEnd(reader: ByteReader, end: number): void {
  if (reader.at !== end) throw malformed('a command is longer than its content')
}

export function expectQueryEnd(reader: ByteReader): void {
  if (reader.remaining > 0) throw malformed('a query is longer than its content')
}

/** The revision that a write demands; -1 for none. */
export function readCondition(reader: ByteReader): number {
  const demanded = reader.u8()
  if (demanded > 1) throw malformed('no such condition')
  const revision = reader.u53()
  return demanded === 0 ? -1 : revision
}
