/** The snapshotter writes a group's state to disk, a little in each turn, so that the log before it can be dropped. */

import type { GroupId } from '../../base/identity.ts'
import type { Millis, Scheduler } from '../../base/time.ts'
import type { LogDevice, SnapshotStore } from '../../host/log-device.ts'
import type { PieceStores } from '../../host/piece-files.ts'
import type { LogIndex } from '../../protocol/core.ts'
import { encodeConfiguration } from '../configuration.ts'
import type { Group } from '../group.ts'

export interface SnapshotterPorts {
  readonly scheduler: Scheduler
  readonly log: LogDevice
  readonly store: SnapshotStore
  readonly pieces: PieceStores
  /** Runs what may throw in a later turn, which stops the node. */
  readonly guard: (task: () => void) => void
}

/** Bytes written in one turn. */
const TURN_BYTES = 512 * 1024

export interface CompactionLimits {
  /**
   * Bytes of log, of all groups, that a start has to execute; each group has an equal share. A group with a snapshot
   * that is larger waits for as many bytes, so that at most twice as much is written to snapshots as to the log.
   * Default 128 MiB. Fewer: a faster start, more writing.
   */
  readonly bytesBetween: number
  /** Entries after which a group is worth a snapshot, whatever their size. Default 65,536. */
  readonly entriesBetween: number
  /**
   * Entries that stay in the log behind a snapshot, but for those beyond half the group's share: a follower that is a
   * little behind needs no snapshot. Default 4,096.
   */
  readonly entriesKept: number
}

export const DEFAULT_COMPACTION: CompactionLimits = {
  bytesBetween: 128 * 1024 * 1024,
  entriesBetween: 65_536,
  entriesKept: 4096,
}

/** How often it is asked which groups keep the log long. */
const REVIEW_MS: Millis = 1000

/** A group's newest snapshot: where it ends, and how large it is. */
interface Taken {
  readonly index: LogIndex
  readonly bytes: number
}

export class Snapshotter {
  readonly #ports: SnapshotterPorts
  readonly #limits: CompactionLimits
  readonly #taken = new Map<Group, Taken>()
  #active: Group | undefined
  #isStopped = false

  constructor(ports: SnapshotterPorts, limits: CompactionLimits) {
    this.#ports = ports
    this.#limits = limits
  }

  /** Looks for groups whose log is worth a snapshot, and takes theirs one after the other. */
  review(groups: ReadonlyMap<GroupId, Group>): void {
    if (this.#active !== undefined || this.#isStopped) return
    const pinning = this.#ports.log.groupsToCompact()
    const share = this.#limits.bytesBetween / groups.size
    for (const group of groups.values()) {
      const { index } = this.#newest(group)
      const isPinning = pinning.includes(group.id)
      if (isPinning && index > group.core.first.index) this.#forget(group, index)
      else if (!isPinning && !this.#isWorthIt(group, share)) continue
      else if (this.#take(group, this.#firstKept(group, isPinning ? 0 : share / 2), () => this.review(groups))) return
    }
  }

  get reviewMs(): Millis {
    return REVIEW_MS
  }

  stop(): void {
    this.#isStopped = true
  }

  #isWorthIt(group: Group, share: number): boolean {
    const { core, applied } = group
    const taken = this.#newest(group)
    const isLarge = core.bytes(taken.index, applied.index) >= Math.max(share, taken.bytes)
    return isLarge || applied.index - taken.index >= this.#limits.entriesBetween
  }

  /** Of a group that was sent its snapshot, or has just started, the store knows. */
  #newest(group: Group): Taken {
    const known = this.#taken.get(group)
    if (known !== undefined && known.index >= group.core.first.index) return known
    const snapshot = this.#ports.store.newest(group.id)
    const taken = { index: snapshot?.header.position.index ?? 0, bytes: snapshot?.bytes ?? 0 }
    snapshot?.close()
    this.#taken.set(group, taken)
    return taken
  }

  /** Up to where the log may be forgotten once a snapshot of what is applied is there. */
  #firstKept({ core, applied }: Group, bytes: number): LogIndex {
    let index = Math.max(core.first.index, applied.index - this.#limits.entriesKept)
    while (core.bytes(index, applied.index) > bytes) index++
    return index
  }

  /** False when there is nothing new, or when the machine is behind what the log still has. */
  #take(group: Group, compactTo: LogIndex, next: () => void): boolean {
    const { log, store, guard } = this.#ports
    const position = group.applied
    const chain = log.chainAt(group.id, position.index)
    if (chain === undefined || position.index <= group.core.first.index) return false
    this.#active = group
    const frozen = group.machine.freeze()
    const configuration = encodeConfiguration(group.core.configuration)
    const writer = store.begin(group.id, { position, chain, configuration })
    const chunks = frozen.chunks()[Symbol.iterator]()
    let bytes = 0
    const finished = (error: Error | undefined) => {
      this.#active = undefined
      if (this.#isStopped) return
      if (error !== undefined) throw error
      this.#taken.set(group, { index: position.index, bytes })
      // A peer that catches up while much is written would be sent one snapshot after the other, for ever. A log that
      // is too long goes all the same.
      this.#forget(group, Math.min(compactTo, group.caughtUp))
      next()
    }
    const step = () => {
      if (this.#isStopped) return
      const until = bytes + TURN_BYTES
      while (bytes < until) {
        const { value, done } = chunks.next()
        if (done === true) {
          frozen.release()
          // What it refers to comes first.
          this.#ports.pieces.sync(group.id, (error) =>
            guard(() => {
              if (error !== undefined) throw error
              if (!this.#isStopped) writer.finish((failure) => guard(() => finished(failure)))
            }),
          )
          return
        }
        writer.write(value)
        bytes += value.length
      }
      this.#ports.scheduler.defer(() => guard(step))
    }
    step()
    return true
  }

  /** Drops the log up to `compactTo`, which a snapshot covers. */
  #forget(group: Group, compactTo: LogIndex): void {
    // After a restart the machine may be ahead of what the core knows to be committed, and keeps until it hears so.
    const index = Math.min(compactTo, group.core.commit)
    const term = group.core.termAt(index)
    if (term === undefined || index <= group.core.first.index) return
    group.submit({ type: 'compact', upTo: { index, term } })
    this.#ports.log.compact(group.id, group.core.first)
  }
}
