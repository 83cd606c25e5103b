/** The meta group's machine holds what the cluster has agreed about itself, as entries of an ordinary map. */

import { ByteWriter } from '../base/bytes.ts'
import { decodeGetReply, encodeGet, encodeSet, NO_SESSION } from '../machine/command.ts'
import { FIRST_LEVEL, type Level } from '../machine/level.ts'
import { decodeShardMap, encodeShardMap, type ShardMap } from '../sharding/shard-map.ts'
import { OPERATION } from '../wire/request.ts'
import type { Group } from './group.ts'
import { Source } from './source.ts'

/** No user's map can have this name. */
const MAP = '~cluster'
const SHARD_MAP_KEY = 'shard-map'
const LEVEL_KEY = 'level'

/** The shard map as far as this replica has applied the meta group's log. */
export function appliedShardMap(meta: Group): ShardMap | undefined {
  const { value } = get(meta, SHARD_MAP_KEY)
  return value === undefined ? undefined : decodeShardMap(value)
}

/** Proposes the first shard map; without effect where there is one. */
export function proposeFirstShardMap(meta: Group, shardMap: ShardMap): void {
  propose(meta, SHARD_MAP_KEY, { value: encodeShardMap(shardMap), ifRevision: 0 })
}

/** The level that members have agreed on, as far as this replica has applied the meta group's log. */
export function appliedLevel(meta: Group): Level {
  return get(meta, LEVEL_KEY).value?.[0] ?? FIRST_LEVEL
}

/** Proposes a level; without effect where it is not above the one that is agreed on. */
export function proposeLevel(meta: Group, level: Level): void {
  const { revision, value } = get(meta, LEVEL_KEY)
  if (level > (value?.[0] ?? FIRST_LEVEL))
    propose(meta, LEVEL_KEY, { value: Uint8Array.of(level), ifRevision: revision })
}

interface Present {
  /** 0 for what is absent. */
  readonly revision: number
  readonly value: Uint8Array | undefined
}

function get(meta: Group, key: string): Present {
  const writer = new ByteWriter()
  encodeGet(writer, { map: MAP, key })
  const { status, revision, value } = decodeGetReply(meta.machine.query(writer.take()))
  return status === 'ok' ? { revision, value } : { revision: 0, value: undefined }
}

/** Takes effect unless somebody else has changed the key first. */
function propose(meta: Group, key: string, change: { readonly value: Uint8Array; readonly ifRevision: number }): void {
  const writer = new ByteWriter()
  encodeSet(writer, { session: NO_SESSION, sequence: 1, acknowledged: 1 }, { map: MAP, key, ...change })
  const nobody = new Source(false, () => true, [])
  meta.command(nobody, { id: 0, operation: OPERATION.command, group: meta.id, bytes: writer.take() })
}
