/** The groups of a node: a replica of the meta group, and of each group that the shard map gives this node a part in. */

import { assert, required } from '../base/assert.ts'
import { type GroupId, META_GROUP, type NodeId } from '../base/identity.ts'
import type { Random } from '../base/random.ts'
import type { Host } from '../host/host.ts'
import type { RecoveredGroup, SnapshotHeader, SnapshotStore } from '../host/log-device.ts'
import type { PieceStores } from '../host/piece-files.ts'
import { type HashSecret, KeyHash } from '../machine/key-value/key-hash.ts'
import { expectLevel, type Level } from '../machine/level.ts'
import { SHARD_LIMITS, Shard } from '../machine/shard.ts'
import type { LogPosition } from '../protocol/core.ts'
import type { RaftLimits, RaftTiming } from '../protocol/raft/config.ts'
import type { RaftEvent, RaftMessage, RaftOutput, RaftRequest, RaftWrite } from '../protocol/raft/message.ts'
import { Raft } from '../protocol/raft/raft.ts'
import type { Placed } from '../sharding/placement.ts'
import { createShardMap, type ShardMap } from '../sharding/shard-map.ts'
import type { Carriage } from './duty/outbox-carrier.ts'
import { Group, type GroupPorts } from './group.ts'
import { appliedLevel, appliedShardMap, proposeFirstShardMap, proposeLevel } from './meta.ts'
import type { ReplyTarget } from './source.ts'

type RaftHost = Host<RaftMessage, RaftRequest, RaftOutput, RaftWrite, RaftEvent>

interface Resources extends Pick<GroupPorts, 'clock' | 'scheduler' | 'liveness' | 'log'> {
  readonly random: Random
  readonly snapshots: SnapshotStore
  readonly pieces: PieceStores
}

interface Handlers
  extends Pick<
    GroupPorts,
    'send' | 'sendSnapshot' | 'leadershipChanged' | 'ask' | 'mended' | 'applied' | 'observe' | 'fatal'
  > {
  /** Sends a command to the leader of a group, wherever it is. */
  carry(group: GroupId, command: Uint8Array, target: ReplyTarget, id: number): void
  /** The meta group has decided anew who owns what, or what all members can execute. */
  decided(shardMap: ShardMap | undefined, level: Level): void
  /** What all members can execute, as far as they have introduced themselves. */
  commonLevel(): Level
}

interface GroupSettings {
  readonly node: NodeId
  readonly shards: number
  readonly level: Level
  readonly hashSecret: HashSecret
  readonly timing: RaftTiming
  readonly limits: RaftLimits
}

const BEGINNING: LogPosition = { index: 0, term: 0 }
const NO_SNAPSHOT: SnapshotHeader = { position: BEGINNING, chain: 0, configuration: new Uint8Array(0) }
const EMPTY: RecoveredGroup = { term: 0, vote: undefined, start: BEGINNING, log: [] }

export class Groups {
  readonly #host: RaftHost
  readonly #resources: Resources
  readonly #settings: GroupSettings
  readonly #handlers: Handlers
  readonly #hash: KeyHash
  readonly #all = new Map<GroupId, Group>()
  readonly #placed = new Map<GroupId, Placed>()
  #members: readonly NodeId[] = []
  #shardMap: ShardMap | undefined
  #level: Level

  /** @param agreed the level that was agreed on when last heard */
  constructor(
    host: RaftHost,
    resources: Resources,
    settings: GroupSettings & { readonly agreed: Level },
    handlers: Handlers,
  ) {
    this.#host = host
    this.#resources = resources
    this.#settings = settings
    this.#level = settings.agreed
    this.#handlers = handlers
    this.#hash = new KeyHash(settings.hashSecret)
  }

  get all(): ReadonlyMap<GroupId, Group> {
    return this.#all
  }

  get(id: GroupId): Group | undefined {
    return this.#all.get(id)
  }

  get members(): readonly NodeId[] {
    return this.#members
  }

  get shardMap(): ShardMap | undefined {
    return this.#shardMap
  }

  /** What all members have agreed that entries may ask of a machine. */
  get level(): Level {
    return this.#level
  }

  /** Where a group's replicas are and which should lead; undefined for a group that nobody has heard of. */
  placed(id: GroupId): Placed | undefined {
    return this.#placed.get(id)
  }

  /** The cluster exists: takes part in the meta group, and in whatever is known to be owned already. */
  found(members: readonly NodeId[], shardMap: ShardMap | undefined): void {
    this.#members = members
    const leader = required(members[0], 'a founder')
    this.#add({ group: META_GROUP, replicas: members, leader })
    if (shardMap !== undefined) this.#own(shardMap)
  }

  /** Looks at what the meta group has decided; its leader makes the first decision. */
  reviewMeta(): void {
    const meta = this.#all.get(META_GROUP)
    if (meta === undefined) return
    const level = appliedLevel(meta)
    const shardMap = appliedShardMap(meta)
    const isRaised = level > this.#level
    if (isRaised) expectLevel('the members have agreed on entries', level, this.#settings.level)
    this.#level = Math.max(level, this.#level)
    this.reviewLevel()
    if (shardMap === undefined && meta.isLeader) {
      proposeFirstShardMap(meta, createShardMap(this.#settings.shards, this.#members))
    }
    const isNewer = shardMap !== undefined && shardMap.epoch > (this.#shardMap?.epoch ?? 0)
    if (isNewer) this.#own(shardMap)
    if (isNewer || isRaised) this.#handlers.decided(this.#shardMap, level)
  }

  /** The leader of the meta group raises the level to what all members can execute. */
  reviewLevel(): void {
    const meta = this.#all.get(META_GROUP)
    if (meta === undefined || !meta.isLeader) return
    const common = this.#handlers.commonLevel()
    if (common > this.#level) proposeLevel(meta, common)
  }

  #own(shardMap: ShardMap): void {
    this.#shardMap = shardMap
    for (const placed of shardMap.groups) this.#add(placed)
  }

  #add(placed: Placed): void {
    const { group: id, replicas } = placed
    this.#placed.set(id, placed)
    if (!replicas.includes(this.#settings.node) || this.#all.has(id)) return
    const ports: GroupPorts = {
      ...this.#resources,
      ...this.#handlers,
      self: this.#settings.node,
      carriage: this.#carriageOf(id),
      level: () => this.#level,
      snapshot: (group) => this.#resources.snapshots.newest(group),
    }
    const machine = new Shard(
      { ...SHARD_LIMITS, level: this.#settings.level },
      this.#hash,
      this.#resources.pieces.of(id),
    )
    const group = new Group(id, { core: this.#newCore(id, replicas), machine }, ports)
    this.#all.set(id, group)
    group.onTouch(this.#host.add(group))
  }

  #carriageOf(id: GroupId): Carriage {
    const shards = (): readonly GroupId[] => this.#shardMap?.shards ?? []
    return {
      get shard(): number | undefined {
        const shard = shards().indexOf(id)
        return shard < 0 ? undefined : shard
      },
      carry: (shard, command, target, at) => {
        const group = shards()[shard]
        if (group === undefined) return false
        this.#handlers.carry(group, command, target, at)
        return true
      },
    }
  }

  #newCore(id: GroupId, replicas: readonly NodeId[]): Raft {
    const snapshot = this.#resources.snapshots.newest(id)
    snapshot?.close()
    const { log, random, liveness, clock } = this.#resources
    const { node, timing, limits } = this.#settings
    const recovered = log.recovered.get(id) ?? EMPTY
    const { position: applied, chain } = snapshot?.header ?? NO_SNAPSHOT
    assert(applied.index >= recovered.start.index, 'a log begins where a snapshot ends')
    // Its log brings again what is beyond its snapshot, and without one everything.
    if (snapshot === undefined) this.#resources.pieces.of(id).retain(new Set())
    const isReplaced = !reaches(recovered, applied)
    if (isReplaced) log.stage(id, { type: 'snapshot', position: applied, chain })
    // Made of entries that this node's own disk had not yet, a snapshot may even be of a later term than the log.
    const isLater = applied.term > recovered.term
    const term = isLater ? applied.term : recovered.term
    const vote = isLater ? undefined : recovered.vote
    if (isLater) log.stage(id, { type: 'hard-state', term, vote })
    return new Raft({
      self: node,
      configuration: { incoming: [...replicas].sort(), outgoing: [], learners: [] },
      term,
      vote,
      snapshot: isReplaced ? applied : recovered.start,
      log: isReplaced ? [] : recovered.log,
      timing,
      limits,
      random,
      liveness,
      now: clock.now(),
    })
  }
}

/**
 * Whether the log leads up to, and agrees with, what the machine has executed. A snapshot may be ahead of the log: it
 * was installed just before a crash, or made of entries that were decided before this node's own disk had them. Then
 * what the log holds after it may have been overwritten since, and the log begins anew.
 */
function reaches({ start, log }: RecoveredGroup, applied: LogPosition): boolean {
  if (applied.index === start.index) return true
  return log[applied.index - start.index - 1]?.term === applied.term
}
