/** The watches of a group: each follows the changes of a range of keys at the pace of whoever reads them. */

import { ByteWriter } from '../base/bytes.ts'
import type { Machine, Selection } from '../machine/machine.ts'
import { REPLY, type WatchEvent, type WatchRequest, writeWatchEvent } from '../wire/request.ts'
import type { Source } from './source.ts'

interface Watch {
  readonly source: Source
  readonly id: number
  readonly selection: Selection
  /** Changes up to here have been sent, or were none of this watch's. */
  through: number
  creditBytes: number
}

/** Bytes of changes in one event. */
const EVENT_BYTES = 64 * 1024
const WATCHES_LIMIT = 65_536
const NO_BYTES = new Uint8Array(0)

export class Watches {
  readonly #machine: Machine
  readonly #watches = new Set<Watch>()

  constructor(machine: Machine) {
    this.#machine = machine
  }

  open(source: Source, id: number, request: WatchRequest): void {
    const through = request.revision === 0 ? this.#machine.revision : request.revision
    const selection = { map: request.map, from: request.from, until: request.until }
    const watch = { source, id, selection, through, creditBytes: request.creditBytes }
    if (this.#watches.size >= WATCHES_LIMIT) {
      // Whoever asked tries again, here or elsewhere, after a pause.
      send(watch, { type: 'moved', through, changes: NO_BYTES })
      return
    }
    this.#watches.add(watch)
    send(watch, { type: 'standing', through, changes: NO_BYTES })
    this.#advance(watch)
  }

  credit(source: Source, id: number, bytes: number): void {
    for (const watch of this.#watches) {
      if (watch.source !== source || watch.id !== id) continue
      watch.creditBytes += bytes
      this.#advance(watch)
    }
  }

  close(source: Source, id: number): void {
    for (const watch of this.#watches) if (watch.source === source && watch.id === id) this.#watches.delete(watch)
  }

  sourceClosed(source: Source): void {
    for (const watch of this.#watches) if (watch.source === source) this.#watches.delete(watch)
  }

  /** Sends what has changed, as far as each watch has credit. */
  advance(): void {
    for (const watch of this.#watches) this.#advance(watch)
  }

  /** This replica no longer leads, and might lag without knowing: each watch must go on elsewhere. */
  move(): void {
    for (const watch of this.#watches) send(watch, { type: 'moved', through: watch.through, changes: NO_BYTES })
    this.#watches.clear()
  }

  #advance(watch: Watch): void {
    while (watch.creditBytes > 0 && watch.through < this.#machine.revision) {
      const page = this.#machine.changes.after(watch.through, watch.selection, EVENT_BYTES)
      if (page.compacted) {
        send(watch, { type: 'compacted', through: watch.through, changes: NO_BYTES })
        this.#watches.delete(watch)
        return
      }
      watch.through = page.through
      if (page.count === 0) continue
      watch.creditBytes -= page.changes.length
      send(watch, { type: 'changes', through: page.through, changes: page.changes })
    }
  }
}

function send(watch: Watch, event: WatchEvent): void {
  const writer = new ByteWriter()
  writeWatchEvent(writer, event)
  watch.source.reply(watch.id, REPLY.watchEvent, writer.take())
}
