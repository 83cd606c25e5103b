/** A body is what a command or query says after its head; bodies of many operations share a buffer until they are answered. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { TroupeError } from '../../base/error.ts'
import { COMMAND_LIMIT_BYTES } from '../../base/limit.ts'
import {
  COMMAND_HEAD_BYTES,
  type CommandReply,
  decodeCommandReply,
  encodeHead,
  isCommitted,
  NO_SESSION,
} from '../../machine/command.ts'
import { encodeTransaction, type Part } from '../../machine/transaction.ts'
import { OPERATION } from '../../wire/request.ts'
import type { Receipt } from '../contract.ts'
import { refusal } from './map/record.ts'
import type { Operation, Verb } from './route/operation.ts'

const BUFFER_BYTES = 65_536

export class Bodies {
  readonly #writer = new ByteWriter(BUFFER_BYTES)
  #start = 0

  /** What is written until `end` is one body. */
  begin(): ByteWriter {
    if (this.#writer.length > BUFFER_BYTES / 2) this.#writer.take(BUFFER_BYTES)
    this.#start = this.#writer.length
    return this.#writer
  }

  end(): Uint8Array {
    return this.#writer.bytes.subarray(this.#start, this.#writer.length)
  }

  write(encode: (writer: ByteWriter) => void): Uint8Array {
    encode(this.begin())
    return this.end()
  }

  transaction(parts: readonly Part[]): Uint8Array {
    encodeTransaction(this.begin(), { session: NO_SESSION, sequence: 0, acknowledged: 0 }, parts)
    const { length } = this.end()
    // What is larger than a frame ends the connection, and nobody would hear why.
    if (length > COMMAND_LIMIT_BYTES) throw tooLarge(length)
    return this.end().subarray(COMMAND_HEAD_BYTES)
  }
}

function tooLarge(bytes: number): TroupeError {
  const message = `what happens together takes ${bytes} bytes; the limit is ${COMMAND_LIMIT_BYTES}`
  return new TroupeError('TOO_LARGE', message)
}

/** How a command with one number ended, and what the answer can show for itself. */
export interface Done extends CommandReply {
  readonly shard: number
  readonly receipt: Receipt
}

/** A command whose body is the operation's value. Everything that is not committed is thrown. */
export function commandVerb(kind: number): Verb<Done> {
  return {
    operation: OPERATION.command,
    isWrite: true,
    encode(writer: ByteWriter, operation: Operation<Done>): void {
      encodeHead(writer, kind, operation)
      writer.raw(operation.value)
    },
    decode: decodeDone,
  }
}

/**
 * The same, of what is sent to a queue or published to a topic, with whose name the body begins; `unruled` is called
 * when its rules are gone.
 */
export function ruledVerb(kind: number, unruled: (name: string) => void): Verb<Done> {
  return {
    ...commandVerb(kind),
    decode(bytes: Uint8Array, operation: Operation<Done>): Done {
      const done = decodeDone(bytes, operation)
      if (done.status === 'unruled') unruled(new ByteReader(operation.value).text())
      return done
    },
  }
}

/** The same, but executed only while the lease with the operation's token stands; of a message that is gone none does. */
export function settleVerb(kind: number): Verb<Done> {
  return {
    operation: OPERATION.settle,
    isWrite: true,
    encode(writer: ByteWriter, operation: Operation<Done>): void {
      writer.u16(1)
      writer.u53(operation.token)
      encodeHead(writer, kind, operation)
      writer.raw(operation.value)
    },
    decode(bytes: Uint8Array, operation: Operation<Done>): Done {
      const done = decodeDone(bytes, operation)
      if (done.status === 'absent') throw refusal('fenced', 0)
      return done
    },
  }
}

function decodeDone(bytes: Uint8Array, { shard, receipt }: Operation<Done>): Done {
  const { status, revision } = decodeCommandReply(bytes)
  if (!isCommitted(bytes[0] ?? 0)) throw refusal(status, revision)
  return { status, revision, shard, receipt }
}

/** Asks with the operation's value; a view of the answer, with its status. */
export const ASK: Verb<Uint8Array> = {
  operation: OPERATION.query,
  isWrite: false,
  encode(writer: ByteWriter, operation: Operation<Uint8Array>): void {
    writer.raw(operation.value)
  },
  decode(bytes: Uint8Array): Uint8Array {
    const { status, revision } = decodeCommandReply(bytes)
    if (status !== 'ok' && status !== 'absent' && status !== 'fenced') throw refusal(status, revision)
    return bytes
  },
}

/** A request to the leader that is no machine's: its value is what follows the operation. */
export function leaderVerb<Answer>(operation: number, decode: (bytes: Uint8Array) => Answer): Verb<Answer> {
  return {
    operation,
    isWrite: false,
    encode(writer: ByteWriter, asked: Operation<Answer>): void {
      writer.raw(asked.value)
    },
    decode,
  }
}
