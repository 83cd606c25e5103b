/** The snapshot exchange sends a group's newest snapshot to a peer that has fallen behind the log, and takes them in. */

import { ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import type { GroupId, NodeId } from '../../base/identity.ts'
import type { SnapshotStore, SnapshotWriter } from '../../host/log-device.ts'
import type { Machine, Restoration } from '../../machine/machine.ts'
import { checkSnapshot } from '../../machine/snapshot.ts'
import type { LogIndex, Term } from '../../protocol/core.ts'
import type { Configuration, RaftRequest } from '../../protocol/raft/message.ts'
import { FRAME } from '../../wire/request.ts'
import {
  readSnapshotChunk,
  readSnapshotReply,
  type SnapshotChunk,
  writeSnapshotChunk,
  writeSnapshotReply,
} from '../../wire/snapshot.ts'
import { decodeConfiguration } from '../configuration.ts'
import { type SnapshotWithPieces, withPieces } from './pieces.ts'

export interface SnapshotExchangePorts {
  readonly store: SnapshotStore
  /** A group's machine, once it has executed everything up to there. */
  machine(group: GroupId, index: LogIndex): Machine | undefined
  /** Whether a node may lead a group of this one in this term. */
  mayLead(group: GroupId, node: NodeId, term: Term): boolean
  sendFrame(to: NodeId, frame: Uint8Array): boolean
  submit(group: GroupId, request: RaftRequest): void
  /** Runs what may throw in a later turn, which stops the node. */
  readonly guard: (task: () => void) => void
}

interface Sending {
  readonly to: NodeId
  readonly group: GroupId
  readonly term: number
  readonly snapshot: SnapshotWithPieces
  /** Up to where the peer has it, and up to where it is on its way. */
  confirmed: number
  sent: number
}

interface Receiving {
  readonly from: NodeId
  readonly index: number
  readonly total: number
  readonly content: number
  readonly writer: SnapshotWriter
  /** Sees that what is put in the place of an older snapshot is one. */
  readonly check: Restoration
  readonly configuration: Configuration
  /** Of the leader that sent the last chunk: one of an older term has nothing to say any more. */
  term: Term
  received: number
}

const CHUNK_BYTES = 256 * 1024
/**
 * Bytes on their way to one peer, shared by all groups but for one chunk each: enough for a gigabit over 16 ms, and
 * little enough that heartbeats and entries, which wait behind it, are not late over a hundred megabits.
 */
const WINDOW_BYTES = 2 * 1024 * 1024

export class SnapshotExchange {
  readonly #ports: SnapshotExchangePorts
  readonly #sending = new Map<string, Sending>()
  readonly #receiving = new Map<GroupId, Receiving>()

  constructor(ports: SnapshotExchangePorts) {
    this.#ports = ports
  }

  /** Starts to send; ends in a `snapshot-sent` request to the group, or in silence and the peer's own append reply. */
  send(group: GroupId, to: NodeId, term: number): void {
    const stored = this.#ports.store.newest(group)
    const machine = stored && this.#ports.machine(group, stored.header.position.index)
    if (stored === undefined || machine === undefined) {
      stored?.close()
      this.#ports.submit(group, { type: 'snapshot-sent', to, delivered: false })
      return
    }
    this.#end(group, to)
    const sending = { to, group, term, snapshot: withPieces(stored, machine), confirmed: 0, sent: 0 }
    this.#sending.set(key(group, to), sending)
    // The peer may have a part of it already, and says so when it has the first chunk.
    this.#fill(sending, CHUNK_BYTES)
  }

  frame(from: NodeId, frame: Uint8Array): void {
    const reader = new ByteReader(frame, 1)
    if (frame[0] === FRAME.snapshot) this.#take(from, readSnapshotChunk(reader))
    else if (frame[0] === FRAME.snapshotReply) this.#confirmed(from, readSnapshotReply(reader))
  }

  peerLost(node: NodeId): void {
    for (const sending of this.#sending.values()) if (sending.to === node) this.#fail(sending)
  }

  close(): void {
    for (const { snapshot } of this.#sending.values()) snapshot.close()
    for (const { writer } of this.#receiving.values()) writer.abandon()
    this.#sending.clear()
    this.#receiving.clear()
  }

  /** Sends until so much is on its way. */
  #fill(sending: Sending, window: number): void {
    const { snapshot } = sending
    while (sending.sent < snapshot.bytes && sending.sent - sending.confirmed < window) {
      const length = this.#sendChunk(sending, sending.sent)
      if (length === 0 && sending.sent === sending.confirmed) this.#fail(sending)
      // What is on its way brings the next confirmation.
      if (length === 0) return
      sending.sent += length
    }
  }

  /** Returns its length; 0 when it was not taken. */
  #sendChunk({ snapshot, group, term, to }: Sending, offset: number): number {
    const { position, chain, configuration } = snapshot.header
    const bytes = snapshot.read(offset, Math.min(CHUNK_BYTES, snapshot.bytes - offset))
    const writer = new ByteWriter(bytes.length + configuration.length + 128)
    writer.u8(FRAME.snapshot)
    const { bytes: total, content } = snapshot
    writeSnapshotChunk(writer, { group, term, position, chain, configuration, total, content, offset, bytes })
    return this.#ports.sendFrame(to, writer.take()) ? bytes.length : 0
  }

  #confirmed(from: NodeId, reply: ReturnType<typeof readSnapshotReply>): void {
    const sending = this.#sending.get(key(reply.group, from))
    if (sending === undefined || sending.snapshot.header.position.index !== reply.position.index) return
    const { received } = reply
    if (received >= sending.snapshot.bytes) {
      this.#end(reply.group, from)
      this.#ports.submit(reply.group, { type: 'snapshot-sent', to: from, delivered: true })
      return
    }
    const hasBegunAnew = received < sending.confirmed
    sending.confirmed = received
    if (hasBegunAnew || received > sending.sent) sending.sent = received
    this.#fill(sending, hasBegunAnew ? CHUNK_BYTES : Math.max(CHUNK_BYTES, WINDOW_BYTES / this.#countTo(from)))
  }

  #countTo(node: NodeId): number {
    let count = 0
    for (const { to } of this.#sending.values()) if (to === node) count++
    return count
  }

  #fail({ group, to }: Sending): void {
    this.#end(group, to)
    this.#ports.submit(group, { type: 'snapshot-sent', to, delivered: false })
  }

  #end(group: GroupId, to: NodeId): void {
    this.#sending.get(key(group, to))?.snapshot.close()
    this.#sending.delete(key(group, to))
  }

  /** A chunk that does not continue what is here is answered with where to go on from. */
  #take(from: NodeId, chunk: SnapshotChunk): void {
    if (chunk.term < (this.#receiving.get(chunk.group)?.term ?? 0)) return
    if (!this.#ports.mayLead(chunk.group, from, chunk.term)) return
    if (chunk.position.term > chunk.term || chunk.offset + chunk.bytes.length > chunk.total)
      throw malformed('a part of a snapshot that has no such part')
    const receiving = this.#receivingOf(from, chunk)
    receiving.term = chunk.term
    if (chunk.offset === receiving.received) {
      this.#check(chunk.group, () => receiving.check.push(chunk.bytes))
      receiving.writer.write(chunk.bytes.slice())
      receiving.received += chunk.bytes.length
    }
    if (receiving.received < chunk.total) {
      this.#confirm(from, chunk, receiving.received)
      return
    }
    this.#check(chunk.group, () => receiving.check.finish())
    this.#receiving.delete(chunk.group)
    receiving.writer.finish((error) =>
      this.#ports.guard(() => {
        if (error !== undefined) throw error
        this.#confirm(from, chunk, chunk.total)
        const { term, position, chain } = chunk
        const { configuration } = receiving
        this.#ports.submit(chunk.group, { type: 'install-snapshot', from, term, position, chain, configuration })
      }),
    )
  }

  /** What turns out to be no snapshot is not kept. */
  #check(group: GroupId, look: () => void): void {
    try {
      look()
    } catch (error) {
      this.#receiving.get(group)?.writer.abandon()
      this.#receiving.delete(group)
      throw error
    }
  }

  /** A transfer goes on with what continues it; what two nodes have written, or one at different times, does not fit together. */
  #receivingOf(from: NodeId, chunk: SnapshotChunk): Receiving {
    const { group, position, chain, total, content } = chunk
    const present = this.#receiving.get(group)
    const isSame = present?.from === from && present.index === position.index
    if (isSame && present.total === total && present.content === content) return present
    const configuration = decodeConfiguration(chunk.configuration)
    present?.writer.abandon()
    const writer = this.#ports.store.begin(group, { position, chain, configuration: chunk.configuration.slice() })
    const check = checkSnapshot()
    const state = { writer, check, configuration, term: chunk.term, received: 0 }
    const receiving = { from, index: position.index, total, content, ...state }
    this.#receiving.set(group, receiving)
    return receiving
  }

  #confirm(to: NodeId, chunk: SnapshotChunk, received: number): void {
    const writer = new ByteWriter(64)
    writer.u8(FRAME.snapshotReply)
    writeSnapshotReply(writer, { group: chunk.group, term: chunk.term, position: chunk.position, received })
    this.#ports.sendFrame(to, writer.take())
  }
}

function key(group: GroupId, to: NodeId): string {
  return `${group} ${to}`
}
