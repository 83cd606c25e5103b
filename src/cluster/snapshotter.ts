/** The snapshotter writes a group's state to disk, a little in each turn, so that the log before it can be dropped. */

import type { Millis, Scheduler } from '../base/time.ts'
import type { LogDevice, SnapshotStore } from '../host/log-device.ts'
import { encodeConfiguration } from './configuration.ts'
import type { Group } from './group.ts'

export interface SnapshotterPorts {
  readonly scheduler: Scheduler
  readonly log: LogDevice
  readonly store: SnapshotStore
  fatal(error: Error): void
}

/** Bytes written in one turn. */
const TURN_BYTES = 512 * 1024
export interface CompactionLimits {
  /** Entries after which a group is worth a snapshot, whatever their size. Default 65,536. Fewer: a faster start, more writing. */
  readonly entriesBetween: number
  /** Entries that stay in the log behind a snapshot, so that a follower that is a little behind needs no snapshot. Default 4,096. */
  readonly entriesKept: number
}

export const DEFAULT_COMPACTION: CompactionLimits = { entriesBetween: 65_536, entriesKept: 4096 }

/** How often the log is asked which groups keep it long. */
const REVIEW_MS: Millis = 1000

export class Snapshotter {
  readonly #ports: SnapshotterPorts
  readonly #limits: CompactionLimits
  readonly #lastTaken = new Map<Group, number>()
  #active: Group | undefined
  #isStopped = false

  constructor(ports: SnapshotterPorts, limits: CompactionLimits) {
    this.#ports = ports
    this.#limits = limits
  }

  /** Looks for groups whose log is worth a snapshot: one at a time. */
  review(groups: ReadonlyMap<number, Group>): void {
    if (this.#active !== undefined || this.#isStopped) return
    const pinning = this.#ports.log.groupsToCompact()
    for (const group of groups.values()) {
      const isPinning = pinning.includes(group.id) && group.core.first.index < group.applied.index
      const since = group.applied.index - (this.#lastTaken.get(group) ?? group.core.first.index)
      if (since < this.#limits.entriesBetween && !isPinning) continue
      this.#take(group, isPinning ? 0 : this.#limits.entriesKept)
      return
    }
  }

  get reviewMs(): Millis {
    return REVIEW_MS
  }

  stop(): void {
    this.#isStopped = true
  }

  #take(group: Group, keptEntries: number): void {
    const { log, store } = this.#ports
    const position = group.applied
    const chain = log.chainAt(group.id, position.index)
    if (chain === undefined) return
    this.#active = group
    this.#lastTaken.set(group, position.index)
    const frozen = group.machine.freeze()
    const configuration = encodeConfiguration(group.core.configuration)
    const writer = store.begin(group.id, { position, chain, configuration })
    const chunks = frozen.chunks()[Symbol.iterator]()
    const step = () => {
      if (this.#isStopped) return
      for (let written = 0; written < TURN_BYTES; ) {
        const { value, done } = chunks.next()
        if (done === true) {
          frozen.release()
          writer.finish((error) => this.#finished(group, position.index - keptEntries, error))
          return
        }
        writer.write(value)
        written += value.length
      }
      this.#ports.scheduler.defer(step)
    }
    step()
  }

  #finished(group: Group, compactTo: number, error: Error | undefined): void {
    this.#active = undefined
    if (this.#isStopped) return
    if (error !== undefined) {
      this.#ports.fatal(error)
      return
    }
    // After a restart the machine may be ahead of what the core knows to be committed, and keeps until it hears so.
    const index = Math.min(compactTo, group.core.commit)
    const term = group.core.termAt(index)
    if (term === undefined || index <= group.core.first.index) return
    group.submit({ type: 'compact', upTo: { index, term } })
    this.#ports.log.compact(group.id, group.core.first)
  }
}
