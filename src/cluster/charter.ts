/** The charter is what a node must remember of its cluster to start again by itself: the founders, and who owned what when last heard. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { TroupeError } from '../base/error.ts'
import { FIRST_LEVEL, type Level } from '../machine/level.ts'
import { decodeShardMap, encodeShardMap, type ShardMap } from '../sharding/shard-map.ts'
import type { Member } from '../wire/introduction.ts'
import type { Membership } from './founding.ts'

export interface Charter {
  readonly membership: Membership
  /** The newest that the meta group is known to have decided; undefined before the first. */
  readonly shardMap: ShardMap | undefined
  /** The highest level that the meta group is known to have agreed on. */
  readonly level: Level
}

/** Keeps the charter on disk; `replace` is atomic. */
export interface CharterStore {
  read(): Uint8Array | undefined
  replace(bytes: Uint8Array, done: (error: Error | undefined) => void): void
}

/** A node that knows of no other can't be told what it has forgotten, and must not take itself for the whole cluster. */
export function charterMissing(): TroupeError {
  return new TroupeError(
    'DATA_DAMAGED',
    'the data directory has lost its file `charter`, which names the members of the cluster. Put it back from a copy; or name the ' +
      'other members in `join`, and they tell.',
    { details: { file: 'charter', offset: 0 } },
  )
}

export const NO_CHARTER: Charter = {
  membership: { founders: [], founded: false },
  shardMap: undefined,
  level: FIRST_LEVEL,
}

export function encodeCharter({ membership, shardMap, level }: Charter): Uint8Array {
  const writer = new ByteWriter()
  writer.u8(membership.founded ? 1 : 0)
  writer.u32(membership.founders.length)
  for (const { node, directory, address } of membership.founders) {
    writer.text(node)
    writer.text(directory)
    writer.text(address)
  }
  writer.blob(shardMap === undefined ? new Uint8Array(0) : encodeShardMap(shardMap))
  writer.u8(level)
  return writer.take()
}

export function decodeCharter(bytes: Uint8Array): Charter {
  const reader = new ByteReader(bytes)
  const founded = reader.u8() === 1
  const founders: Member[] = []
  for (let left = reader.u32(); left > 0; left--) {
    founders.push({ node: reader.text(), directory: reader.text(), address: reader.text() })
  }
  const encoded = reader.blob()
  const shardMap = encoded.length === 0 ? undefined : decodeShardMap(encoded)
  return { membership: { founders, founded }, shardMap, level: reader.remaining === 0 ? FIRST_LEVEL : reader.u8() }
}
