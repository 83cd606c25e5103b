/** A port channel joins an application and an engine that run in different threads, over a MessagePort. */

import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { TroupeError } from '../base/error.ts'
import type { Channel } from '../wire/channel.ts'
import { FrameSlot } from './frame-slot.ts'
import { AnswerersVigil, AskersVigil, type Vigil } from './vigil.ts'

/** What may wait for the other thread to get its turn. */
const BUDGET_BYTES = 16 * 2 ** 20

/** Up to this size a buffer is copied in less time than it takes to change its owner. */
const CLONED_BYTES = 1_024

/** How often a thread on a vigil looks without letting its event loop go round: for some ten microseconds. */
const LOOKS = 1_000

/** One end of a port channel, on its way to the thread that will use it: 0 asks, 1 answers. Transfer `port`. */
export interface PortEnd {
  readonly port: MessagePort
  /** For each end, how many bytes (modulo 2^32) it has received: what the other one has sent and is not counted here still waits. */
  readonly received: SharedArrayBuffer
  /** For each end, the slot from which it takes what the other one puts there. */
  readonly slots: readonly [SharedArrayBuffer, SharedArrayBuffer]
  readonly end: 0 | 1
  readonly budgetBytes: number
}

export function portEnds(budgetBytes: number = BUDGET_BYTES): [PortEnd, PortEnd] {
  const { port1, port2 } = new MessageChannel()
  const shared = {
    received: new SharedArrayBuffer(8),
    slots: [FrameSlot.allocate(), FrameSlot.allocate()],
    budgetBytes,
  } as const
  return [
    { ...shared, port: port1, end: 0 },
    { ...shared, port: port2, end: 1 },
  ]
}

/**
 * A frame goes through the port, which wakes the other thread, or through a slot while that one is awake and looks for
 * an answer (docs/decisions/0015). Order is kept because the slot is used only when nothing is on its way through the
 * port: what is found in it is older than what comes through the port.
 */
export class PortChannel implements Channel {
  readonly #port: MessagePort
  readonly #received: Uint32Array
  readonly #end: 0 | 1
  readonly #budgetBytes: number
  readonly #inward: FrameSlot
  readonly #outward: FrameSlot
  readonly #vigil: Vigil
  readonly #look = (): void => this.#lookIn()
  #isLooking = false
  /** A look is due in this or the next round of the event loop. */
  #isLookDue = false
  /** The other thread was woken: perhaps on the processor on which this one would look, and keep it waiting for half a millisecond. */
  #givesWay = false
  /** Modulo 2^32. */
  #sent = 0
  /** What had been sent when a frame went through the port last. */
  #posted = 0
  #frameHandler: ((frame: Uint8Array) => void) | undefined
  #closeHandler: ((reason: Error | undefined) => void) | undefined
  #closed = false

  constructor({ port, received, slots, end, budgetBytes }: PortEnd, vigil?: Vigil) {
    this.#port = port
    this.#received = new Uint32Array(received)
    this.#end = end
    this.#budgetBytes = budgetBytes
    this.#inward = new FrameSlot(slots[end])
    this.#outward = new FrameSlot(slots[end === 0 ? 1 : 0])
    this.#vigil = vigil ?? this.#ownVigil()
    port.on('close', () => {
      this.#takeFromSlot()
      this.#ended(new TroupeError('CLOSED', 'the other side closed the channel'))
    })
  }

  send(frame: Uint8Array): boolean {
    const read = Atomics.load(this.#received, 1 - this.#end)
    if (this.#closed || ((this.#sent - read) >>> 0) + frame.length > this.#budgetBytes) return false
    const isPortIdle = ((read - this.#posted) | 0) >= 0
    this.#sent = (this.#sent + frame.length) >>> 0
    const isHanded = isPortIdle && this.#hand(frame)
    if (!isHanded) this.#post(frame)
    if (!this.#vigil.begin(performance.now())) return true
    this.#givesWay = !isHanded
    this.#startLooking()
    return true
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    this.#frameHandler = handler
    this.#port.on('message', (buffer: ArrayBuffer | null) => {
      this.#takeFromSlot()
      if (buffer === null) return
      this.#stopLooking()
      this.#arrived(new Uint8Array(buffer))
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

  /** The application asks, the engine answers. */
  #ownVigil(): Vigil {
    if (this.#end === 1) return new AnswerersVigil(() => this.#inward.isAskerAwake)
    return new AskersVigil((isAwake) => {
      this.#outward.isAskerAwake = isAwake
    })
  }

  #hand(frame: Uint8Array): boolean {
    if (!this.#outward.isWatched || !this.#outward.put(frame)) return false
    // A taker that stopped looking meanwhile may have missed it.
    if (!this.#outward.isWatched) this.#port.postMessage(null)
    return true
  }

  #post(frame: Uint8Array): void {
    this.#posted = this.#sent
    const { buffer } = owned(frame)
    this.#port.postMessage(buffer, frame.length > CLONED_BYTES ? [buffer] : [])
  }

  #startLooking(): void {
    this.#isLooking = true
    this.#inward.isWatched = true
    this.#lookAgain()
  }

  #stopLooking(): void {
    if (!this.#isLooking) return
    this.#isLooking = false
    this.#inward.isWatched = false
  }

  #lookAgain(): void {
    if (this.#isLookDue) return
    this.#isLookDue = true
    setImmediate(this.#look)
  }

  /** A little at a time: everything else in the thread has its turn in between. */
  #lookIn(): void {
    this.#isLookDue = false
    if (!this.#isLooking) return
    if (this.#givesWay) this.#inward.giveWay()
    for (let at = 0; at < LOOKS; at++) if (this.#takeFromSlot()) return
    if (!this.#vigil.isOver(performance.now())) {
      this.#lookAgain()
      return
    }
    this.#stopLooking()
    this.#takeFromSlot()
  }

  /** Whether there was a frame. It stops looking first, so that whoever puts the next one sees it and sends a message. */
  #takeFromSlot(): boolean {
    if (this.#inward.isEmpty) return false
    this.#stopLooking()
    const frame = this.#inward.take()
    if (frame !== undefined) this.#arrived(frame)
    return true
  }

  #arrived(frame: Uint8Array): void {
    Atomics.add(this.#received, this.#end, frame.length)
    this.#vigil.end(performance.now())
    this.#givesWay = false
    if (!this.#closed) this.#frameHandler?.(frame)
  }

  #ended(reason: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopLooking()
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
