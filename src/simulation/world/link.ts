/** A link carries frames one way between two computers: late, and sometimes lost, repeated or out of order. */

import type { SeededRandom } from '../../base/random.ts'
import type { Millis, Timer } from '../../base/time.ts'
import { FRAME } from '../../wire/request.ts'
import type { Computer } from './computer.ts'
import type { EventQueue } from './event-queue.ts'

/**
 * What a link does to frames. A `'stream'` is like TCP: frames keep their order, and loss only costs the time to send
 * them again. With `'datagram'`, frames between groups go each their own way, which no real connection of ours does,
 * but which Raft must bear. Introductions, and what nodes forward for applications, rely on what a connection promises.
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
  sender(): Computer | undefined
  receiver(): Computer | undefined
}

interface Waiting {
  readonly bytes: number
  transmit(): void
}

export class Link {
  isCut = false
  readonly #ports: LinkPorts
  /** Frames of a stream that wait for the end of a cut, or for those before them on a slow link. */
  #waiting: Waiting[] = []
  /** While the link is slow. */
  #bytesPerMs: number | undefined
  /** While the first of those that wait passes a slow link. */
  #passing: Timer | undefined
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
    this.#stopPassing()
    this.#bytesUnderWay = 0
    this.#lastArrival = 0
  }

  heal(): void {
    this.isCut = false
    this.#pass()
  }

  /** Only so many bytes pass in a millisecond from now on; undefined as many as there are. */
  slowDown(bytesPerMs: number | undefined): void {
    this.#bytesPerMs = bytesPerMs
    this.#stopPassing()
    this.#pass()
  }

  /** False when too much is under way already. */
  send(frame: Uint8Array, arrival: Arrival): boolean {
    if (this.#bytesUnderWay + frame.length > BYTES_UNDER_WAY) return false
    const isDatagram = this.#ports.quality().mode === 'datagram' && !IN_ORDER.has(frame[0])
    this.#depart(() => (isDatagram ? this.#sendDatagram(arrival) : this.#sendInOrder(frame.length, arrival)))
    return true
  }

  /** A sender that has stood still sends then, if it lives to. */
  #depart(send: () => void): void {
    const { queue } = this.#ports
    const sender = this.#ports.sender()
    if (sender === undefined || sender.busyUntil <= queue.now()) send()
    else queue.at(sender.busyUntil, () => sender.isOff || send())
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
    this.#waiting.push({ bytes, transmit })
    this.#pass()
  }

  #pass(): void {
    while (!this.isCut && this.#passing === undefined) {
      const first = this.#waiting[0]
      if (first === undefined) return
      if (this.#bytesPerMs === undefined) this.#transmit(first)
      else this.#passSlowly(first, this.#bytesPerMs)
    }
  }

  #passSlowly(first: Waiting, bytesPerMs: number): void {
    const { queue } = this.#ports
    this.#passing = queue.at(queue.now() + first.bytes / bytesPerMs, () => {
      this.#passing = undefined
      if (!this.isCut) this.#transmit(first)
      this.#pass()
    })
  }

  #transmit(first: Waiting): void {
    this.#waiting.shift()
    first.transmit()
  }

  #stopPassing(): void {
    this.#passing?.cancel()
    this.#passing = undefined
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
