/** The router brings each request to where it can be answered: to a group of this node, or to a node that leads it. */

import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { isTroupeError } from '../base/error.ts'
import type { GroupId, NodeId } from '../base/identity.ts'
import { COMMAND_LIMIT_BYTES } from '../base/limit.ts'
import { engineKind } from '../machine/admission.ts'
import type { Channel } from '../wire/channel.ts'
import { settledCommand } from '../wire/delivery.ts'
import { FRAME, OPERATION, REPLY, type Request, readReply, readRequest, readWatchRequest } from '../wire/request.ts'
import { Forwards } from './forwards.ts'
import type { Group } from './group.ts'
import type { Question } from './piece-repair.ts'
import { leaderHint, refusal } from './refusal.ts'
import { type ReplyTarget, Source } from './source.ts'

/** With what else an entry and an envelope hold, half a frame leaves room for it on the way to every replica. */
const TOO_LARGE = refusal('TOO_LARGE', `a command has at most ${COMMAND_LIMIT_BYTES} bytes, all its parts together`)

/** What the router needs of its node. */
export interface RouterPorts {
  group(id: GroupId): Group | undefined
  groups(): Iterable<Group>
  /** A node to ask about a group that this node does not lead; undefined when none is known. */
  nodeFor(group: GroupId): NodeId | undefined
  /** Who leads the group as far as this node knows. */
  leaderOf(group: GroupId): NodeId | undefined
  /** A leader to pass on to what another node, which may not reach it, asks of this one. */
  relayFor(group: GroupId): NodeId | undefined
  /** A node that was asked says who leads. */
  hinted(group: GroupId, leader: string): void
  sendFrame(to: NodeId, frame: Uint8Array): boolean
  disconnect(node: NodeId): void
  /** Makes sure that a turn ends soon, so that replies leave. */
  schedule(): void
  topology(): Uint8Array
  status(): Uint8Array
}

/** A group of this node that waits for an answer. */
interface Carrier {
  readonly target: ReplyTarget
  readonly id: number
}

const NO_BYTES = new Uint8Array(0)

export class Router {
  readonly #ports: RouterPorts
  readonly #forwards: Forwards
  readonly #dirty: Source[] = []
  readonly #peers = new Map<NodeId, Source>()
  readonly #channels = new Map<Channel, Source>()
  /** Who wants to hear of each new topology, and under which request. */
  readonly #subscribers = new Map<Source, number>()
  /** Asks on behalf of this node's own groups. */
  readonly #own: Source = new Source(false, (frame) => this.#hear(frame), this.#dirty)
  readonly #carriers = new Map<number, Carrier>()
  #carried = 0
  /** Frames that could not be what they claimed; their channels were closed. */
  malformedFrames = 0

  constructor(ports: RouterPorts) {
    this.#ports = ports
    this.#forwards = new Forwards(
      (to, frame) => ports.sendFrame(to, frame),
      (group, leader) => ports.hinted(group as GroupId, leader),
    )
  }

  /** Serves an application until its channel closes. */
  accept(channel: Channel): void {
    const source = new Source(false, (frame) => channel.send(frame), this.#dirty)
    this.#channels.set(channel, source)
    channel.onFrame((frame) => this.#receive(source, frame, () => this.#drop(channel, source)))
    channel.onClose(() => this.#drop(channel, source))
  }

  /** Requests that another node has forwarded, or replies to what was forwarded to it. */
  peerFrame(from: NodeId, frame: Uint8Array): void {
    if (frame[0] === FRAME.replies) {
      this.#forwards.received(frame)
      this.#ports.schedule()
      return
    }
    let source = this.#peers.get(from)
    if (source === undefined) {
      source = new Source(true, (replies) => this.#ports.sendFrame(from, replies), this.#dirty)
      this.#peers.set(from, source)
    }
    this.#serve(source, frame)
  }

  peerLost(node: NodeId): void {
    const source = this.#peers.get(node)
    if (source !== undefined) this.#close(source)
    this.#peers.delete(node)
    this.#forwards.lost(node)
    this.#ports.schedule()
  }

  /** Sends a command of this node's own to the leader of a group. */
  carry(group: GroupId, command: Uint8Array, target: ReplyTarget, id: number): void {
    this.#toLeader(this.#own, { id: this.#expect(target, id), operation: OPERATION.command, group, bytes: command })
    this.#ports.schedule()
  }

  /** Asks the replica of another node, however old it is. */
  ask(node: NodeId, group: GroupId, { query, target, id }: Question): void {
    const writer = new ByteWriter(query.length + 8)
    writer.f64(Number.POSITIVE_INFINITY)
    writer.raw(query)
    const request = { id: this.#expect(target, id), operation: OPERATION.localQuery, group, bytes: writer.take() }
    this.#forwards.forward(this.#own, request, node)
    this.#ports.schedule()
  }

  /** Tells everybody who asked about the topology. */
  topologyChanged(): void {
    if (this.#subscribers.size === 0) return
    const topology = this.#ports.topology()
    for (const [source, id] of this.#subscribers) source.reply(id, REPLY.topology, topology)
    this.#ports.schedule()
  }

  /** Sends the replies and forwards of the turn. */
  flush(): void {
    this.#forwards.flush()
    for (let at = 0; at < this.#dirty.length; at++) {
      const source = this.#dirty[at]
      if (source !== undefined && !source.flush()) this.#cutOff(source)
    }
    this.#dirty.length = 0
  }

  close(): void {
    for (const channel of this.#channels.keys()) channel.close()
    this.#channels.clear()
  }

  /** The id of a request of this node's own, whose answer goes there. */
  #expect(target: ReplyTarget, id: number): number {
    this.#carried = (this.#carried + 1) >>> 0
    this.#carriers.set(this.#carried, { target, id })
    return this.#carried
  }

  #hear(frame: Uint8Array): boolean {
    const reader = new ByteReader(frame, 1)
    while (reader.remaining > 0) {
      const { id, status, bytes } = readReply(reader)
      const carrier = this.#carriers.get(id)
      this.#carriers.delete(id)
      this.#settle(carrier, status, bytes)
    }
    return true
  }

  /** The other node may have sent anything: what is no answer is as good as none. */
  #settle(carrier: Carrier | undefined, status: number, bytes: Uint8Array): void {
    try {
      carrier?.target.reply(carrier.id, status, bytes)
    } catch (error) {
      if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
      this.malformedFrames++
      carrier?.target.reply(carrier.id, REPLY.leaderLost, NO_BYTES)
    }
  }

  #receive(source: Source, frame: Uint8Array, drop: () => void): void {
    try {
      this.#serve(source, frame)
    } catch (error) {
      if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
      this.malformedFrames++
      drop()
    }
  }

  #serve(source: Source, frame: Uint8Array): void {
    const reader = new ByteReader(frame)
    if (reader.u8() !== FRAME.requests) return
    while (reader.remaining > 0) {
      if (source.isPeer) this.#dispatchForPeer(source, readRequest(reader))
      else this.#admit(source, readRequest(reader))
    }
    this.#ports.schedule()
  }

  /** What other nodes pass on has been looked at where it came in. */
  #admit(source: Source, request: Request): void {
    const command = commandOf(request)
    if (command !== undefined && command.length > COMMAND_LIMIT_BYTES) {
      source.reply(request.id, REPLY.refused, TOO_LARGE)
      return
    }
    const kind = command === undefined ? undefined : engineKind(command)
    if (kind === undefined) this.#dispatch(source, request)
    else {
      source.reply(
        request.id,
        REPLY.refused,
        refusal('INVALID_ARGUMENT', `commands of kind ${kind} are the engine's own`),
      )
    }
  }

  /** The other node passed on what some application sent, without having looked into it. */
  #dispatchForPeer(source: Source, request: Request): void {
    try {
      this.#dispatch(source, request)
    } catch (error) {
      if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
      this.malformedFrames++
      source.reply(request.id, REPLY.refused, refusal('INVALID_ARGUMENT', 'the bytes are not what was announced'))
    }
  }

  #dispatch(source: Source, request: Request): void {
    switch (request.operation) {
      case OPERATION.command:
      case OPERATION.query:
      case OPERATION.watch:
      case OPERATION.consume:
      case OPERATION.settle:
      case OPERATION.extend:
      case OPERATION.subscribe:
      case OPERATION.keepAlive:
      case OPERATION.consumers:
        this.#toLeader(source, request)
        break
      case OPERATION.localQuery:
        this.#toReplica(source, request)
        break
      case OPERATION.credit:
      case OPERATION.end:
        this.#toStream(source, request)
        break
      case OPERATION.topology:
        this.#subscribers.set(source, request.id)
        source.reply(request.id, REPLY.topology, this.#ports.topology())
        break
      case OPERATION.status:
        source.reply(request.id, REPLY.status, this.#ports.status())
        break
      default:
        source.reply(
          request.id,
          REPLY.refused,
          refusal('UNSUPPORTED', `operation ${request.operation} is unknown here`),
        )
    }
  }

  #toLeader(source: Source, request: Request): void {
    const group = this.#ports.group(request.group as GroupId)
    if (group === undefined || !group.isLeader) this.#forward(source, request)
    else if (request.operation === OPERATION.command) group.command(source, request)
    else if (request.operation === OPERATION.query || request.operation === OPERATION.keepAlive)
      group.read(source, request)
    else if (request.operation === OPERATION.watch) {
      group.watch(source, request.id, readWatchRequest(new ByteReader(request.bytes)))
    } else group.duties.request(source, request)
  }

  #toReplica(source: Source, request: Request): void {
    const group = this.#ports.group(request.group as GroupId)
    if (group === undefined) {
      this.#forward(source, request)
      return
    }
    const reader = new ByteReader(request.bytes)
    const ageLimit = reader.f64()
    group.localQuery(source, { id: request.id, ageLimit, query: reader.raw(reader.remaining) })
  }

  #toStream(source: Source, request: Request): void {
    const reader = new ByteReader(request.bytes)
    const stream = reader.u32()
    if (this.#forwards.forwardStream(source, request, stream)) return
    const group = this.#ports.group(request.group as GroupId)
    if (request.operation === OPERATION.end) group?.endStream(source, stream)
    else group?.credit(source, stream, reader.u32())
  }

  /** A request that nobody can be asked about comes back to who sent it, with the best hint there is. */
  #forward(source: Source, request: Request): void {
    const group = request.group as GroupId
    const node = source.isPeer ? this.#ports.relayFor(group) : this.#ports.nodeFor(group)
    if (node !== undefined) this.#forwards.forward(source, request, node)
    else source.reply(request.id, REPLY.notLeader, leaderHint(this.#ports.leaderOf(group)))
  }

  /** Replies cannot be kept for somebody who does not take them; a new connection starts afresh. */
  #cutOff(source: Source): void {
    for (const [channel, candidate] of this.#channels) if (candidate === source) this.#drop(channel, source)
    for (const [node, candidate] of this.#peers) if (candidate === source) this.#ports.disconnect(node)
  }

  #close(source: Source): void {
    source.close()
    this.#forwards.abandon(source)
    for (const group of this.#ports.groups()) group.sourceClosed(source)
  }

  #drop(channel: Channel, source: Source): void {
    if (!this.#channels.delete(channel)) return
    this.#close(source)
    this.#subscribers.delete(source)
    channel.close()
    this.#ports.schedule()
  }
}

function commandOf({ operation, bytes }: Request): Uint8Array | undefined {
  if (operation === OPERATION.command) return bytes
  return operation === OPERATION.settle ? settledCommand(bytes) : undefined
}
