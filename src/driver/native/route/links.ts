/** The links of a driver: channels to the nodes it needs, dialled again when they are lost. */

import type { Random } from '../../../base/random.ts'
import type { Millis, Timer } from '../../../base/time.ts'
import type { Channel } from '../../../wire/channel.ts'
import { Link, type LinkPorts } from './link.ts'

const FIRST_PAUSE_MS: Millis = 20
const LONGEST_PAUSE_MS: Millis = 1000

/** Opens a channel to the engine at an address; rejects when nobody answers there. */
export type Connect = (address: string) => Promise<Channel>

interface Dial {
  failures: number
  /** Set while waiting to dial again. */
  pause: Timer | undefined
  isDialling: boolean
  link: Link | undefined
}

export interface LinksPorts extends LinkPorts {
  readonly random: Random
  readonly connect: Connect
}

/** Invariant: there is at most one link, open or being dialled, for each address. */
export class Links {
  readonly #ports: LinksPorts
  readonly #dials = new Map<string, Dial>()
  #wanted: ReadonlySet<string> = new Set()
  #open: readonly Link[] = []
  #turn = 0
  #isClosed = false
  /** Why the last attempt to connect failed. */
  lastFailure: unknown

  constructor(ports: LinksPorts) {
    this.#ports = ports
  }

  get open(): readonly Link[] {
    return this.#open
  }

  get isConnected(): boolean {
    return this.#open.length > 0
  }

  /** Every address that was ever tried. */
  get addresses(): readonly string[] {
    return [...this.#dials.keys()]
  }

  /** Keeps links to these addresses from now on; others stay for as long as they last. */
  want(addresses: ReadonlySet<string>): void {
    this.#wanted = addresses
    for (const address of addresses) this.#dial(address)
  }

  /** Dials an address once, if there is no link to it. */
  try(address: string): void {
    this.#dial(address)
  }

  byNode(node: string): Link | undefined {
    return node === '' ? undefined : this.#open.find((link) => link.node === node)
  }

  /** The open link with the fewest operations under way, which a node that hangs soon is not; in turn among equals. */
  any(): Link | undefined {
    if (this.#open.length < 2) return this.#open[0]
    this.#turn = (this.#turn + 1) % this.#open.length
    const inTurn = [...this.#open.slice(this.#turn), ...this.#open.slice(0, this.#turn)]
    return inTurn.reduce((best, link) => (link.count < best.count ? link : best))
  }

  /** To be called when a link has closed. */
  closed(link: Link): void {
    this.#open = this.#open.filter((other) => other !== link)
    const dial = this.#dials.get(link.address)
    if (dial?.link !== link) return
    dial.link = undefined
    this.#pause(link.address, dial)
  }

  close(): void {
    this.#isClosed = true
    for (const dial of this.#dials.values()) dial.pause?.cancel()
    for (const link of this.#open) link.close()
  }

  #dial(address: string): void {
    const dial = this.#dials.get(address) ?? { failures: 0, pause: undefined, isDialling: false, link: undefined }
    this.#dials.set(address, dial)
    if (this.#isClosed || dial.isDialling || dial.link !== undefined || dial.pause !== undefined) return
    dial.isDialling = true
    this.#ports.connect(address).then(
      (channel) => this.#connected(address, dial, channel),
      (error: unknown) => {
        dial.isDialling = false
        this.lastFailure = error
        this.#pause(address, dial)
      },
    )
  }

  #connected(address: string, dial: Dial, channel: Channel): void {
    dial.isDialling = false
    if (this.#isClosed) {
      channel.close()
      return
    }
    dial.failures = 0
    dial.link = new Link(address, channel, this.#ports)
    this.#open = [...this.#open, dial.link]
  }

  #pause(address: string, dial: Dial): void {
    if (this.#isClosed || dial.pause !== undefined) return
    const { clock, scheduler, random } = this.#ports
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** dial.failures)
    dial.failures = Math.min(dial.failures + 1, 10)
    dial.pause = scheduler.at(clock.now() + longest * (0.5 + random.next() / 2), () => {
      dial.pause = undefined
      if (this.#wanted.has(address)) this.#dial(address)
    })
  }
}
