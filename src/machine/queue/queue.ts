/** The queues of a shard: messages that wait, each for one consumer. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { Heap, type HeapEntry } from '../../base/heap.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, STATUS } from '../command.ts'
import type { HeldMessage, QueueView } from '../leader-view.ts'
import { RULED_LEVEL } from '../level.ts'
import type { Piece, PieceStore } from '../pieces.ts'
import { type Enqueued, type FrozenTable, type Neighbours, TABLE, type Table, type Task } from '../table.ts'
import { answerPiece, answerQuery, answerQueues } from './answer.ts'
import { MemoryBodies } from './bodies.ts'
import { QUEUE_COMMAND, QUEUE_QUERY, RESULT_MAP, resultKey } from './command.ts'
import {
  type CommandExecution,
  type Execution,
  executeCommand,
  type OutgoingMessage,
  purge,
  sendMessage,
} from './execute.ts'
import type { News } from './order.ts'
import { FrozenQueue, freezeUploads, loadSection } from './snapshot.ts'
import { type QueueHouse, QueueState } from './state.ts'
import { isPlace, Uploads } from './uploads.ts'

/** Most queues of a shard: a message for one more is refused. */
const QUEUES_LIMIT = 10_000
/** How long a deduplication id of `enqueue` is remembered. */
const ENQUEUE_WINDOW: LeaderMicros = 3_600_000_000
const NOTHING: Uint8Array = new Uint8Array(0)
/** What a purge is of: the living and the dead. */
const ALL = 2
const SENDS: ReadonlySet<number> = new Set([QUEUE_COMMAND.send, QUEUE_COMMAND.sendFlow, QUEUE_COMMAND.sendLarge])

interface Kept {
  readonly state: QueueState
  readonly due: HeapEntry<QueueState>
}

export class QueueTable implements Table, QueueView {
  readonly type: number = TABLE.queue
  readonly neighbours: Neighbours
  /** In the order in which they came. */
  readonly #queues: Map<string, Kept> = new Map()
  readonly #due: Heap<QueueState> = new Heap()
  readonly #news: News = { version: 0, revoked: [] }
  readonly #house: QueueHouse
  readonly #uploads: Uploads
  readonly #execution: CommandExecution = {
    mode: 'run',
    time: 0,
    outcome: { status: 0, revision: 0 },
    end: 0,
    hasRoom: true,
  }

  constructor(neighbours: Neighbours, pieces: PieceStore) {
    this.neighbours = neighbours
    this.#uploads = new Uploads(pieces)
    this.#house = {
      nextId: (time) => neighbours.revise(time),
      announce(queue, id, time) {
        const key = resultKey(queue, id)
        neighbours.announce({ map: RESULT_MAP, key, revision: neighbours.revise(time), value: NOTHING })
      },
      news: this.#news,
      bodies: new MemoryBodies(),
      uploads: this.#uploads,
    }
  }

  get version(): number {
    return this.#news.version
  }

  get dueAt(): LeaderMicros {
    return Math.min(this.#due.lowest, this.#uploads.dueAt)
  }

  run(task: Task): void {
    this.#execute(task, 'run')
  }

  check(task: Task): void {
    this.#execute(task, 'check')
  }

  apply(task: Task): void {
    this.#execute(task, 'apply')
  }

  query(kind: number, reader: ByteReader, reply: ByteWriter): boolean {
    if (kind < QUEUE_QUERY.stats || kind > QUEUE_QUERY.piece) return false
    if (kind === QUEUE_QUERY.queues) {
      answerQueues([...this.#queues.keys()].sort(), reader, reply)
      return true
    }
    const name = reader.text(KEY_LIMIT_BYTES)
    if (kind === QUEUE_QUERY.piece) {
      answerPiece(this.#uploads, reader, reply)
      return true
    }
    return answerQuery(kind, this.#queues.get(name)?.state ?? new QueueState(name, this.#house), reader, reply)
  }

  /** Queues are looked after in the order of their names, so that ids do not depend on how the heap came about. */
  advance(time: LeaderMicros): void {
    this.#uploads.advance(time)
    const due: QueueState[] = []
    while (this.#due.lowest <= time) {
      const state = this.#due.peek()
      const kept = state === undefined ? undefined : this.#queues.get(state.name)
      if (state === undefined || kept === undefined) break
      due.push(state)
      this.#due.update(kept.due, Number.POSITIVE_INFINITY)
    }
    due.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const state of due) {
      state.advance(time)
      this.#reschedule(this.#queues.get(state.name))
    }
  }

  /** See `Neighbours.enqueue`. */
  enqueue(message: Enqueued, time: LeaderMicros): number {
    const kept = this.#queues.get(message.queue) ?? this.#create(message.queue)
    if (kept === undefined) return 0
    const outcome = { status: 0, revision: 0 }
    sendMessage(kept.state, outgoingOf(message, time), { mode: 'run', time, outcome })
    this.#reschedule(kept)
    return outcome.status === STATUS.ok ? outcome.revision : 0
  }

  isReady(queue: string, now: LeaderMicros): boolean {
    const state = this.#queues.get(queue)?.state
    return state !== undefined && !state.isPaused && state.order.isReady(now)
  }

  hold(queue: string, now: LeaderMicros): HeldMessage | undefined {
    const state = this.#queues.get(queue)?.state
    if (state === undefined || state.isPaused) return undefined
    const slot = state.order.hold(now)
    if (slot === -1) return undefined
    const { messages } = state
    return {
      id: messages.id[slot] ?? 0,
      key: messages.keyOf(slot),
      attempts: messages.attempts.get(slot),
      time: messages.time[slot] ?? 0,
      body: messages.body(slot),
      leaseMs: state.settings.leaseMs,
    }
  }

  unhold(queue: string, id: number): void {
    const state = this.#queues.get(queue)?.state
    const slot = state?.live.find(id) ?? -1
    if (slot !== -1) state?.order.unhold(slot)
  }

  lead(since: LeaderMicros): void {
    for (const { state } of this.#queues.values()) state.order.lead(since)
  }

  takeRevoked(): readonly number[] {
    const { revoked } = this.#news
    if (revoked.length > 0) this.#news.revoked = []
    return revoked
  }

  unholdAll(): void {
    this.#news.revoked = []
    for (const { state } of this.#queues.values()) state.order.unholdAll()
  }

  nextAt(queue: string, now: LeaderMicros): LeaderMicros {
    const state = this.#queues.get(queue)?.state
    return state === undefined || state.isPaused ? Number.POSITIVE_INFINITY : state.order.nextAt(now)
  }

  freeze(): FrozenTable {
    const uploads = freezeUploads(this.#uploads)
    const frozen = Array.from(this.#queues.values(), ({ state }) => new FrozenQueue(state))
    return {
      *sections(): Generator<Uint8Array> {
        yield* uploads
        for (const queue of frozen) yield* queue.sections()
      },
      release(): void {
        for (const queue of frozen) queue.release()
      },
    }
  }

  load(section: ByteReader): void {
    let loaded: Kept | undefined
    loadSection(section, this.#uploads, (name) => {
      loaded = this.#queues.get(name) ?? this.#create(name)
      if (loaded === undefined) throw malformed('more queues than a shard has')
      return loaded.state
    })
    this.#reschedule(loaded)
  }

  /** All pieces of payloads that are here. */
  pieces(): Iterable<Piece> {
    return this.#uploads.pieces()
  }

  findPiece(upload: number, offset: number): Piece | undefined {
    return this.#uploads.find(upload, offset)
  }

  /** The piece that the body of a `piece` query names. */
  namedPiece(reader: ByteReader): Piece | undefined {
    reader.text(KEY_LIMIT_BYTES)
    return this.#uploads.find(reader.u53(), reader.u53())
  }

  /** The payloads that are here, or are to be. */
  get uploads(): ReadonlySet<number> {
    return this.#uploads.ids
  }

  #execute({ kind, reader, end, time, outcome, level }: Task, mode: Execution['mode']): void {
    const name = reader.text(KEY_LIMIT_BYTES)
    if (name === '') throw malformed('a queue has a name')
    outcome.revision = 0
    if (kind === QUEUE_COMMAND.upload) {
      const upload = reader.u53()
      const offset = reader.u53()
      const bytes = reader.blob(VALUE_LIMIT_BYTES)
      if (reader.at !== end || !isPlace(offset, bytes.length)) throw malformed('no such piece of a payload')
      outcome.status = mode !== 'run' ? STATUS.unsupported : STATUS.ok
      if (mode === 'run' && !this.#uploads.add(upload, offset, bytes, time)) outcome.status = STATUS.full
      return
    }
    const kept = this.#queues.get(name)
    if (kind === QUEUE_COMMAND.queueDelete) {
      const limit = reader.u32()
      expectEnd(reader, end)
      outcome.status = mode !== 'run' ? STATUS.unsupported : kept === undefined ? STATUS.absent : STATUS.ok
      if (mode === 'run' && kept !== undefined) outcome.revision = this.#delete(kept, limit, time)
      return
    }
    const state = kept?.state ?? new QueueState(name, this.#house)
    if (kept === undefined) state.isRuled = level < RULED_LEVEL
    const execution = this.#execution
    execution.mode = mode
    execution.time = time
    execution.outcome = outcome
    execution.end = end
    execution.hasRoom = kept !== undefined || this.#queues.size < QUEUES_LIMIT
    if (!executeCommand(kind, state, reader, execution)) return
    if (kind === QUEUE_COMMAND.configure && level < RULED_LEVEL) outcome.revision = 0
    this.#reschedule(kept ?? this.#keep(state))
    this.#news.version++
    if (outcome.status === STATUS.ok && !state.isRuled && SENDS.has(kind)) outcome.status = STATUS.unruled
  }

  /** Message by message; the last takes the queue along. */
  #delete(kept: Kept, limit: number, time: LeaderMicros): number {
    const { state, due } = kept
    const count = purge(state, ALL, limit, time)
    this.#news.version++
    if (state.live.size + state.dead.size > 0) this.#reschedule(kept)
    else {
      this.#queues.delete(state.name)
      this.#due.remove(due)
    }
    return count
  }

  #create(name: string): Kept | undefined {
    return this.#queues.size < QUEUES_LIMIT ? this.#keep(new QueueState(name, this.#house)) : undefined
  }

  #keep(state: QueueState): Kept {
    const kept = { state, due: this.#due.add(state, state.dueAt) }
    this.#queues.set(state.name, kept)
    return kept
  }

  #reschedule(kept: Kept | undefined): void {
    if (kept === undefined || kept.due.priority === kept.state.dueAt) return
    this.#due.update(kept.due, kept.state.dueAt)
  }
}

function outgoingOf({ key, headers, payload, deduplicationId }: Enqueued, due: LeaderMicros): OutgoingMessage {
  const body = new ByteWriter(headers.length + payload.length + 8)
  body.blob(headers)
  body.blob(payload)
  return {
    key,
    priority: 0,
    due,
    expires: Number.POSITIVE_INFINITY,
    deduplication: deduplicationId,
    mode: 'drop',
    window: ENQUEUE_WINDOW,
    body: body.take(),
  }
}
