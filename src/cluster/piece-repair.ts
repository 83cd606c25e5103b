/** The piece repair brings back, from another replica, a piece of a payload that this one's disk has damaged. */

import { ByteReader } from '../base/bytes.ts'
import type { NodeId } from '../base/identity.ts'
import type { Clock, Millis, Scheduler, Timer } from '../base/time.ts'
import { STATUS } from '../machine/command.ts'
import type { Machine } from '../machine/machine.ts'
import type { Piece } from '../machine/pieces.ts'
import { REPLY } from '../wire/request.ts'
import type { ReplyTarget } from './source.ts'

/** What a peer is asked, and who wants to know. */
export interface Question {
  readonly query: Uint8Array
  readonly target: ReplyTarget
  readonly id: number
}

export interface PieceRepairPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly machine: Pick<Machine, 'mendPiece'>
  /** The other replicas, as far as they are connected. */
  peers(): readonly NodeId[]
  ask(to: NodeId, question: Question): void
  /** A piece is as it was. */
  mended(from: NodeId): void
}

/** A peer that has not answered after this long may hang: the next one is asked. */
const ANSWER_MS: Millis = 2000
/** Most pieces that are looked for at once; what a reader asks for beyond is missing for now. */
const SEARCHES_LIMIT = 256

interface Search {
  readonly piece: Piece
  readonly query: Uint8Array
  /** Those who have not been asked. */
  readonly candidates: NodeId[]
  readonly waiting: (() => void)[]
  asked: { readonly id: number; readonly node: NodeId; readonly timer: Timer } | undefined
}

export class PieceRepair implements ReplyTarget {
  readonly #ports: PieceRepairPorts
  readonly #searches = new Map<string, Search>()
  #questions = 0

  constructor(ports: PieceRepairPorts) {
    this.#ports = ports
  }

  /** Calls `done` when the piece that `query` asks for is there again, or when nobody has it. */
  mend(piece: Piece, query: Uint8Array, done: () => void): void {
    const key = keyOf(piece)
    const known = this.#searches.get(key)
    if (known !== undefined) known.waiting.push(done)
    else if (this.#searches.size >= SEARCHES_LIMIT) done()
    else {
      const search = { piece, query, candidates: [...this.#ports.peers()], waiting: [done], asked: undefined }
      this.#searches.set(key, search)
      this.#askNext(search)
    }
  }

  /** What a peer says: the age of its replica, then what its machine answered. */
  reply(id: number, status: number, bytes: Uint8Array): void {
    const search = [...this.#searches.values()].find(({ asked }) => asked?.id === id)
    if (search?.asked === undefined) return
    const { node, timer } = search.asked
    timer.cancel()
    if (status !== REPLY.answered || !this.#takes(search.piece, new ByteReader(bytes))) {
      this.#askNext(search)
      return
    }
    this.#ports.mended(node)
    this.#end(search)
  }

  #takes(piece: Piece, answer: ByteReader): boolean {
    answer.f64()
    const isThere = answer.u8() === STATUS.ok
    answer.u53()
    return isThere && this.#ports.machine.mendPiece(piece, answer.raw(answer.remaining))
  }

  #askNext(search: Search): void {
    const { clock, scheduler } = this.#ports
    const node = search.candidates.shift()
    if (node === undefined) {
      this.#end(search)
      return
    }
    const id = ++this.#questions
    const timer = scheduler.at(clock.now() + ANSWER_MS, () => this.#askNext(search))
    search.asked = { id, node, timer }
    this.#ports.ask(node, { query: search.query, target: this, id })
  }

  #end(search: Search): void {
    this.#searches.delete(keyOf(search.piece))
    for (const done of search.waiting) done()
  }
}

function keyOf({ upload, offset }: Piece): string {
  return `${upload} ${offset}`
}
