/** The groups of a shard, by their keys, and the leases that their members live by. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, STATUS } from '../command.ts'
import { compareKeys } from '../key-order.ts'
import type { Level } from '../level.ts'
import type { Neighbours, Task } from '../table.ts'
import { encodeGroupState, GROUP_MAP, GROUPS_LIMIT, MEMBERS_LIMIT, PARTITIONS_LIMIT } from './command.ts'
import { Group } from './group.ts'

/** From this level on no member's commit takes an offset back. */
const FORWARD_LEVEL: Level = 2

export class Groups {
  readonly #neighbours: Neighbours
  readonly #groups: Map<string, Group> = new Map()
  /** Groups of each lease. */
  readonly #byLease: Map<number, Set<Group>> = new Map()

  constructor(neighbours: Neighbours) {
    this.#neighbours = neighbours
  }

  join({ reader, end, time, outcome }: Task): void {
    const key = readGroupKey(reader)
    const partitions = reader.u32()
    const lease = reader.u53()
    expectEnd(reader, end)
    if (partitions === 0 || partitions > PARTITIONS_LIMIT) throw malformed('a topic has 1 to 1024 partitions')
    const present = this.#groups.get(key)
    outcome.revision = present?.generation ?? 0
    outcome.status = STATUS.ok
    if (!this.#neighbours.hasLease(lease)) outcome.status = STATUS.fenced
    else if (present === undefined ? this.#groups.size >= GROUPS_LIMIT : isFullFor(present, lease)) {
      outcome.status = STATUS.full
    } else if (present?.wants(lease, partitions) !== false) {
      const group = present ?? this.#found(key)
      group.join(lease, partitions, this.#neighbours.revise(time))
      this.#relate(lease, group)
      this.#announce(group)
      outcome.revision = group.generation
    }
  }

  leave({ reader, end, time, outcome }: Task): void {
    const group = this.#groups.get(readGroupKey(reader))
    const lease = reader.u53()
    expectEnd(reader, end)
    const isMember = group?.has(lease) === true
    if (isMember) {
      this.#unrelate(lease, group)
      this.#leave(group, lease, time)
    }
    outcome.status = isMember ? STATUS.ok : STATUS.absent
    outcome.revision = group?.generation ?? 0
  }

  yield({ reader, end, time, outcome }: Task): void {
    const group = this.#groups.get(readGroupKey(reader))
    const lease = reader.u53()
    const upTo = reader.u53()
    expectEnd(reader, end)
    const isMember = group?.has(lease) === true
    if (isMember && group.canYield(lease, upTo)) {
      group.yield(lease, upTo, this.#neighbours.revise(time))
      this.#announce(group)
    }
    outcome.status = isMember ? STATUS.ok : STATUS.fenced
    outcome.revision = group?.generation ?? 0
  }

  /** Sets the outcome of a `commit`, and carries it out when `applies`; when it has been checked, that is so whatever has changed since. */
  commit(task: Task, step: 'check' | 'apply' | 'run'): void {
    const { reader, end, outcome, level } = task
    const key = readGroupKey(reader)
    const partition = reader.u32()
    const offset = reader.u53()
    const lease = reader.u53()
    const generation = reader.u53()
    expectEnd(reader, end)
    if (partition >= PARTITIONS_LIMIT) throw malformed('a topic has at most 1024 partitions')
    const present = this.#groups.get(key)
    outcome.revision = present?.generation ?? 0
    outcome.status = STATUS.ok
    if (step !== 'apply') {
      if (lease !== 0 && present?.mayCommit(lease, partition, generation) !== true) outcome.status = STATUS.fenced
      else if (lease === 0 && (present?.size ?? 0) > 0) outcome.status = STATUS.conflict
      else if (present === undefined && this.#groups.size >= GROUPS_LIMIT) outcome.status = STATUS.full
    }
    if (step === 'check' || outcome.status !== STATUS.ok) return
    const mayGoBack = lease === 0 || level < FORWARD_LEVEL
    ;(present ?? this.#found(key)).commit(partition, offset, mayGoBack)
  }

  /** Members that live by this lease leave their groups. */
  leaseEnded(lease: number, time: LeaderMicros): void {
    const groups = this.#byLease.get(lease)
    if (groups === undefined) return
    this.#byLease.delete(lease)
    for (const group of [...groups].sort(byKey)) this.#leave(group, lease, time)
  }

  /** The groups of a topic are deleted with it; their members hear of it. */
  deleteOf(topic: string): void {
    for (const group of [...this.#groups.values()].sort(byKey)) {
      if (topicOf(group) !== topic) continue
      for (const lease of group.state.members) this.#unrelate(lease, group)
      this.#groups.delete(group.key)
      this.#announce(group)
    }
  }

  /** Answers `group`. */
  queryOne(reader: ByteReader, reply: ByteWriter): boolean {
    const group = this.#groups.get(readGroupKey(reader))
    if (reader.remaining > 0) return false
    reply.u8(group === undefined ? STATUS.absent : STATUS.ok)
    if (group === undefined) reply.u53(0)
    else {
      reply.u53(group.generation)
      encodeGroupState(reply, group.state)
    }
    return true
  }

  get keys(): readonly string[] {
    return [...this.#groups.keys()].sort(compareKeys)
  }

  /** Each group's section as its bytes: they change with every generation. */
  encode(): readonly Uint8Array[] {
    return [...this.#groups.values()].sort(byKey).map((group) => {
      const writer = new ByteWriter()
      writer.text(group.key)
      group.encode(writer)
      return writer.take(0)
    })
  }

  load(reader: ByteReader): void {
    const key = reader.text(KEY_LIMIT_BYTES)
    if (this.#groups.has(key)) throw malformed('a group is there twice')
    const group = this.#found(key)
    group.load(reader)
    for (const lease of group.state.members) this.#relate(lease, group)
  }

  #found(key: string): Group {
    const group = new Group(key)
    this.#groups.set(key, group)
    return group
  }

  #leave(group: Group, lease: number, time: LeaderMicros): void {
    group.leave(lease, this.#neighbours.revise(time))
    if (group.isBlank) this.#groups.delete(group.key)
    this.#announce(group)
  }

  #announce(group: Group): void {
    const value = this.#groups.has(group.key) ? group.announcement : new Uint8Array(0)
    this.#neighbours.announce({ map: GROUP_MAP, key: group.key, revision: group.generation, value })
  }

  #relate(lease: number, group: Group): void {
    const groups = this.#byLease.get(lease)
    if (groups === undefined) this.#byLease.set(lease, new Set([group]))
    else groups.add(group)
  }

  #unrelate(lease: number, group: Group): void {
    const groups = this.#byLease.get(lease)
    groups?.delete(group)
    if (groups?.size === 0) this.#byLease.delete(lease)
  }
}

function isFullFor(group: Group, lease: number): boolean {
  return group.size >= MEMBERS_LIMIT && !group.has(lease)
}

/** The key of `[topic text, group text]`. */
function readGroupKey(reader: ByteReader): string {
  const start = reader.at
  const topic = reader.text(KEY_LIMIT_BYTES)
  const group = reader.text(KEY_LIMIT_BYTES)
  // Two lengths of four bytes, in whose place the key has one slash.
  if (reader.at - start - 7 > KEY_LIMIT_BYTES) throw malformed('the names of topic and group are too long together')
  if (topic === '' || group === '' || group.includes('/')) throw malformed('no such name of a group')
  return `${topic}/${group}`
}

/** No name of a group has a slash. */
function topicOf({ key }: Group): string {
  return key.slice(0, key.lastIndexOf('/'))
}

function byKey(a: Group, b: Group): number {
  return compareKeys(a.key, b.key)
}
