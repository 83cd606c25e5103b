/** The transport packs what all groups say to one peer in a turn into one frame, and unpacks what comes. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { isTroupeError, type TroupeError } from '../base/error.ts'
import type { GroupId, NodeId } from '../base/identity.ts'
import type { Network } from '../host/port.ts'
import type { RaftMessage } from '../protocol/raft/message.ts'
import { type GroupMessage, readGroupMessage, writeGroupMessage } from '../wire/envelope.ts'
import { type Introduction, readIntroduction, writeIntroduction } from '../wire/introduction.ts'
import { FRAME } from '../wire/request.ts'
import type { NodeLiveness } from './liveness.ts'

/** Where unpacked frames go. */
export interface TransportHandler {
  introduced(from: NodeId, introduction: Introduction): void
  message(from: NodeId, message: GroupMessage): void
  /** A frame of any other type, its first byte included. */
  frame(from: NodeId, frame: Uint8Array): void
  /** What came cannot be what it claims; the connection was closed. */
  malformed(from: NodeId, error: TroupeError): void
}

/** An envelope that has grown beyond this leaves before the turn ends: the other side can begin, and frames stay small. */
const ENVELOPE_BYTES = 256 * 1024

interface Peer {
  readonly node: NodeId
  readonly envelope: ByteWriter
  /** Its introduction fits: Raft messages and requests are taken from it. */
  isTrusted: boolean
}

export class Transport {
  readonly #network: Network
  readonly #liveness: NodeLiveness
  readonly #handler: TransportHandler
  readonly #peers = new Map<NodeId, Peer>()
  #dirty: Peer[] = []
  /** Frames that could not be what they claimed; their connections were closed. */
  malformedFrames = 0

  constructor(network: Network, liveness: NodeLiveness, handler: TransportHandler) {
    this.#network = network
    this.#liveness = liveness
    this.#handler = handler
  }

  connected(node: NodeId): void {
    this.#peers.set(node, { node, envelope: new ByteWriter(4096), isTrusted: false })
  }

  disconnected(node: NodeId): void {
    this.#peers.delete(node)
  }

  trust(node: NodeId): void {
    const peer = this.#peers.get(node)
    if (peer !== undefined) peer.isTrusted = true
  }

  isTrusted(node: NodeId): boolean {
    return this.#peers.get(node)?.isTrusted ?? false
  }

  /** Adds a message to the peer's envelope of this turn; without a connection it is dropped, as the network would. */
  send(to: NodeId, group: GroupId, message: RaftMessage): void {
    const peer = this.#peers.get(to)
    if (peer === undefined || !peer.isTrusted) return
    if (peer.envelope.length === 0) {
      peer.envelope.u8(FRAME.envelope)
      this.#dirty.push(peer)
    }
    writeGroupMessage(peer.envelope, group, message)
    if (peer.envelope.length > ENVELOPE_BYTES) this.#sendEnvelope(peer)
  }

  /** An empty envelope says "I am here". */
  beat(to: NodeId): void {
    this.#network.send(to, Uint8Array.of(FRAME.envelope))
  }

  introduce(to: NodeId, introduction: Introduction): void {
    const writer = new ByteWriter()
    writer.u8(FRAME.introduction)
    writeIntroduction(writer, introduction)
    this.#network.send(to, writer.take())
  }

  /** Sends a frame of its own at once. False when it was not taken. */
  sendFrame(to: NodeId, frame: Uint8Array): boolean {
    if (this.#peers.get(to)?.isTrusted !== true) return false
    this.#liveness.spoke(to)
    return this.#network.send(to, frame)
  }

  flush(): void {
    if (this.#dirty.length === 0) return
    const dirty = this.#dirty
    this.#dirty = []
    for (const peer of dirty) {
      if (peer.envelope.length === 0) continue
      this.#liveness.spoke(peer.node)
      this.#sendEnvelope(peer)
    }
  }

  received(from: NodeId, frame: Uint8Array): void {
    const peer = this.#peers.get(from)
    if (peer === undefined) return
    this.#liveness.heard(from)
    try {
      this.#unpack(peer, frame)
    } catch (error) {
      if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
      this.malformedFrames++
      this.#network.disconnect(from)
      this.#handler.malformed(from, error)
    }
  }

  #sendEnvelope({ node, envelope }: Peer): void {
    this.#network.send(node, envelope.bytes.subarray(0, envelope.length))
    envelope.length = 0
  }

  #unpack(peer: Peer, frame: Uint8Array): void {
    if (frame[0] === FRAME.introduction) {
      this.#handler.introduced(peer.node, readIntroduction(new ByteReader(frame, 1)))
    } else if (!peer.isTrusted) {
      return
    } else if (frame[0] === FRAME.envelope) {
      const reader = new ByteReader(frame, 1)
      while (reader.remaining > 0) this.#handler.message(peer.node, readGroupMessage(reader))
    } else {
      this.#handler.frame(peer.node, frame)
    }
  }
}
