/** The memory log is the log device of a node that keeps nothing: everything is durable at once, until the process ends. */

import { AssertionError } from '../../base/assert.ts'
import type { GroupId } from '../../base/identity.ts'
import type { LogIndex, LogPosition } from '../../protocol/core.ts'
import type { Entry, RaftWrite } from '../../protocol/raft/message.ts'
import type { LogDevice, RecoveredGroup } from '../log-device.ts'
import { LogContent } from './content.ts'
import { type EntryRange, readEntries } from './entries.ts'
import type { Checksum } from './format.ts'
import { Staging } from './staging.ts'

export interface MemoryLogOptions {
  readonly checksum: Checksum
  /** Bytes of payload beyond which `groupsToCompact` asks for snapshots; default 128 MiB. */
  readonly limitBytes?: number
}

export class MemoryLog implements LogDevice {
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup> = new Map()
  readonly #content = new LogContent(Number.POSITIVE_INFINITY)
  readonly #staging: Staging
  readonly #limitBytes: number
  #isDirty = false

  constructor(options: MemoryLogOptions) {
    this.#limitBytes = options.limitBytes ?? 128 * 1024 * 1024
    this.#staging = new Staging(this.#content, {
      checksum: options.checksum,
      record: () => {
        this.#isDirty = true
      },
    })
  }

  get isDirty(): boolean {
    return this.#isDirty
  }

  stage(group: GroupId, write: RaftWrite): void {
    this.#staging.stage(group, write)
  }

  compact(group: GroupId, upTo: LogPosition): void {
    this.#staging.compact(group, upTo)
    this.#content.cache.trim()
  }

  commit(done: (error: Error | undefined) => void): void {
    this.#isDirty = false
    this.#content.cache.trim()
    done(undefined)
  }

  entries(group: GroupId, range: EntryRange): readonly Entry[] {
    return readEntries(this.#content.group(group), range, () => {
      throw new AssertionError('the memory log never lets go of a payload')
    })
  }

  chainAt(group: GroupId, index: LogIndex): number | undefined {
    return this.#content.group(group).chainAt(index)
  }

  /** The groups with no less than their share of the bytes. */
  groupsToCompact(): readonly GroupId[] {
    const { groups, usage } = this.#content
    if (usage.payloadBytes <= this.#limitBytes) return []
    const share = usage.payloadBytes / groups.size
    return [...groups.values()].filter(({ table }) => table.bytes >= share).map(({ id }) => id)
  }

  close(done: () => void = () => {}): void {
    done()
  }
}
