/** A channel over one TCP connection whose handshake is done. */

import { connect, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'
import { assert } from '../base/assert.ts'
import { malformed } from '../base/bytes.ts'
import { TroupeError } from '../base/error.ts'
import { FRAME_HEADER_BYTES, FrameReader, writeFrameHeader } from '../base/frame.ts'
import type { Millis } from '../base/time.ts'
import { parseAddress } from '../runtime/address.ts'
import type { Channel } from '../wire/channel.ts'
import { FEATURE, Handshake, type Party } from '../wire/handshake.ts'
import type { DeadBuffers } from './dead-buffers.ts'
import { HANDSHAKE_LIMITS, hangUp, plainBytes, shakeHands } from './handshake.ts'
import { systemCrypto } from './random.ts'
import type { Unsent, UnsentTotal } from './unsent.ts'

/** The longest frame that an authenticated side may send. */
const MOST_FRAME_BYTES: number = 16 * 2 ** 20

/** What a client may have on its way to a node that does not read; the other direction has the same limit. */
export const CLIENT_BUDGET_BYTES: number = 16 * 2 ** 20

/** Frames leave in parts of this size from one buffer, which is used again and again. */
const OUTGOING_BYTES = 64 * 1024

/** A frame from here on is large: a batch of small messages hardly ever is, one with a piece of a payload always. */
const LARGE_BYTES = 100 * 1024

/** What the network reads at once from a busy connection is longer than this. */
const FULL_CHUNK_BYTES = 32 * 1024

/** Before a frame, where both sides can: its CRC-32. */
const CHECKSUM_BYTES = 4

export interface TcpChannelSettings {
  /** What may be on its way to the other side. */
  readonly budgetBytes: number
  /** What both sides of the handshake can; see `FEATURE`. */
  readonly features: number
  /** Told when the other side sent what no frame can be; the channel is closed. */
  readonly hostile?: () => void
  /** Where what the other side has not taken counts together with that of others. */
  readonly total?: UnsentTotal | undefined
  /** Where the buffers go that large frames leave behind; absent: V8 collects them in its own time. */
  readonly deadBuffers?: DeadBuffers | undefined
}

export class TcpChannel implements Channel, Unsent {
  readonly #socket: Socket
  readonly #budgetBytes: number
  readonly #hostile: () => void
  readonly #deadBuffers: DeadBuffers | undefined
  readonly #total: UnsentTotal | undefined
  /** Bytes of a frame before its own. */
  readonly #headBytes: number
  readonly #reader: FrameReader
  /** Undefined while the socket still has it. */
  #outgoing: Uint8Array | undefined
  #frameHandler: ((frame: Uint8Array) => void) | undefined
  #closeHandler: ((reason: Error | undefined) => void) | undefined
  #closed = false

  /** @param socket paused; nothing is read before `onFrame` */
  constructor(socket: Socket, { budgetBytes, features, hostile = () => {}, deadBuffers, total }: TcpChannelSettings) {
    this.#socket = socket
    this.#hostile = hostile
    this.#deadBuffers = deadBuffers
    this.#total = total
    this.#budgetBytes = budgetBytes
    this.#headBytes = (features & FEATURE.checksums) === 0 ? 0 : CHECKSUM_BYTES
    this.#reader = new FrameReader(MOST_FRAME_BYTES + this.#headBytes)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 10_000)
    socket.on('drain', () => total?.count(this))
    socket.on('error', (error) => this.#ended(lost(error)))
    socket.on('close', () => this.#ended(lost()))
  }

  send(frame: Uint8Array): boolean {
    assert(frame.length <= MOST_FRAME_BYTES, `a frame has at most ${MOST_FRAME_BYTES} bytes`)
    if (this.#closed || this.#socket.writableLength + frame.length > this.#budgetBytes) return false
    const head = FRAME_HEADER_BYTES + this.#headBytes
    const isWhole = head + frame.length <= OUTGOING_BYTES
    const first = isWhole ? frame : frame.subarray(0, OUTGOING_BYTES - head)
    const bytes = this.#bufferFor(head + first.length)
    writeFrameHeader(bytes, this.#headBytes + frame.length)
    if (this.#headBytes > 0) viewOf(bytes).setUint32(FRAME_HEADER_BYTES, crc32(frame), true)
    bytes.set(first, head)
    this.#write(bytes, head + first.length)
    if (!isWhole) this.#sendRest(frame.subarray(first.length))
    if (frame.length >= LARGE_BYTES) this.#deadBuffers?.passed(frame.length)
    if (this.#socket.writableLength > 0) this.#total?.count(this)
    return !this.#closed
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  cutOff(): void {
    this.abort(new TroupeError('OVERLOADED', 'clients leave too much unread together, and this one the most'))
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    assert(this.#frameHandler === undefined, 'the frame handler of a channel is set once')
    this.#frameHandler = handler
    this.#socket.on('data', (chunk: Uint8Array) => this.#received(chunk))
    this.#socket.resume()
  }

  onClose(handler: (reason: Error | undefined) => void): void {
    this.#closeHandler = handler
  }

  close(): void {
    if (this.#closed) return
    hangUp(this.#socket)
    this.#ended(undefined)
  }

  /** Closes at once; what was not sent yet is lost. The close handler hears the reason. */
  abort(reason: TroupeError): void {
    this.#socket.destroy()
    this.#ended(reason)
  }

  /** Bytes received and sent so far: a connection on which the first stands still while the second grows is dead or stalled. */
  get traffic(): { readonly received: number; readonly sent: number } {
    return { received: this.#socket.bytesRead, sent: this.#socket.bytesWritten }
  }

  #received(chunk: Uint8Array): void {
    if (this.#closed) return
    try {
      if (!this.#reader.push(plainBytes(chunk), this.#receive)) this.#giveBack(chunk)
    } catch (error) {
      // Bytes that are not what they claim to be cost their sender the connection, and nobody else anything.
      if (!(error instanceof TroupeError) || error.code !== 'DATA_DAMAGED') throw error
      this.#hostile()
      this.abort(error)
    }
  }

  /** Nobody has a view of the chunk: all of it was copied. */
  #giveBack({ buffer, length }: Uint8Array): void {
    const isAlone = buffer instanceof ArrayBuffer && length === buffer.byteLength
    if (isAlone && length > FULL_CHUNK_BYTES) this.#deadBuffers?.giveBack(buffer)
  }

  readonly #receive = (received: Uint8Array): void => {
    if (this.#closed) return
    const frame = received.subarray(this.#headBytes)
    if (this.#headBytes > 0) {
      if (received.length < CHECKSUM_BYTES || viewOf(received).getUint32(0, true) !== crc32(frame))
        throw malformed('a frame is not what was sent')
    }
    this.#frameHandler?.(frame)
    if (frame.length >= LARGE_BYTES) this.#deadBuffers?.passed(frame.length)
  }

  /** Part by part while the operating system takes them at once; what it doesn't take waits in a buffer of its own. */
  #sendRest(rest: Uint8Array): void {
    for (let at = 0; at < rest.length; ) {
      const part = this.#socket.writableLength > 0 ? rest.subarray(at) : rest.subarray(at, at + OUTGOING_BYTES)
      const bytes = this.#bufferFor(part.length)
      bytes.set(part)
      this.#write(bytes, part.length)
      at += part.length
    }
  }

  #write(bytes: Uint8Array, length: number): void {
    this.#socket.write(bytes.subarray(0, length))
    // As a rule the operating system has taken all of it by now.
    if (this.#socket.writableLength > 0) this.#outgoing = undefined
  }

  #bufferFor(length: number): Uint8Array {
    if (this.#socket.writableLength > 0) return new Uint8Array(length)
    this.#outgoing ??= new Uint8Array(OUTGOING_BYTES)
    return this.#outgoing
  }

  #ended(reason: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#total?.forget(this)
    this.#closeHandler?.(reason)
  }
}

export interface ConnectOptions {
  /** The cluster's secret; absent when it has none. */
  readonly secret?: Uint8Array | undefined
  /** Refuse any other cluster than this one; empty for any. */
  readonly cluster?: string
  /** Gives the attempt up. */
  readonly signal?: AbortSignal
  /** Milliseconds for connection and handshake; default 5,000. */
  readonly timeoutMs?: Millis
}

export interface Connected {
  readonly channel: Channel
  /** The node that answered. */
  readonly peer: Party
}

/**
 * Connects to a node as a client.
 *
 * Rejects with `UNREACHABLE`, `ADDRESS_INVALID`, `UNAUTHENTICATED`, `WRONG_CLUSTER`, `VERSION_SKEW` or the signal's reason.
 */
export function connectChannel(address: string, options: ConnectOptions = {}): Promise<Connected> {
  const { signal, cluster = '', secret, timeoutMs = HANDSHAKE_LIMITS.timeoutMs } = options
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const socket = connect({ ...parseAddress(address), noDelay: true })
    const abort = (): void => {
      socket.destroy()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    const self = { role: 'client', cluster, node: '', generation: 0, address: '', secret } as const
    const handshake = new Handshake('dialer', self, systemCrypto)
    shakeHands(socket, handshake, { ...HANDSHAKE_LIMITS, timeoutMs }, (result) => {
      signal?.removeEventListener('abort', abort)
      if (result.type === 'refused') return reject(unreachable(address, result.error))
      const { peer, features } = result.agreement
      resolve({ channel: new TcpChannel(socket, { budgetBytes: CLIENT_BUDGET_BYTES, features }), peer })
    })
  })
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function unreachable(address: string, error: TroupeError): TroupeError {
  const message = `no connection to ${address}: ${error.message}`
  return new TroupeError(error.code === 'DATA_DAMAGED' ? 'UNREACHABLE' : error.code, message, {
    details: { addresses: [address] },
    cause: error,
  })
}

function lost(cause?: Error): TroupeError {
  return new TroupeError('UNREACHABLE', `the connection is lost: ${cause?.message ?? 'the other side closed it'}`, {
    cause,
  })
}
