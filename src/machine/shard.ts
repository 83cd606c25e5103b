/** A shard's machine executes the commands of its log on tables of every type, each command once. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { crc32 } from '../base/crc.ts'
import { isTroupeError } from '../base/error.ts'
import { hashBytes } from '../base/hash.ts'
import { BatchReader, type LeaderMicros } from './batch.ts'
import {
  ANSWER_HEAD_BYTES,
  COMMAND,
  type CommandHead,
  expectEnd,
  isCommitted,
  isSettled,
  type Outcome,
  QUERY,
  RESOLUTIONS,
  readHead,
  STATUS,
} from './command.ts'
import { CHANGE_LIMITS, type ChangeLimits, ChangeLog } from './key-value/changes.ts'
import { KeyHash } from './key-value/key-hash.ts'
import { KeyValue } from './key-value/key-value.ts'
import type { LeaderView } from './leader-view.ts'
import { expectLevel, LEVEL, type Level } from './level.ts'
import type { FrozenState, Machine, ReplySink, Restoration } from './machine.ts'
import { laneNameOf } from './outbox.ts'
import { MemoryPieces, type Piece, type PieceStore } from './pieces.ts'
import { QUEUE_QUERY } from './queue/command.ts'
import { SESSION_LIMITS, type SessionLimits, Sessions } from './session.ts'
import { encodeBeginning, encodeSnapshot, SnapshotReader } from './snapshot.ts'
import { TABLE, type Table, type Task, tableOf } from './table.ts'
import { Tables } from './tables.ts'
import { forEachPart } from './transaction.ts'

export interface ShardLimits {
  readonly changes: ChangeLimits
  readonly sessions: SessionLimits
  /** Of the entries that it executes. */
  readonly level: Level
}

const NO_SECRET: KeyHash = new KeyHash({ low: 0, high: 0 })
export const SHARD_LIMITS: ShardLimits = { changes: CHANGE_LIMITS, sessions: SESSION_LIMITS, level: LEVEL }

const ANSWERS_BYTES = 65_536
const NOTHING: Uint8Array = new Uint8Array(0)

export class Shard implements Machine {
  readonly changes: ChangeLog
  readonly #limits: ShardLimits
  readonly #hash: KeyHash
  readonly #pieces: PieceStore
  #keyValue: KeyValue
  #sessions: Sessions
  #tables: Tables
  /** The latest time of any batch: a leader whose clock is behind does not turn it back. */
  #time: LeaderMicros = 0
  // Filled again for every command, so that none allocates.
  readonly #head: CommandHead = { kind: 0, session: 0, sequence: 0, acknowledged: 0 }
  readonly #outcome: Outcome = { status: 0, revision: 0 }
  readonly #nothing: ByteReader = new ByteReader(NOTHING)
  readonly #task: { -readonly [Field in keyof Task]: Task[Field] } = {
    kind: 0,
    reader: this.#nothing,
    end: 0,
    time: 0,
    outcome: this.#outcome,
    level: 0,
  }
  readonly #reply: ByteWriter = new ByteWriter(ANSWER_HEAD_BYTES)
  /** Answers are views of it, many to one buffer: allocating bytes costs more than answering. */
  readonly #answers: ByteWriter = new ByteWriter(ANSWERS_BYTES)

  /** @param hash of keys; one with a secret where those who choose keys may mean ill */
  constructor(limits: ShardLimits = SHARD_LIMITS, hash: KeyHash = NO_SECRET, pieces: PieceStore = new MemoryPieces()) {
    this.#limits = limits
    this.#hash = hash
    this.#pieces = pieces
    this.changes = new ChangeLog(limits.changes)
    this.#keyValue = new KeyValue(this.changes, this.#hash)
    this.#sessions = new Sessions(limits.sessions)
    this.#tables = new Tables(this.#keyValue, pieces)
  }

  get time(): LeaderMicros {
    return this.#time
  }

  get dueAt(): LeaderMicros {
    return this.#tables.dueAt
  }

  get view(): LeaderView {
    return this.#tables
  }

  get revision(): number {
    return this.#keyValue.revision
  }

  apply(entry: Uint8Array, reply: ReplySink): void {
    const batch = new BatchReader(entry)
    expectLevel('an entry of the log is', batch.level, this.#limits.level)
    this.#task.level = batch.level
    this.changes.begin(entry)
    this.#time = Math.max(this.#time, batch.time)
    if (this.#time >= this.#tables.dueAt) this.#tables.advance(this.#time)
    while (batch.next()) {
      this.#execute(batch)
      reply(batch.position, this.#encodeReply())
    }
    this.changes.end()
    // A task that is over must not keep the frame that its entry came in.
    this.#task.reader = this.#nothing
    this.#fail(STATUS.malformed)
    for (let position = batch.position + 1; position < batch.count; position++) reply(position, this.#encodeReply())
  }

  query(query: Uint8Array): Uint8Array {
    const answers = this.#answers
    if (answers.length > ANSWERS_BYTES / 2) answers.take(ANSWERS_BYTES)
    const start = answers.length
    try {
      const reader = new ByteReader(query)
      const kind = reader.u8()
      if (kind === QUERY.get && this.#keyValue.get(reader, answers))
        return answers.bytes.subarray(start, answers.length)
      if (kind === QUERY.scan && this.#keyValue.scan(reader, answers))
        return answers.bytes.subarray(start, answers.length)
      if (this.#tables.asked(kind).query(kind, reader, answers)) {
        return answers.bytes.subarray(start, answers.length)
      }
      this.#fail(kind === QUERY.get || kind === QUERY.scan ? STATUS.malformed : STATUS.unsupported)
    } catch (error) {
      this.#failWith(error)
    }
    return new Uint8Array(this.#encodeReply())
  }

  freeze(): FrozenState {
    const { revision } = this
    const beginning = encodeBeginning(
      { revision, time: this.#time, forgetful: this.#sessions.forgetful },
      this.#sessions,
    )
    const maps = this.#keyValue.maps().map(([name, table]) => ({ name, table: table.freeze(revision) }))
    const tables = this.#tables.all.map((table) => ({ type: table.type, table: table.freeze() }))
    return {
      chunks: () => encodeSnapshot(beginning, { maps, tables }),
      release() {
        for (const { table } of tables) table.release()
        for (const { table } of maps) table.release()
      },
    }
  }

  /** {@link beginRestore} in one go. */
  restore(chunks: Iterable<Uint8Array>): void {
    const restoration = this.beginRestore()
    for (const chunk of chunks) restoration.push(chunk)
    restoration.finish()
  }

  beginRestore(): Restoration {
    const keyValue = new KeyValue(this.changes, this.#hash)
    const sessions = new Sessions(this.#limits.sessions)
    const tables = new Tables(keyValue, this.#pieces)
    let time = 0
    const reader = new SnapshotReader({
      header(header) {
        time = header.time
        keyValue.begin(header.revision)
        sessions.begin(header.forgetful)
      },
      session: (session) => sessions.load(session),
      expired: (id, touched) => sessions.loadExpired(id, touched),
      record: (map, key, revision, value) => keyValue.load(map, key, revision, value),
      section: (type, section) => tables.load(type, section),
      piece: (upload, offset, bytes) => {
        const piece = tables.queues.findPiece(upload, offset)
        if (piece?.length === bytes.length) this.#pieces.put(upload, offset, bytes)
      },
    })
    return {
      push: (chunk) => reader.push(chunk),
      finish: () => {
        reader.finish()
        this.#keyValue = keyValue
        this.#sessions = sessions
        this.#tables = tables
        this.#time = time
        this.changes.reset(keyValue.revision)
        this.#pieces.retain(tables.queues.uploads)
      },
    }
  }

  pieces(): Iterable<Piece> {
    return this.#tables.queues.pieces()
  }

  readPiece(piece: Piece): Uint8Array | undefined {
    return this.#pieces.get(piece)
  }

  lostPiece(query: Uint8Array): Piece | undefined {
    return query[0] === QUEUE_QUERY.piece ? this.#tables.queues.namedPiece(new ByteReader(query, 1)) : undefined
  }

  mendPiece({ upload, offset }: Piece, bytes: Uint8Array): boolean {
    const piece = this.#tables.queues.findPiece(upload, offset)
    if (piece?.length !== bytes.length || piece.crc !== crc32(bytes)) return false
    this.#pieces.put(upload, offset, bytes)
    return true
  }

  digest(): number {
    const frozen = this.freeze()
    let last: Uint8Array = new Uint8Array(0)
    for (const chunk of frozen.chunks()) last = chunk
    frozen.release()
    return hashBytes(last)
  }

  #execute(batch: BatchReader): void {
    const head = this.#head
    try {
      readHead(batch.reader, head)
      const isAnonymous = head.session === 0
      if (!isAnonymous && !this.#sessions.admit(head, this.#time, this.#outcome)) return
      this.#run(head.kind, batch.reader, batch.end)
      if (!isAnonymous && isSettled(this.#outcome.status)) this.#sessions.settle(head.sequence, this.#outcome)
    } catch (error) {
      this.#failWith(error)
    }
  }

  #run(kind: number, reader: ByteReader, end: number): void {
    if (kind === COMMAND.set) this.#keyValue.set(reader, end, this.#time, this.#outcome)
    else if (kind === COMMAND.delete) this.#keyValue.delete(reader, end, this.#time, this.#outcome)
    else if (tableOf(kind) !== TABLE.machine) this.#tableOf(kind).run(this.#taskOf(kind, reader, end))
    else if (kind === COMMAND.transaction) this.#transact(reader, end)
    else if (kind === COMMAND.resolve) this.#resolve(reader, end)
    else if (kind === COMMAND.refuse) this.#fail(STATUS.fenced)
    else if (kind === COMMAND.relay) this.#relay(reader, end)
    else this.#tables.outbox.run(this.#taskOf(kind, reader, end))
  }

  /** See `transaction.ts`. */
  #transact(reader: ByteReader, end: number): void {
    const outcome = this.#outcome
    const start = reader.at
    let passes = true
    forEachPart(reader, end, (kind, partEnd) => {
      if (!passes) return
      const task = this.#taskOf(kind, reader, partEnd)
      if (kind === COMMAND.set || kind === COMMAND.delete) this.#keyValue.check(task)
      else this.#tableOf(kind).check(task)
      passes = isCommitted(outcome.status)
    })
    if (!passes) return
    reader.at = start
    forEachPart(reader, end, (kind, partEnd) => {
      const task = this.#taskOf(kind, reader, partEnd)
      if (kind === COMMAND.set || kind === COMMAND.delete) this.#keyValue.apply(task)
      else this.#tableOf(kind).apply(task)
    })
  }

  /** See `OutboxTable`. */
  #relay(reader: ByteReader, end: number): void {
    const { outbox } = this.#tables
    const shard = reader.u32()
    const sequence = reader.u53()
    const kind = reader.u8()
    const source = { shard, name: laneNameOf(kind, reader) }
    const next = outbox.nextOf(source)
    if (sequence !== next || outbox.isStrange(source)) {
      this.#outcome.status = sequence < next ? STATUS.duplicate : STATUS.conflict
      this.#outcome.revision = next
      return
    }
    this.#runRelayed(kind, reader, end)
    if (this.#outcome.status === STATUS.full) return
    outbox.admit(source)
    this.#outcome.status = STATUS.ok
    this.#outcome.revision = sequence
  }

  /** Whatever it comes to, even that it is no command at all, is an outcome: what follows it does not wait. */
  #runRelayed(kind: number, reader: ByteReader, end: number): void {
    try {
      if (tableOf(kind) === TABLE.machine) this.#fail(STATUS.unsupported)
      else this.#run(kind, reader, end)
    } catch (error) {
      this.#failWith(error)
    }
  }

  #tableOf(kind: number): Table {
    return this.#tables.of(kind, this.#task.level)
  }

  /** The command that is to be executed now. */
  #taskOf(kind: number, reader: ByteReader, end: number): Task {
    const task = this.#task
    task.kind = kind
    task.reader = reader
    task.end = end
    task.time = this.#time
    return task
  }

  #resolve(reader: ByteReader, end: number): void {
    const session = reader.u53()
    const sequence = reader.u53()
    expectEnd(reader, end)
    const resolution = this.#sessions.resolve(session, sequence, this.#time)
    this.#outcome.status = STATUS.ok
    this.#outcome.revision = RESOLUTIONS.indexOf(resolution)
  }

  #fail(status: number): void {
    this.#outcome.status = status
    this.#outcome.revision = 0
  }

  /** Whatever a client sent ends in a reply; an error of another kind is our own, and stops the node. */
  #failWith(error: unknown): void {
    if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
    this.#fail(STATUS.malformed)
  }

  #encodeReply(): Uint8Array {
    const reply = this.#reply
    reply.length = 0
    reply.u8(this.#outcome.status)
    reply.u53(this.#outcome.revision)
    return reply.bytes
  }
}
