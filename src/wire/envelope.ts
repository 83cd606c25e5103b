/** An envelope holds everything that one node says to another in a turn: the Raft messages of all groups they share. */

import { type ByteReader, type ByteWriter, malformed } from '../base/bytes.ts'
import type { GroupId } from '../base/identity.ts'
import type { LogPosition } from '../protocol/core.ts'
import type { Append, AppendReply, Entry, EntryKind, RaftMessage } from '../protocol/raft/message.ts'

const MESSAGE = {
  preVote: 1,
  preVoteReply: 2,
  vote: 3,
  voteReply: 4,
  append: 5,
  appendReply: 6,
  heartbeat: 7,
  heartbeatReply: 8,
  readIndex: 9,
  readIndexReply: 10,
  timeoutNow: 11,
} as const

const ENTRY_KINDS: readonly EntryKind[] = ['command', 'empty', 'configuration']
const ENTRIES_LIMIT = 65_536

export interface GroupMessage {
  readonly group: GroupId
  readonly message: RaftMessage
}

export function writeGroupMessage(writer: ByteWriter, group: GroupId, message: RaftMessage): void {
  writer.u32(group)
  switch (message.type) {
    case 'append':
      writeAppend(writer, message)
      break
    case 'append-reply':
      writeAppendReply(writer, message)
      break
    case 'heartbeat':
      writeNumbers(writer, MESSAGE.heartbeat, message.term, message.commit, message.round)
      break
    case 'heartbeat-reply':
      writeNumbers(writer, MESSAGE.heartbeatReply, message.term, message.commit, message.round)
      break
    case 'read-index':
      writeNumbers(writer, MESSAGE.readIndex, message.term, message.id)
      break
    case 'read-index-reply':
      writeNumbers(writer, MESSAGE.readIndexReply, message.term, message.id, message.index)
      break
    case 'timeout-now':
      writeNumbers(writer, MESSAGE.timeoutNow, message.term)
      break
    default:
      writeElection(writer, message)
      break
  }
}

export function readGroupMessage(reader: ByteReader): GroupMessage {
  const group = reader.u32() as GroupId
  const type = reader.u8()
  const term = reader.u53()
  return { group, message: readMessage(reader, type, term) }
}

function readMessage(reader: ByteReader, type: number, term: number): RaftMessage {
  switch (type) {
    case MESSAGE.append:
      return readAppend(reader, term)
    case MESSAGE.appendReply:
      return readAppendReply(reader, term)
    case MESSAGE.heartbeat:
      return { type: 'heartbeat', term, commit: reader.u53(), round: reader.u53() }
    case MESSAGE.heartbeatReply:
      return { type: 'heartbeat-reply', term, commit: reader.u53(), round: reader.u53() }
    case MESSAGE.readIndex:
      return { type: 'read-index', term, id: reader.u53() }
    case MESSAGE.readIndexReply:
      return { type: 'read-index-reply', term, id: reader.u53(), index: reader.u53() }
    case MESSAGE.timeoutNow:
      return { type: 'timeout-now', term }
    default:
      return readElection(reader, type, term)
  }
}

type Election = Extract<RaftMessage, { type: 'pre-vote' | 'pre-vote-reply' | 'vote' | 'vote-reply' }>

function writeElection(writer: ByteWriter, message: Election): void {
  switch (message.type) {
    case 'pre-vote':
      writeNumbers(writer, MESSAGE.preVote, message.term, message.last.index, message.last.term)
      break
    case 'vote':
      writeNumbers(writer, MESSAGE.vote, message.term, message.last.index, message.last.term)
      writer.u8(message.transfer ? 1 : 0)
      break
    case 'pre-vote-reply':
      writeNumbers(writer, MESSAGE.preVoteReply, message.term)
      writer.u8(message.granted ? 1 : 0)
      break
    case 'vote-reply':
      writeNumbers(writer, MESSAGE.voteReply, message.term)
      writer.u8(message.granted ? 1 : 0)
      break
  }
}

function readElection(reader: ByteReader, type: number, term: number): RaftMessage {
  switch (type) {
    case MESSAGE.preVote:
      return { type: 'pre-vote', term, last: readPosition(reader) }
    case MESSAGE.vote:
      return { type: 'vote', term, last: readPosition(reader), transfer: reader.u8() === 1 }
    case MESSAGE.preVoteReply:
      return { type: 'pre-vote-reply', term, granted: reader.u8() === 1 }
    case MESSAGE.voteReply:
      return { type: 'vote-reply', term, granted: reader.u8() === 1 }
    default:
      throw malformed('a message has an unknown type')
  }
}

function writeNumbers(writer: ByteWriter, type: number, ...numbers: readonly number[]): void {
  writer.u8(type)
  for (const number of numbers) writer.u53(number)
}

function writeAppend(writer: ByteWriter, message: Append): void {
  writeNumbers(writer, MESSAGE.append, message.term, message.previous.index, message.previous.term, message.commit)
  writer.u32(message.entries.length)
  for (const entry of message.entries) {
    writer.u8(ENTRY_KINDS.indexOf(entry.kind))
    writer.u53(entry.term)
    writer.blob(entry.payload)
  }
}

function readAppend(reader: ByteReader, term: number): Append {
  const previous = readPosition(reader)
  const commit = reader.u53()
  const count = reader.u32()
  if (count > ENTRIES_LIMIT || count > reader.remaining) throw malformed('an append has more entries than bytes')
  const entries: Entry[] = []
  for (let at = 1; at <= count; at++) {
    const kind = ENTRY_KINDS[reader.u8()]
    if (kind === undefined) throw malformed('an entry has an unknown kind')
    entries.push({ index: previous.index + at, kind, term: reader.u53(), payload: reader.blob() })
  }
  return { type: 'append', term, previous, entries, commit }
}

function writeAppendReply(writer: ByteWriter, message: AppendReply): void {
  writeNumbers(
    writer,
    MESSAGE.appendReply,
    message.term,
    message.match,
    message.matchTerm,
    message.refused,
    message.commit,
  )
  writer.u8(message.accepted ? 1 : 0)
}

function readAppendReply(reader: ByteReader, term: number): AppendReply {
  const match = reader.u53()
  const matchTerm = reader.u53()
  const refused = reader.u53()
  const commit = reader.u53()
  return { type: 'append-reply', term, match, matchTerm, refused, commit, accepted: reader.u8() === 1 }
}

function readPosition(reader: ByteReader): LogPosition {
  return { index: reader.u53(), term: reader.u53() }
}
