/** A port channel joins an application and an engine that run in different threads, over a MessagePort. */

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { TroupeError } from '../base/error.ts'
import type { Channel } from '../wire/channel.ts'

/** What may wait for the other thread to get its turn. */
const BUDGET_BYTES = 16 * 2 ** 20

/** Up to this size a buffer is copied in less time than it takes to change its owner. */
const CLONED_BYTES = 1_024

/** One end of a port channel, on its way to the thread that will use it. Transfer `port`. */
export interface PortEnd {
  readonly port: MessagePort
  /** For each end, how many bytes (modulo 2^32) it has received: what the other one has sent and is not counted here still waits. */
  readonly received: SharedArrayBuffer
  readonly end: 0 | 1
  readonly budgetBytes: number
}

export function portEnds(budgetBytes: number = BUDGET_BYTES): [PortEnd, PortEnd] {
  const { port1, port2 } = new MessageChannel()
  const received = new SharedArrayBuffer(8)
  return [
    { port: port1, received, end: 0, budgetBytes },
    { port: port2, received, end: 1, budgetBytes },
  ]
}

export class PortChannel implements Channel {
  readonly #port: MessagePort
  readonly #received: Uint32Array
  readonly #end: 0 | 1
  readonly #budgetBytes: number
  /** Modulo 2^32. */
  #sent = 0
  #closeHandler: ((reason: Error | undefined) => void) | undefined
  #closed = false

  constructor({ port, received, end, budgetBytes }: PortEnd) {
    this.#port = port
    this.#received = new Uint32Array(received)
    this.#end = end
    this.#budgetBytes = budgetBytes
    port.on('close', () => this.#ended(new TroupeError('CLOSED', 'the other side closed the channel')))
  }

  send(frame: Uint8Array): boolean {
    if (this.#closed || this.#waitingBytes + frame.length > this.#budgetBytes) return false
    this.#sent = (this.#sent + frame.length) >>> 0
    const { buffer } = owned(frame)
    this.#port.postMessage(buffer, frame.length > CLONED_BYTES ? [buffer] : [])
    return true
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    this.#port.on('message', (buffer: ArrayBuffer) => {
      Atomics.add(this.#received, this.#end, buffer.byteLength)
      if (!this.#closed) handler(new Uint8Array(buffer))
    })
  }

  onClose(handler: (reason: Error | undefined) => void): void {
    this.#closeHandler = handler
  }

  close(): void {
    if (this.#closed) return
    this.#port.close()
    this.#ended(undefined)
  }

  get #waitingBytes(): number {
    return (this.#sent - Atomics.load(this.#received, 1 - this.#end)) >>> 0
  }

  #ended(reason: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#closeHandler?.(reason)
  }
}

/** The frame in a buffer that holds nothing else, which can change threads without being copied. */
function owned(frame: Uint8Array): { readonly buffer: ArrayBuffer } {
  const { buffer } = frame
  if (buffer instanceof ArrayBuffer && buffer.byteLength === frame.length) return { buffer }
  const copy = new Uint8Array(frame)
  return { buffer: copy.buffer }
}
