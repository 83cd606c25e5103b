/** A restorer reads a snapshot into a machine, a little in each turn, so that a large one does not keep its node from the others. */

import type { StoredSnapshot } from '../../host/log-device.ts'
import type { Machine, Restoration } from '../../machine/machine.ts'
import type { LogPosition } from '../../protocol/core.ts'

export interface RestorerPorts {
  /** Does it in a later turn. */
  defer(task: () => void): void
  /** The machine has the state that the snapshot holds. */
  restored(position: LogPosition): void
}

/** Bytes read in one turn, which every group of a node takes when it starts: a millisecond or two. */
const TURN_BYTES = 256 * 1024
const READ_BYTES = 64 * 1024

export class Restorer {
  readonly #snapshot: StoredSnapshot
  readonly #restoration: Restoration
  readonly #ports: RestorerPorts
  #at = 0
  #isOver = false

  /** Closes the snapshot in the end. */
  constructor(snapshot: StoredSnapshot, machine: Machine, ports: RestorerPorts) {
    this.#snapshot = snapshot
    this.#restoration = machine.beginRestore()
    this.#ports = ports
    ports.defer(() => this.#step())
  }

  /** The machine keeps the state that it has. */
  cancel(): void {
    this.#isOver = true
    this.#snapshot.close()
  }

  #step(): void {
    if (this.#isOver) return
    const { bytes, header } = this.#snapshot
    const end = Math.min(bytes, this.#at + TURN_BYTES)
    while (this.#at < end) {
      const chunk = this.#snapshot.read(this.#at, Math.min(READ_BYTES, end - this.#at))
      this.#restoration.push(chunk)
      this.#at += chunk.length
    }
    if (this.#at < bytes) {
      this.#ports.defer(() => this.#step())
      return
    }
    this.#restoration.finish()
    this.cancel()
    this.#ports.restored(header.position)
  }
}
