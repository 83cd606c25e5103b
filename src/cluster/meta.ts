/** The meta group's machine holds what the cluster has agreed about itself, as entries of an ordinary map. */

import { ByteWriter } from '../base/bytes.ts'
import { decodeGetReply, encodeGet, encodeSet, NO_SESSION } from '../machine/command.ts'
import { decodeShardMap, encodeShardMap, type ShardMap } from '../sharding/shard-map.ts'
import { OPERATION } from '../wire/request.ts'
import type { Group } from './group.ts'
import { Source } from './source.ts'

/** No user's map can have this name. */
const MAP = '~cluster'
const SHARD_MAP_KEY = 'shard-map'

/** The shard map as far as this replica has applied the meta group's log. */
export function appliedShardMap(meta: Group): ShardMap | undefined {
  const writer = new ByteWriter()
  encodeGet(writer, { map: MAP, key: SHARD_MAP_KEY })
  const { status, value } = decodeGetReply(meta.machine.query(writer.take()))
  return status === 'ok' ? decodeShardMap(value) : undefined
}

/** Proposes the first shard map; without effect where there is one. */
export function proposeFirstShardMap(meta: Group, shardMap: ShardMap): void {
  const writer = new ByteWriter()
  const envelope = { session: NO_SESSION, sequence: 1, acknowledged: 1 }
  encodeSet(writer, envelope, { map: MAP, key: SHARD_MAP_KEY, value: encodeShardMap(shardMap), ifRevision: 0 })
  const nobody = new Source(false, () => true, [])
  meta.command(nobody, { id: 0, operation: OPERATION.command, group: meta.id, bytes: writer.take() })
}
