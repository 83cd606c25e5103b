/** Storage is what a node keeps over a restart: its log, its snapshots and its charter, all on one virtual disk. */

import { TroupeError } from '../base/error.ts'
import type { GroupId } from '../base/identity.ts'
import type { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import type { CharterStore } from '../cluster/charter.ts'
import { openLog } from '../host/log/write-ahead-log.ts'
import type { SnapshotHeader, SnapshotStore, StoredSnapshot } from '../host/log-device.ts'
import type { Computer } from './computer.ts'
import { VirtualDisk } from './disk.ts'
import type { Scenario } from './scenario.ts'
import { WatchedLog } from './watched-log.ts'

export interface OpenStorage {
  readonly log: WatchedLog
  readonly snapshots: SnapshotStore
  readonly charter: CharterStore
}

/** The disk of one node, through all its restarts. */
export class Storage {
  readonly #scenario: Scenario
  readonly #random: SeededRandom
  #disk: VirtualDisk | undefined
  #slowMs: Millis = 0
  #failsNext = false
  readonly #snapshots = new Map<GroupId, StoredSnapshot>()
  #charter: Uint8Array | undefined

  constructor(scenario: Scenario, random: SeededRandom) {
    this.#scenario = scenario
    this.#random = random
  }

  async open(computer: Computer): Promise<OpenStorage> {
    const { segmentBytes, logBytes } = this.#scenario
    const disk = this.#reopen(computer)
    const snapshots = this.#snapshotStore(computer)
    const log = await openLog({ disk, snapshots, durability: 'disk', segmentBytes, limitBytes: logBytes })
    return { log: new WatchedLog(log), snapshots, charter: this.#charterStore(computer) }
  }

  /** The power fails. */
  crash(): void {
    this.#disk?.crash()
    this.#failsNext = false
  }

  /** Adds to the duration of each sync from now on. */
  slowDown(byMs: Millis): void {
    this.#slowMs = byMs
  }

  failNextSync(fails: boolean): void {
    this.#failsNext = fails
  }

  #reopen(computer: Computer): VirtualDisk {
    const random = this.#random
    const [least, mean] = this.#scenario.syncMs
    const syncMillis = (): Millis => least - (mean - least) * Math.log(1 - random.next()) + this.#slowMs * random.next()
    const options = {
      random,
      time: { clock: computer, scheduler: computer, syncMillis },
      before: (operation: string) => {
        if (operation !== 'sync' || !this.#failsNext) return
        this.#failsNext = false
        throw new TroupeError('DISK_FAILED', 'the disk refuses to sync')
      },
    }
    this.#disk = this.#disk === undefined ? new VirtualDisk(options) : this.#disk.reopen(options)
    return this.#disk
  }

  #snapshotStore(computer: Computer): SnapshotStore {
    const stored = this.#snapshots
    return {
      newest: (group) => stored.get(group),
      begin(group: GroupId, header: SnapshotHeader) {
        const chunks: Uint8Array[] = []
        return {
          write: (chunk) => {
            chunks.push(chunk.slice())
          },
          finish(done) {
            const body = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
            let at = 0
            for (const chunk of chunks) {
              body.set(chunk, at)
              at += chunk.length
            }
            computer.at(computer.now() + 1, () => {
              const read = (offset: number, length: number) => body.slice(offset, offset + length)
              stored.set(group, { header, bytes: body.length, read, close: () => {} })
              done(undefined)
            })
          },
          abandon: () => {},
        }
      },
    }
  }

  #charterStore(computer: Computer): CharterStore {
    return {
      read: () => this.#charter,
      replace: (bytes, done) => {
        computer.at(computer.now() + 1, () => {
          this.#charter = bytes
          done(undefined)
        })
      },
    }
  }
}
