/** A link carries frames one way between two computers: late, and sometimes lost, repeated or out of order. */

import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import { FRAME } from '../../wire/request.ts'
import type { Computer } from './computer.ts'
import type { EventQueue } from './event-queue.ts'

/**
 * What a link does to frames. A `'stream'` is like TCP: frames keep their order, and loss only costs the time to send them
 * again. With `'datagram'`, frames between groups go each their own way, which no real connection of ours does, but which
 * Raft must bear. Introductions, and what nodes forward for applications, rely on what a connection promises.
 */
export interface LinkQuality {
  readonly mode: 'stream' | 'datagram'
  /** Least and mean delay in milliseconds; the part above the least is exponentially distributed. */
  readonly delayMs: readonly [Millis, Millis]
  /** Probabilities per frame. */
  readonly loss: number
  readonly duplicate: number
  /** Probability of an extra delay of up to `tailMs`. */
  readonly tail: number
  readonly tailMs: Millis
}

/** What it costs a stream to notice and repair a loss. */
const RETRANSMIT_MS: Millis = 200
const BYTES_UNDER_WAY = 32 * 1024 * 1024
const IN_ORDER: ReadonlySet<number | undefined> = new Set([FRAME.introduction, FRAME.requests, FRAME.replies])

/** Called at the receiver when a frame arrives. */
export type Arrival = () => void

export interface LinkPorts {
  readonly queue: EventQueue
  readonly random: SeededRandom
  /** As it is at the moment. */
  quality(): LinkQuality
  receiver(): Computer | undefined
}

export class Link {
  isCut = false
  readonly #ports: LinkPorts
  /** Frames of a stream that wait for the end of a cut. */
  #waiting: (() => void)[] = []
  #lastArrival: Millis = 0
  #bytesUnderWay = 0
  #connection = 0

  constructor(ports: LinkPorts) {
    this.#ports = ports
  }

  /** A new connection begins: what is under way on the old one is lost. */
  reset(): void {
    this.#connection++
    this.#waiting = []
    this.#bytesUnderWay = 0
    this.#lastArrival = 0
  }

  heal(): void {
    this.isCut = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const transmit of waiting) transmit()
  }

  /** False when too much is under way already. */
  send(frame: Uint8Array, arrival: Arrival): boolean {
    if (this.#bytesUnderWay + frame.length > BYTES_UNDER_WAY) return false
    const isDatagram = this.#ports.quality().mode === 'datagram' && !IN_ORDER.has(frame[0])
    if (isDatagram) this.#sendDatagram(arrival)
    else this.#sendInOrder(frame.length, arrival)
    return true
  }

  #sendDatagram(arrival: Arrival): void {
    const { random, queue } = this.#ports
    const copies = random.next() < this.#ports.quality().duplicate ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const at = queue.now() + this.#delay()
      if (random.next() >= this.#ports.quality().loss && !this.isCut) this.#arrive(at, arrival)
    }
  }

  #sendInOrder(bytes: number, arrival: Arrival): void {
    const connection = this.#connection
    this.#bytesUnderWay += bytes
    const transmit = () => {
      const { random, queue } = this.#ports
      let delay = this.#delay()
      while (random.next() < this.#ports.quality().loss) delay += RETRANSMIT_MS
      this.#lastArrival = Math.max(this.#lastArrival, queue.now() + delay)
      this.#arrive(this.#lastArrival, () => {
        if (connection !== this.#connection) return
        this.#bytesUnderWay -= bytes
        arrival()
      })
    }
    if (this.isCut) this.#waiting.push(transmit)
    else transmit()
  }

  #arrive(at: Millis, arrival: Arrival): void {
    this.#ports.receiver()?.atTrue(at, arrival)
  }

  #delay(): Millis {
    const { random } = this.#ports
    const [least, mean] = this.#ports.quality().delayMs
    const usual = least - (mean - least) * Math.log(1 - random.next())
    return random.next() < this.#ports.quality().tail ? usual + random.next() * this.#ports.quality().tailMs : usual
  }
}
