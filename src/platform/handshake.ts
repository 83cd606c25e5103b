/** A handshake over a socket, with a limit on the time and the bytes that a stranger may cost. */

import type { Socket } from 'node:net'
import { clearTimeout, setTimeout } from 'node:timers'
import { TroupeError } from '../base/error.ts'
import { encodeFrame, FRAME_HEADER_BYTES } from '../base/frame.ts'
import type { Millis } from '../base/time.ts'
import type { Agreement, Handshake } from '../wire/handshake.ts'

export interface HandshakeLimits {
  /** Milliseconds for the whole handshake. */
  readonly timeoutMs: Millis
  /** Bytes of all its frames together, in one direction. */
  readonly bytes: number
}

export const HANDSHAKE_LIMITS: HandshakeLimits = { timeoutMs: 5_000, bytes: 4_096 }

export type HandshakeResult =
  /** The socket is paused, and whoever is called must listen to its errors at once. */
  | { readonly type: 'accepted'; readonly agreement: Agreement }
  /** The socket is closed, or closing. */
  | { readonly type: 'refused'; readonly error: TroupeError }

/** Runs the handshake on a connected socket and calls `done` once. */
export function shakeHands(
  socket: Socket,
  handshake: Handshake,
  limits: HandshakeLimits,
  done: (result: HandshakeResult) => void,
): void {
  const run = new SocketHandshake(socket, handshake, limits, done)
  run.start()
}

class SocketHandshake {
  readonly #socket: Socket
  readonly #handshake: Handshake
  readonly #limits: HandshakeLimits
  readonly #done: (result: HandshakeResult) => void
  readonly #timer: NodeJS.Timeout
  #received: Uint8Array = new Uint8Array(0)
  #total = 0

  constructor(socket: Socket, handshake: Handshake, limits: HandshakeLimits, done: (result: HandshakeResult) => void) {
    this.#socket = socket
    this.#handshake = handshake
    this.#limits = limits
    this.#done = done
    this.#timer = setTimeout(() => this.#fail(`it took longer than ${limits.timeoutMs} ms`), limits.timeoutMs)
  }

  start(): void {
    this.#socket.on('data', this.#onData).on('error', this.#onError).on('close', this.#onClose)
    const hello = this.#handshake.start()
    if (hello !== undefined) this.#write(hello)
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#received = plainBytes(this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]))
    let goesOn = true
    while (goesOn && this.#received.length >= FRAME_HEADER_BYTES) {
      const { buffer, byteOffset } = this.#received
      const end = FRAME_HEADER_BYTES + new DataView(buffer, byteOffset).getUint32(0, true)
      goesOn = this.#total + end <= this.#limits.bytes
      if (!goesOn) this.#fail(`it exceeds ${this.#limits.bytes} bytes`, 'DATA_DAMAGED')
      else if (this.#received.length < end) return
      else goesOn = this.#take(end)
    }
  }

  /** Whether the handshake goes on after the frame that ends here. */
  #take(end: number): boolean {
    const frame = this.#received.subarray(FRAME_HEADER_BYTES, end)
    this.#received = this.#received.subarray(end)
    this.#total += end
    const step = this.#handshake.receive(frame)
    if (step.send !== undefined) this.#write(step.send)
    if (step.type === 'waiting') return true
    this.#detach()
    if (step.type === 'accepted') {
      this.#socket.pause()
      // What came after the last frame belongs to the next reader.
      if (this.#received.length > 0) this.#socket.unshift(this.#received)
      this.#done({ type: 'accepted', agreement: step.agreement })
    } else {
      hangUp(this.#socket)
      this.#done({ type: 'refused', error: step.error })
    }
    return false
  }

  readonly #onError = (error: NodeJS.ErrnoException): void =>
    this.#fail(error.message, error.code === 'ENOTFOUND' ? 'ADDRESS_INVALID' : 'UNREACHABLE')

  readonly #onClose = (): void => this.#fail('the other side closed the connection')

  #fail(reason: string, code: 'UNREACHABLE' | 'ADDRESS_INVALID' | 'DATA_DAMAGED' = 'UNREACHABLE'): void {
    this.#detach()
    this.#socket.on('error', ignore)
    this.#socket.destroy()
    this.#done({ type: 'refused', error: new TroupeError(code, `the handshake failed: ${reason}`) })
  }

  #detach(): void {
    clearTimeout(this.#timer)
    this.#socket.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose)
  }

  #write(frame: Uint8Array): void {
    this.#socket.write(encodeFrame(frame))
  }
}

/** Ends a connection so that what was written still leaves, but waits no longer than a second for it. */
export function hangUp(socket: Socket): void {
  socket.on('error', ignore)
  socket.resume()
  socket.destroySoon()
  const timer = setTimeout(() => socket.destroy(), 1_000)
  socket.once('close', () => clearTimeout(timer))
}

/** The same bytes, but not as a `Buffer`, whose `slice` does not copy. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function ignore(): void {}
