/** A client channel joins an application's computer to a node's: frames keep their order, take time, and stop when either side dies. */

import { TroupeError } from '../../base/error.ts'
import type { Millis } from '../../base/time.ts'
import type { Channel } from '../../wire/channel.ts'
import type { Computer } from './computer.ts'
import { Link, type LinkQuality } from './link.ts'
import type { NetworkPorts } from './network.ts'

/** How long a side needs to notice that the other one died. */
const NOTICE_MS: Millis = 5

/** Two channels that carry each other's frames. The first one belongs to the application. */
export function connectChannels(
  computers: readonly [Computer, Computer],
  quality: () => LinkQuality,
  ports: NetworkPorts,
): [SimulatedChannel, SimulatedChannel] {
  const { queue, random, trace } = ports
  const [application, node] = computers
  const link = (sender: Computer, receiver: Computer): Link =>
    new Link({
      queue,
      random: random.fork(),
      quality: () => ({ ...quality(), mode: 'stream' }),
      sender: () => sender,
      receiver: () => receiver,
    })
  const near = new SimulatedChannel({
    name: `${application.name} > ${node.name}`,
    link: link(application, node),
    trace,
    own: application,
  })
  const far = new SimulatedChannel({
    name: `${node.name} > ${application.name}`,
    link: link(node, application),
    trace,
    own: node,
  })
  near.other = far
  far.other = near
  return [near, far]
}

interface ChannelParts {
  readonly name: string
  readonly link: Link
  readonly trace: NetworkPorts['trace']
  readonly own: Computer
}

export class SimulatedChannel implements Channel {
  other: SimulatedChannel | undefined
  readonly #parts: ChannelParts
  #isClosed = false
  #frame: (frame: Uint8Array) => void = () => {}
  #close: (reason: Error | undefined) => void = () => {}

  constructor(parts: ChannelParts) {
    this.#parts = parts
  }

  send(frame: Uint8Array): boolean {
    if (this.#isClosed) return false
    return this.#parts.link.send(frame, () => {
      const { other } = this
      if (other === undefined || other.#isClosed) return
      this.#parts.trace.record(this.#parts.name, frame)
      other.#frame(frame)
    })
  }

  onFrame(handler: (frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onClose(handler: (reason: Error | undefined) => void): void {
    this.#close = handler
  }

  /** Frames from here no longer arrive, until `heal`. */
  cut(): void {
    this.#parts.link.isCut = true
  }

  heal(): void {
    this.#parts.link.heal()
  }

  close(): void {
    if (this.#isClosed) return
    this.#end(undefined)
    this.other?.break()
  }

  /** The other side is gone: this one notices a little later. */
  break(): void {
    const { own } = this.#parts
    own.at(own.now() + NOTICE_MS, () =>
      this.#end(new TroupeError('UNREACHABLE', `${this.#parts.name}: connection lost`)),
    )
  }

  #end(reason: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#close(reason)
  }
}
