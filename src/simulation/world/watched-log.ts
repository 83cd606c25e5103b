/** A watched log remembers what its device has confirmed, so that nobody can claim more. */

import type { GroupId, NodeId } from '../../base/identity.ts'
import type { LogDevice, RecoveredGroup } from '../../host/log-device.ts'
import type { LogIndex, LogPosition, Term } from '../../protocol/core.ts'
import type { Entry, RaftWrite } from '../../protocol/raft/message.ts'

/** What a group has on disk. */
export interface Durable {
  readonly term: Term
  readonly vote: NodeId | undefined
  readonly last: LogIndex
}

const BEGINNING: LogPosition = { index: 0, term: 0 }
const NOTHING: Durable = { term: 0, vote: undefined, last: 0 }

export class WatchedLog implements LogDevice {
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>
  readonly #log: LogDevice
  readonly #durable = new Map<GroupId, Durable>()
  readonly #ends = new Map<GroupId, LogPosition>()
  #staged = new Map<GroupId, Durable>()
  #underWay = new Map<GroupId, Durable>()

  constructor(log: LogDevice) {
    this.#log = log
    this.recovered = log.recovered
    for (const [group, { term, vote, start, log: entries }] of log.recovered) {
      const last = start.index + entries.length
      this.#durable.set(group, { term, vote, last })
      this.#ends.set(group, { index: last, term: entries.at(-1)?.term ?? start.term })
    }
  }

  durable(group: GroupId): Durable {
    return this.#durable.get(group) ?? NOTHING
  }

  /** The end of the group's log, whether on disk already or on its way. */
  end(group: GroupId): LogPosition {
    return this.#ends.get(group) ?? BEGINNING
  }

  get groups(): Iterable<readonly [GroupId, Durable]> {
    return this.#durable
  }

  /** Whether more is staged than is on disk: a crash now would lose it. */
  get isAhead(): boolean {
    return this.#staged.size + this.#underWay.size > 0
  }

  get isDirty(): boolean {
    return this.#log.isDirty
  }

  stage(group: GroupId, write: RaftWrite): void {
    this.#log.stage(group, write)
    const before = this.#staged.get(group) ?? this.#underWay.get(group) ?? this.durable(group)
    this.#staged.set(group, after(before, write))
    const end = write.type === 'entries' ? write.entries.at(-1) : write.type === 'snapshot' ? write.position : undefined
    if (end !== undefined) this.#ends.set(group, end)
    // What replaces entries on disk takes them back at once: nobody may count them any more.
    const durable = this.durable(group)
    const kept = write.type === 'entries' ? (write.entries[0]?.index ?? 1) - 1 : durable.last
    if (kept < durable.last) this.#durable.set(group, { ...durable, last: kept })
  }

  commit(done: (error: Error | undefined) => void): void {
    this.#underWay = this.#staged
    this.#staged = new Map()
    this.#log.commit((error) => {
      if (error === undefined) for (const [group, durable] of this.#underWay) this.#confirm(group, durable)
      this.#underWay = new Map()
      done(error)
    })
  }

  entries(group: GroupId, range: Parameters<LogDevice['entries']>[1]): readonly Entry[] {
    return this.#log.entries(group, range)
  }

  compact(group: GroupId, upTo: LogPosition): void {
    this.#log.compact(group, upTo)
  }

  chainAt(group: GroupId, index: LogIndex): number | undefined {
    return this.#log.chainAt(group, index)
  }

  groupsToCompact(): readonly GroupId[] {
    return this.#log.groupsToCompact()
  }

  close(done: () => void): void {
    this.#log.close(done)
  }

  /** Entries that were replaced again while they travelled are not counted. */
  #confirm(group: GroupId, durable: Durable): void {
    const staged = this.#staged.get(group)
    this.#durable.set(group, { ...durable, last: Math.min(durable.last, staged?.last ?? durable.last) })
  }
}

function after(before: Durable, write: RaftWrite): Durable {
  if (write.type === 'hard-state') return { ...before, term: write.term, vote: write.vote }
  if (write.type === 'snapshot') return { ...before, last: write.position.index }
  return { ...before, last: write.entries.at(-1)?.index ?? before.last }
}
