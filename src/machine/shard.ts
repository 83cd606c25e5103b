/** A shard's machine executes the commands of its log on tables of every type, each command once. */

import { ByteReader, ByteWriter, malformed } from '../base/bytes.ts'
import { isTroupeError } from '../base/error.ts'
import { hashBytes } from '../base/hash.ts'
import { BatchReader, type LeaderMicros } from './batch.ts'
import { CHANGE_LIMITS, type ChangeLimits, ChangeLog } from './changes.ts'
import { COMMAND, type CommandHead, type Outcome, QUERY, RESOLUTIONS, readHead, STATUS } from './command.ts'
import { KeyValue } from './key-value.ts'
import type { FrozenState, Machine, ReplySink } from './machine.ts'
import { SESSION_LIMITS, type SessionLimits, Sessions } from './session.ts'
import { encodeBeginning, encodeSnapshot, readSnapshot } from './snapshot.ts'

export interface ShardLimits {
  readonly changes: ChangeLimits
  readonly sessions: SessionLimits
}

const SHARD_LIMITS: ShardLimits = { changes: CHANGE_LIMITS, sessions: SESSION_LIMITS }

/** `[status u8, revision u53]` */
const REPLY_BYTES = 9
const ANSWERS_BYTES = 65_536

export class Shard implements Machine {
  readonly changes: ChangeLog
  readonly #limits: ShardLimits
  #keyValue: KeyValue
  #sessions: Sessions
  /** The latest time of any batch: a leader whose clock is behind does not turn it back. */
  #time: LeaderMicros = 0
  // Filled again for every command, so that none allocates.
  readonly #head: CommandHead = { kind: 0, session: 0, sequence: 0, acknowledged: 0 }
  readonly #outcome: Outcome = { status: 0, revision: 0 }
  readonly #reply: ByteWriter = new ByteWriter(REPLY_BYTES)
  /** Answers are views of it, many to one buffer: allocating bytes costs more than answering. */
  readonly #answers: ByteWriter = new ByteWriter(ANSWERS_BYTES)

  constructor(limits: ShardLimits = SHARD_LIMITS) {
    this.#limits = limits
    this.changes = new ChangeLog(limits.changes)
    this.#keyValue = new KeyValue(this.changes)
    this.#sessions = new Sessions(limits.sessions)
  }

  get revision(): number {
    return this.#keyValue.revision
  }

  apply(entry: Uint8Array, reply: ReplySink): void {
    const batch = new BatchReader(detached(entry))
    this.#time = Math.max(this.#time, batch.time)
    while (batch.next()) {
      this.#execute(batch)
      reply(batch.position, this.#encodeReply())
    }
    this.#fail(batch.supported ? STATUS.malformed : STATUS.unsupported)
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
    return {
      chunks: () => encodeSnapshot(beginning, maps),
      release() {
        for (const { table } of maps) table.release()
      },
    }
  }

  restore(chunks: Iterable<Uint8Array>): void {
    const keyValue = new KeyValue(this.changes)
    const sessions = new Sessions(this.#limits.sessions)
    let time = 0
    readSnapshot(chunks, {
      header(header) {
        time = header.time
        keyValue.begin(header.revision)
        sessions.begin(header.forgetful)
      },
      session: (session) => sessions.load(session),
      expired: (id, touched) => sessions.loadExpired(id, touched),
      record: (map, key, revision, value) => keyValue.load(map, key, revision, value),
    })
    this.#keyValue = keyValue
    this.#sessions = sessions
    this.#time = time
    this.changes.reset(keyValue.revision)
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
      this.#run(head.kind, batch)
      const isSettled = this.#outcome.status <= STATUS.conflict
      if (!isAnonymous && isSettled) this.#sessions.settle(head.sequence, this.#outcome)
    } catch (error) {
      this.#failWith(error)
    }
  }

  #run(kind: number, batch: BatchReader): void {
    const { reader, end } = batch
    if (kind === COMMAND.set) this.#keyValue.set(reader, end, this.#time, this.#outcome)
    else if (kind === COMMAND.delete) this.#keyValue.delete(reader, end, this.#time, this.#outcome)
    else if (kind === COMMAND.resolve) this.#resolve(reader, end)
    else this.#fail(STATUS.unsupported)
  }

  #resolve(reader: ByteReader, end: number): void {
    const session = reader.u53()
    const sequence = reader.u53()
    if (reader.at !== end) throw malformed('a command is longer than its content')
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

/** The entry in a buffer that holds little else: changes keep it, and a view would keep a whole frame of the network. */
function detached(entry: Uint8Array): Uint8Array {
  return entry.buffer.byteLength <= 2 * entry.length ? entry : new Uint8Array(entry)
}
