/** An introduction is the first word of a node to each peer: who it is, and which cluster it has agreed to be part of. */

import type { ByteReader, ByteWriter } from '../base/bytes.ts'
import { malformed } from '../base/bytes.ts'
import { FIRST_LEVEL, type Level } from '../machine/level.ts'

export interface Member {
  readonly node: string
  /** A random name of the data directory: a node that comes back without its directory is not who it was. */
  readonly directory: string
  readonly address: string
}

export interface Introduction {
  readonly self: Member
  /** The members this node has durably agreed to found a cluster with, sorted by node; empty for none yet. */
  readonly founders: readonly Member[]
  /** All founders have agreed: the cluster exists. */
  readonly founded: boolean
  /** How many nodes this one expects. */
  readonly expected: number
  readonly shards: number
  readonly levels: Levels
}

export interface Levels {
  /** What this node's version executes. */
  readonly own: Level
  /** What all members can execute, as far as this node has heard. */
  readonly agreed: Level
}

const MEMBERS_LIMIT = 64
const FIRST_LEVELS: Levels = { own: FIRST_LEVEL, agreed: FIRST_LEVEL }

export function writeIntroduction(writer: ByteWriter, introduction: Introduction): void {
  writeMember(writer, introduction.self)
  writer.u32(introduction.founders.length)
  for (const member of introduction.founders) writeMember(writer, member)
  writer.u8(introduction.founded ? 1 : 0)
  writer.u32(introduction.expected)
  writer.u32(introduction.shards)
  writer.u8(introduction.levels.own)
  writer.u8(introduction.levels.agreed)
}

export function readIntroduction(reader: ByteReader): Introduction {
  const self = readMember(reader)
  const count = reader.u32()
  if (count > MEMBERS_LIMIT) throw malformed('too many founders')
  const founders: Member[] = []
  for (let at = 0; at < count; at++) founders.push(readMember(reader))
  const rest = { founded: reader.u8() === 1, expected: reader.u32(), shards: reader.u32() }
  // Versions before there were levels do not speak of them.
  const levels = reader.remaining === 0 ? FIRST_LEVELS : { own: reader.u8(), agreed: reader.u8() }
  return { self, founders, ...rest, levels }
}

function writeMember(writer: ByteWriter, member: Member): void {
  writer.text(member.node)
  writer.text(member.directory)
  writer.text(member.address)
}

function readMember(reader: ByteReader): Member {
  return { node: reader.text(64), directory: reader.text(64), address: reader.text(256) }
}
