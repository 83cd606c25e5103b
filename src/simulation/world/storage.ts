/** Storage is what a node keeps over a restart: its log, its snapshots, its pieces and its charter, all on one virtual disk. */

import { TroupeError } from '../../base/error.ts'
import type { NodeId } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { CharterStore } from '../../cluster/charter.ts'
import { CharterFile } from '../../host/charter-file.ts'
import { claimDirectory } from '../../host/data-directory.ts'
import { openLog } from '../../host/log/write-ahead-log.ts'
import type { GroupStart, SnapshotStore } from '../../host/log-device.ts'
import { PieceFiles, type PieceStores } from '../../host/piece-files.ts'
import { SnapshotFiles } from '../../host/snapshot/snapshot-files.ts'
import type { Coverage } from '../coverage.ts'
import type { Scenario } from '../scenario.ts'
import type { Computer } from './computer.ts'
import { VirtualDisk } from './disk.ts'
import { WatchedLog } from './watched-log.ts'

/** The name of every simulated cluster. */
export const CLUSTER = 'simulated'

export interface OpenStorage {
  /** How often the node has started. */
  readonly generation: number
  readonly log: WatchedLog
  readonly snapshots: SnapshotStore
  readonly pieces: PieceStores
  readonly charter: CharterStore
}

/** The disk of one node, through all its restarts. */
export class Storage {
  readonly #scenario: Scenario
  readonly #random: SeededRandom
  readonly #coverage: Coverage
  #disk: VirtualDisk | undefined
  #slowMs: Millis = 0
  /** Bytes of all files together. */
  #capacity = Number.POSITIVE_INFINITY
  /** The operation that the disk refuses when it comes next: one that writes past the cache fails as it writes. */
  #refused: 'sync' | 'write' | undefined
  #refusals = 0

  constructor(scenario: Scenario, random: SeededRandom, coverage: Coverage) {
    this.#scenario = scenario
    this.#random = random
    this.#coverage = coverage
  }

  /**
   * Opens what is there, as the next process does.
   * @param step called before every operation on the disk
   */
  async open(node: NodeId, computer: Computer, step: () => void): Promise<OpenStorage> {
    const { segmentBytes, logBytes } = this.#scenario
    const disk = this.#reopen(computer, step)
    const charter = new CharterFile(disk)
    const { generation } = await claimDirectory(disk, { cluster: CLUSTER, node })
    const snapshots = new SnapshotFiles(disk)
    const pieces = new PieceFiles(disk)
    const check = (groups: Iterable<GroupStart>): void => snapshots.accept(groups)
    const log = await openLog({ disk, durability: 'disk', check, segmentBytes, limitBytes: logBytes })
    return { generation, log: new WatchedLog(log), snapshots, pieces, charter }
  }

  /** Damages one bit in the middle of each of these files. */
  damage(isChosen: (file: string) => boolean): number {
    const disk = this.#disk
    const files = disk?.list().filter(isChosen) ?? []
    for (const name of files) disk?.flip(name, Math.floor(disk.open(name).size / 2))
    return files.length
  }

  /** The power fails; pages that were being written then may be such that the device cannot read them, until `mend`. */
  crash(torn?: 'readable' | 'unreadable'): void {
    this.#disk?.crash(torn)
    this.#refused = undefined
  }

  /** There is room for so many bytes more, from now on. */
  leaveRoom(bytes: number): void {
    this.#capacity = (this.#disk?.bytes ?? 0) + bytes
  }

  /** Adds to the duration of each sync from now on. */
  slowDown(byMs: Millis): void {
    this.#slowMs = byMs
  }

  /** The next sync fails, or the next write, in turn. */
  failNext(): void {
    this.#refused = ++this.#refusals % 2 === 1 ? 'sync' : 'write'
  }

  /** It takes and reads everything again. */
  mend(): void {
    this.#refused = undefined
    this.#capacity = Number.POSITIVE_INFINITY
    this.#disk?.mend()
  }

  #reopen(computer: Computer, step: () => void): VirtualDisk {
    const random = this.#random
    const [least, mean] = this.#scenario.syncMs
    const syncMillis = (): Millis => least - (mean - least) * Math.log(1 - random.next()) + this.#slowMs * random.next()
    const time = { clock: computer, scheduler: computer, syncMillis }
    const standStill = (forMs: Millis): void => {
      if (forMs > 500) this.#coverage.reached('stood-still')
      computer.standStill(forMs)
    }
    const options = {
      random,
      time: this.#scenario.faults.includes('direct-disk') ? { ...time, standStill } : time,
      capacity: () => this.#capacity,
      before: (operation: string) => {
        step()
        if (operation !== this.#refused) return
        this.#refused = undefined
        throw new TroupeError('DISK_FAILED', `the disk refuses to ${operation}`)
      },
    }
    this.#disk = this.#disk === undefined ? new VirtualDisk(options) : this.#disk.reopen(options)
    return this.#disk
  }
}
