/** The proposals of a leader: the commands of one turn become one log entry, and each is answered when that entry is applied. */

import { required } from '../base/assert.ts'
import { BatchWriter } from '../machine/batch.ts'
import type { Level } from '../machine/level.ts'
import type { LogIndex, LogPosition } from '../protocol/core.ts'
import { REPLY } from '../wire/request.ts'
import type { ReplyTarget } from './source.ts'

/** Who waits for the commands of one entry, by their place in it. */
export interface Waiters {
  readonly sources: readonly ReplyTarget[]
  readonly ids: readonly number[]
}

interface Placed extends Waiters {
  readonly term: number
}

const NO_BYTES = new Uint8Array(0)

export class Proposals {
  #writer = new BatchWriter()
  #sources: ReplyTarget[] = []
  #ids: number[] = []
  readonly #submitted = new Map<number, Waiters>()
  readonly #placed = new Map<LogIndex, Placed>()

  /** Bytes of commands that gathered in this turn. */
  get bytes(): number {
    return this.#writer.size
  }

  add(source: ReplyTarget, id: number, command: Uint8Array): void {
    this.#writer.add(command)
    this.#sources.push(source)
    this.#ids.push(id)
  }

  get isEmpty(): boolean {
    return this.#ids.length === 0
  }

  /** The entry of this turn, which may be empty; its fate will be reported under `number`. */
  take(number: number, timeMicros: number, level: Level): Uint8Array {
    this.#submitted.set(number, { sources: this.#sources, ids: this.#ids })
    this.#sources = []
    this.#ids = []
    return this.#writer.finish(timeMicros, level)
  }

  /** The log has a place for the entry. */
  placed(number: number, position: LogPosition): void {
    const { sources, ids } = required(this.#submitted.get(number), 'a placed proposal')
    this.#submitted.delete(number)
    this.#placed.set(position.index, { sources, ids, term: position.term })
  }

  /** The log refused the entry: who waited for it. */
  refused(number: number): Waiters | undefined {
    const waiters = this.#submitted.get(number)
    this.#submitted.delete(number)
    return waiters
  }

  /** Who waits for the entry at this position, which is being applied. */
  applied(position: LogPosition): Waiters | undefined {
    const waiters = this.#placed.get(position.index)
    if (waiters === undefined) return undefined
    this.#placed.delete(position.index)
    return waiters.term === position.term ? waiters : undefined
  }

  /** Leadership is lost: what was placed may still be committed by the next leader, or never. */
  abandon(): void {
    for (const waiters of this.#placed.values()) replyToAll(waiters, REPLY.leaderLost, NO_BYTES)
    this.#placed.clear()
  }
}

export function replyToAll(waiters: Waiters, status: number, bytes: Uint8Array): void {
  for (let at = 0; at < waiters.ids.length; at++) waiters.sources[at]?.reply(waiters.ids[at] ?? 0, status, bytes)
}
