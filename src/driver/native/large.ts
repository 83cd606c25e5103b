/** A large payload is one that no single command can carry: it goes to its shard in pieces, and comes from there in pieces. */

import { invalidArgument } from '../../base/argument.ts'
import type { ByteWriter } from '../../base/bytes.ts'
import { isTroupeError, TroupeError } from '../../base/error.ts'
import { encodeHeaders, HEADERS_LIMIT_BYTES, type Headers, LARGE_HEADER } from '../../base/headers.ts'
import { PAYLOAD_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import { type Random, randomId } from '../../base/random.ts'
import type { Clock } from '../../base/time.ts'
import { ANSWER_HEAD_BYTES, decodeCommandReply, encodeHead, NO_SESSION } from '../../machine/command.ts'
import { QUEUE_COMMAND, QUEUE_QUERY } from '../../machine/queue/command.ts'
import { encodePieceName } from '../../machine/queue/encode.ts'
import { OPERATION } from '../../wire/request.ts'
import type { CallOptions, OutgoingMessage, Sent } from '../contract.ts'
import { ASK, type Bodies } from './body.ts'
import { refusal } from './map/record.ts'
import { Operation, type Verb } from './route/operation.ts'
import type { Router } from './route/router.ts'

/** How payloads are cut. */
export interface PieceSizes {
  /** Most bytes of a payload that stays whole, at most 1 MiB. */
  readonly whole: number
  /** Bytes of a piece, at most 1 MiB. Larger ones hold up other writes of the shard, smaller ones are more entries in its log. */
  readonly piece: number
}

/** The pieces that are under way together make one entry, which fits into a slab of the log's payload cache. */
const SIZES: PieceSizes = { whole: VALUE_LIMIT_BYTES, piece: 120 * 1024 }

/** Pieces under way at once, to the shard and from it: what a payload occupies on its way is this many. */
const MOST_SENT = 4
const MOST_FETCHED = 2
const NOTHING = new Uint8Array(0)
/** A piece may be sent as often as one likes, so it needs no session. */
const ANYONE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }

/** Where a payload is, and how long it is. */
export interface LargeName {
  readonly upload: number
  readonly bytes: number
}

export interface Destination {
  readonly queue: string
  readonly shard: number
}

export interface LargePorts {
  readonly clock: Clock
  readonly random: Random
  readonly sizes?: PieceSizes | undefined
}

export class LargePayloads {
  readonly #router: Router
  readonly #bodies: Bodies
  readonly #ports: LargePorts
  readonly #sizes: PieceSizes

  constructor(router: Router, bodies: Bodies, ports: LargePorts) {
    this.#router = router
    this.#bodies = bodies
    this.#ports = ports
    this.#sizes = ports.sizes ?? SIZES
  }

  isLarge(message: OutgoingMessage): boolean {
    return message.payload.length > this.#sizes.whole
  }

  /**
   * Brings the payload to its shard, then has `send` send the message that refers to it: both anew, if the shard has
   * forgotten the payload before the message came. A `timeout` is for all of it; without one each piece has the usual
   * time.
   */
  async send(
    { payload, ...message }: OutgoingMessage,
    to: Destination,
    options: CallOptions,
    send: (message: OutgoingMessage, large: LargeName, options: CallOptions) => Promise<Sent>,
  ): Promise<Sent> {
    if (payload.length > PAYLOAD_LIMIT_BYTES) {
      throw new TroupeError('TOO_LARGE', `a payload has at most ${PAYLOAD_LIMIT_BYTES} bytes: send a reference`, {
        details: { bytes: payload.length, limit: PAYLOAD_LIMIT_BYTES },
      })
    }
    if (message.deduplication?.mode === 'requeue') {
      throw invalidArgument(`a payload of more than ${this.#sizes.whole} bytes cannot be deduplicated by 'requeue'`)
    }
    const remaining = this.#remaining(options)
    for (;;) {
      const large = { upload: randomId(this.#ports.random), bytes: payload.length }
      await this.#upload(payload, large.upload, to, remaining)
      const headers = headersOf(message, large)
      try {
        return await send({ ...message, headers, payload: NOTHING }, large, remaining())
      } catch (error) {
        if (!isTroupeError(error, 'CONFLICT')) throw error
      }
    }
  }

  /** @param between called after each piece that comes */
  async fetch({ upload, bytes }: LargeName, from: Destination, between: () => Promise<void>): Promise<Uint8Array> {
    const payload = new Uint8Array(bytes)
    const first = await this.#fetchPiece(upload, 0, from)
    payload.set(first)
    // All but the last are of one length.
    const offsets = offsetsOf(bytes, first.length).slice(1)
    await inLanes(offsets, MOST_FETCHED, async (offset) => {
      await between()
      payload.set(await this.#fetchPiece(upload, offset, from), offset)
    })
    return payload
  }

  async #upload(payload: Uint8Array, upload: number, to: Destination, remaining: () => CallOptions): Promise<void> {
    await inLanes(offsetsOf(payload.length, this.#sizes.piece), MOST_SENT, async (offset) => {
      const value = payload.subarray(offset, offset + this.#sizes.piece)
      await this.#router.submit(
        new Operation(uploadVerb(to.queue, upload, offset), { shard: to.shard, value }),
        remaining(),
      )
    })
  }

  async #fetchPiece(upload: number, offset: number, { queue, shard }: Destination): Promise<Uint8Array> {
    const value = this.#bodies.write((writer) => {
      writer.u8(QUEUE_QUERY.piece)
      encodePieceName(writer, queue, upload, offset)
    })
    const answer = await this.#router.submit(new Operation(ASK, { shard, value }), {})
    const { status } = decodeCommandReply(answer)
    if (status !== 'ok' || answer.length === ANSWER_HEAD_BYTES) throw new PieceMissing(offset)
    return answer.subarray(ANSWER_HEAD_BYTES)
  }

  #remaining({ signal, timeout }: CallOptions): () => CallOptions {
    const { clock } = this.#ports
    const deadline = clock.now() + (timeout ?? 0)
    const signalled = signal === undefined ? {} : { signal }
    if (timeout === undefined) return () => signalled
    return () => ({ ...signalled, timeout: Math.max(0, deadline - clock.now()) })
  }
}

/** The shard has no such piece, or not as it was. */
export class PieceMissing extends TroupeError {
  constructor(offset: number) {
    super('DATA_DAMAGED', `the leader of the shard cannot read the payload at byte ${offset}`)
  }
}

/** A message's headers and the one that says where its payload is. */
function headersOf({ headers }: Pick<OutgoingMessage, 'headers'>, { bytes, upload }: LargeName): Headers {
  const all = { ...headers, [LARGE_HEADER]: `${bytes}.${upload}` }
  if (encodeHeaders(all).length <= HEADERS_LIMIT_BYTES) return all
  throw new TroupeError(
    'TOO_LARGE',
    `headers take at most ${HEADERS_LIMIT_BYTES} bytes with the one of a large payload`,
  )
}

/** What the header of a message says of its payload; undefined for a message that is not large. */
export function largeOf(headers: Readonly<Record<string, string>>): LargeName | undefined {
  const [, bytes, upload] = LARGE_NAME.exec(headers[LARGE_HEADER] ?? '') ?? []
  const name = { upload: Number(upload), bytes: Number(bytes) }
  return upload === undefined || name.bytes > PAYLOAD_LIMIT_BYTES ? undefined : name
}

const LARGE_NAME = /^(\d{1,9})\.(\d{1,16})$/

function uploadVerb(queue: string, upload: number, offset: number): Verb<void> {
  return {
    operation: OPERATION.command,
    isWrite: false,
    encode(writer: ByteWriter, operation: Operation<void>): void {
      encodeHead(writer, QUEUE_COMMAND.upload, ANYONE)
      encodePieceName(writer, queue, upload, offset)
      writer.blob(operation.value)
    },
    decode(bytes: Uint8Array): void {
      const { status, revision } = decodeCommandReply(bytes)
      if (status === 'ok') return
      if (status !== 'full') throw refusal(status, revision)
      throw new TroupeError(
        'OVERLOADED',
        'too many large payloads are on their way to one shard; slow down and try again',
      )
    },
  }
}

function offsetsOf(bytes: number, step: number): number[] {
  return Array.from({ length: Math.ceil(bytes / step) }, (_, at) => at * step)
}

/** Calls `task` for each, so many at a time; the first that rejects is the last to begin. */
async function inLanes(offsets: number[], lanes: number, task: (offset: number) => Promise<void>): Promise<void> {
  const waiting = offsets.reverse()
  const lane = async (): Promise<void> => {
    for (let offset = waiting.pop(); offset !== undefined; offset = waiting.pop()) {
      try {
        await task(offset)
      } catch (error) {
        waiting.length = 0
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
