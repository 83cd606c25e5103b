/** A dialer keeps trying to connect to one address, quickly at first and never more often than it helps. */

import { connect, type Socket } from 'node:net'
import { clearTimeout, setTimeout } from 'node:timers'
import type { TroupeError } from '../base/error.ts'
import type { NodeId } from '../base/identity.ts'
import type { Random } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { parseAddress } from '../runtime/address.ts'
import type { Agreement, Handshake } from '../wire/handshake.ts'
import { type HandshakeLimits, hangUp, shakeHands } from './handshake.ts'

export interface DialerPorts {
  handshake(): Handshake
  /** A connection stands; the socket is paused. */
  connected(socket: Socket, agreement: Agreement, dialer: Dialer): void
  failed(address: string, error: TroupeError): void
  /** Whether there is a connection to this node already. */
  isConnected(node: NodeId): boolean
  readonly random: Random
  readonly limits: {
    readonly handshake: HandshakeLimits
    readonly firstRetryMs: Millis
    readonly lastRetryMs: Millis
  }
}

export class Dialer {
  readonly address: string
  /** Who answered there last; undefined until somebody has. */
  node: NodeId | undefined
  readonly #ports: DialerPorts
  #socket: Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #retryMs: Millis
  #stopped = false

  constructor(address: string, ports: DialerPorts) {
    this.address = address
    this.#ports = ports
    this.#retryMs = ports.limits.firstRetryMs
  }

  /** Dials now, unless an attempt is under way, and starts the pauses from the shortest again. */
  dial(): void {
    this.#retryMs = this.#ports.limits.firstRetryMs
    if (this.#socket === undefined) this.#attempt()
  }

  /** Dials after the present pause. */
  retry(): void {
    this.#later(this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, this.#ports.limits.lastRetryMs)
  }

  /** Dials after the longest pause. */
  rest(): void {
    this.#later(this.#ports.limits.lastRetryMs)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #attempt(): void {
    clearTimeout(this.#timer)
    if (this.#stopped || (this.node !== undefined && this.#ports.isConnected(this.node))) return
    const socket = connect({ ...parseAddress(this.address), noDelay: true })
    this.#socket = socket
    shakeHands(socket, this.#ports.handshake(), this.#ports.limits.handshake, (result) => {
      this.#socket = undefined
      if (this.#stopped) {
        hangUp(socket)
        return
      }
      // A connection that stands ends the attempts: whoever owns it asks for more when it is lost.
      this.retry()
      if (result.type === 'accepted') this.#ports.connected(socket, result.agreement, this)
      else this.#ports.failed(this.address, result.error)
    })
  }

  #later(pauseMs: Millis): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#attempt(), pauseMs * (0.5 + this.#ports.random.next() / 2))
    this.#timer.unref()
  }
}
