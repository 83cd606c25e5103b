/** A link is an open channel to one engine, with the requests that are under way on it. */

import { ByteReader, ByteWriter, malformed } from '../../../base/bytes.ts'
import { isTroupeError } from '../../../base/error.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../../base/time.ts'
import type { Channel } from '../../../wire/channel.ts'
import {
  FRAME,
  OPERATION,
  REPLY,
  REQUEST_OVERHEAD_BYTES,
  type Reply,
  readReply,
  readWatchEvent,
  type WatchEvent,
  type WatchRequest,
  writeWatchRequest,
} from '../../../wire/request.ts'
import { readTopology, type Topology } from '../../../wire/topology.ts'
import type { Carrier, Operation } from './operation.ts'
import { RequestTable } from './request-table.ts'

/** A frame that has grown beyond this leaves before the turn ends, so that no frame comes near the channel's limit. */
const FRAME_BYTES = 1024 * 1024
/** How soon a frame is offered again that the channel had no room for. */
const OFFER_AGAIN_MS: Millis = 5
/** How often a link on which a watch or a stream stands is looked at. */
const LOOK_MS: Millis = 5000
/** The request for the topology is the first and keeps its id, as the answer comes again with every change. */
const TOPOLOGY_REQUEST = 0

export interface LinkHandler {
  /** An operation's answer; throws `DATA_DAMAGED` when it is none. */
  answered(operation: Operation<unknown>, bytes: Uint8Array): void
  /** Any other end of a request; see `REPLY`. */
  turnedDown(link: Link, operation: Operation<unknown>, reply: Reply): void
  topology(link: Link, topology: Topology): void
  /** The operations whose answers will not come; none of them is on the link any more. */
  closed(link: Link, operations: readonly Operation<unknown>[]): void
}

/** Where the events of one watch on one shard go. */
export interface WatchSink {
  readonly group: number
  event(event: WatchEvent): void
  /** The watch does not stand here any more: ask another node. */
  lost(): void
}

/** Where the events of a consumer or a subscription go. */
export interface StreamSink {
  readonly group: number
  /** The bytes of one event, a view. */
  event(bytes: Uint8Array): void
  /** The stream has ended there: ask another node. */
  lost(): void
}

/** A stream that is to be opened. */
export interface StreamRequest {
  readonly operation: number
  readonly group: number
  readonly encode: (writer: ByteWriter) => void
}

export interface LinkPorts {
  /** There may be other nodes to talk to, if this one hangs. */
  readonly direct: boolean
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly handler: LinkHandler
}

/** Requests of one turn gather in one frame, which leaves at the turn's end. */
export class Link implements Carrier {
  readonly address: string
  /** Who answers there; `''` until its topology has come. */
  node = ''
  readonly #ports: LinkPorts
  readonly #channel: Channel
  readonly #writer = new ByteWriter(4096)
  readonly #operations = new RequestTable()
  readonly #watches = new Map<number, WatchSink>()
  readonly #streams = new Map<number, StreamSink>()
  readonly #leave = (): void => this.#flush()
  /** Frames that the channel had no room for, oldest first. */
  #unsent: Uint8Array[] = []
  #offer: Timer | undefined
  #look: Timer | undefined
  /** Since the last look. */
  #isHeard = false
  /** The node was asked for a word at the last look. */
  #isAsked = false
  /** Requests up to this id have left; compared as serial numbers, for ids begin again after 2^32. */
  #lastSent = TOPOLOGY_REQUEST
  #isOpen = true

  constructor(address: string, channel: Channel, ports: LinkPorts) {
    this.address = address
    this.#channel = channel
    this.#ports = ports
    channel.onFrame((frame) => this.#receive(frame))
    channel.onClose(() => this.#closed())
    this.#seal(this.#open(TOPOLOGY_REQUEST, OPERATION.topology, 0))
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Nothing more should be sent for the moment: the channel's budget is spent. */
  get isCongested(): boolean {
    return this.#unsent.length > 0
  }

  /** Operations under way. */
  get count(): number {
    return this.#operations.count
  }

  /** Those under way, as they are now. */
  operations(): Operation<unknown>[] {
    return this.#operations.all()
  }

  send(operation: Operation<unknown>): void {
    operation.link = this
    this.#operations.add(operation, this.#nextId())
    const start = this.#open(operation.requestId, operation.verb.operation, Math.max(0, operation.group))
    operation.verb.encode(this.#writer, operation)
    this.#seal(start)
  }

  forget(requestId: number): void {
    this.#operations.delete(requestId)
  }

  /** Returns the name of the watch on this link. */
  watch(group: number, request: WatchRequest, sink: WatchSink): number {
    const id = this.#nextId()
    this.#watches.set(id, sink)
    this.#lookAfter()
    const start = this.#open(id, OPERATION.watch, group)
    writeWatchRequest(this.#writer, request)
    this.#seal(start)
    return id
  }

  /** Returns the name of the stream on this link. */
  stream(request: StreamRequest, sink: StreamSink): number {
    const id = this.#nextId()
    this.#streams.set(id, sink)
    this.#lookAfter()
    const start = this.#open(id, request.operation, request.group)
    request.encode(this.#writer)
    this.#seal(start)
    return id
  }

  /** Lets a watch or stream send this much more; less when it is negative. */
  credit(group: number, id: number, amount: number): void {
    if (!this.#watches.has(id) && !this.#streams.has(id)) return
    const start = this.#open(this.#nextId(), OPERATION.credit, group)
    this.#writer.u32(id)
    this.#writer.u32(amount >>> 0)
    this.#seal(start)
  }

  /** Ends a watch or stream. */
  end(group: number, id: number): void {
    if (!this.#watches.delete(id) && !this.#streams.delete(id)) return
    const start = this.#open(this.#nextId(), OPERATION.end, group)
    this.#writer.u32(id)
    this.#seal(start)
  }

  /** The leaders of these groups have changed: what stands at an earlier one, which may hang, ends and is opened again. */
  move(groups: ReadonlySet<number>): void {
    for (const [id, sink] of [...this.#watches, ...this.#streams]) {
      if (!groups.has(sink.group)) continue
      this.end(sink.group, id)
      sink.lost()
    }
  }

  close(): void {
    this.#channel.close()
    this.#closed()
  }

  /** An id that neither an operation nor a watch nor a stream has. */
  #nextId(): number {
    let id = this.#operations.nextId()
    while (this.#watches.has(id) || this.#streams.has(id)) id = this.#operations.nextId()
    return id
  }

  /** Begins a request; returns where its length stands, which `#seal` fills in. */
  #open(id: number, operation: number, group: number): number {
    const writer = this.#writer
    if (writer.length === 0) {
      writer.u8(FRAME.requests)
      this.#ports.scheduler.defer(this.#leave)
    }
    const start = writer.length
    writer.u32(0)
    writer.u32(id)
    writer.u8(operation)
    writer.u32(group)
    return start
  }

  #seal(start: number): void {
    const writer = this.#writer
    writer.patchU32(start, writer.length - start - REQUEST_OVERHEAD_BYTES)
    if (writer.length > FRAME_BYTES) this.#flush()
  }

  #flush(): void {
    if (!this.#isOpen || this.#writer.length === 0) return
    const frame = this.#writer.copy()
    if (!this.isCongested && this.#channel.send(frame)) {
      this.#lastSent = this.#operations.lastId
      return
    }
    this.#unsent.push(frame)
    this.#offerAgain()
  }

  #offerAgain(): void {
    const { clock, scheduler } = this.#ports
    this.#offer ??= scheduler.at(clock.now() + OFFER_AGAIN_MS, () => {
      this.#offer = undefined
      const refused = this.#unsent.findIndex((frame) => !this.#channel.send(frame))
      this.#unsent = refused < 0 ? [] : this.#unsent.slice(refused)
      // Which requests were in the frames that have left is not kept: all count as sent.
      if (refused !== 0) this.#lastSent = this.#operations.lastId
      if (this.isCongested && this.#isOpen) this.#offerAgain()
    })
  }

  /**
   * Who only listens sees no call fail: a node that hangs, with its connections open, is found by asking it for a word
   * when it has said nothing, and taking no answer for the end.
   */
  #lookAfter(): void {
    if (!this.#ports.direct || this.#look !== undefined) return
    const { clock, scheduler } = this.#ports
    this.#look = scheduler.at(clock.now() + LOOK_MS, () => {
      this.#look = undefined
      if (!this.#isOpen || this.#watches.size + this.#streams.size === 0) return
      if (!this.#isHeard && this.#isAsked) {
        this.close()
        return
      }
      this.#isAsked = !this.#isHeard
      if (this.#isAsked) this.#seal(this.#open(TOPOLOGY_REQUEST, OPERATION.topology, 0))
      this.#isHeard = false
      this.#lookAfter()
    })
  }

  #receive(frame: Uint8Array): void {
    if (!this.#isOpen) return
    this.#isHeard = true
    try {
      const reader = new ByteReader(frame)
      if (reader.u8() !== FRAME.replies) throw malformed('an engine sends replies only')
      while (reader.remaining > 0) this.#reply(readReply(reader))
    } catch (error) {
      // Whoever sends this is no engine, or of a version that the handshake should have refused.
      this.close()
      if (!isTroupeError(error, 'DATA_DAMAGED')) throw error
    }
  }

  #reply(reply: Reply): void {
    const { handler } = this.#ports
    if (reply.id === TOPOLOGY_REQUEST) {
      if (reply.status !== REPLY.topology) throw malformed('the topology was asked for')
      handler.topology(this, readTopology(new ByteReader(reply.bytes)))
      return
    }
    const operation = this.#operations.get(reply.id)
    if (operation === undefined) this.#watchReply(reply)
    else if (reply.status === REPLY.answered || reply.status === REPLY.status) handler.answered(operation, reply.bytes)
    else handler.turnedDown(this, operation, reply)
  }

  /** An answer to nothing belongs to an operation or a watch that has ended meanwhile. */
  #watchReply(reply: Reply): void {
    const sink = this.#watches.get(reply.id)
    if (sink === undefined) {
      this.#streamReply(reply)
      return
    }
    const event = reply.status === REPLY.watchEvent ? readWatchEvent(new ByteReader(reply.bytes)) : undefined
    if (event?.type === 'standing' || event?.type === 'changes') {
      sink.event(event)
      return
    }
    this.#watches.delete(reply.id)
    if (event?.type === 'compacted') sink.event(event)
    else sink.lost()
  }

  #streamReply(reply: Reply): void {
    const sink = this.#streams.get(reply.id)
    if (sink === undefined) return
    if (reply.status === REPLY.event) {
      sink.event(reply.bytes)
      return
    }
    this.#streams.delete(reply.id)
    sink.lost()
  }

  #closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#offer?.cancel()
    this.#look?.cancel()
    const operations = this.operations()
    const streams = [...this.#watches.values(), ...this.#streams.values()]
    for (const { requestId } of operations) this.#operations.delete(requestId)
    this.#watches.clear()
    this.#streams.clear()
    for (const operation of operations) {
      operation.link = undefined
      if (((operation.requestId - this.#lastSent) | 0) <= 0) operation.isExposed = true
    }
    this.#ports.handler.closed(this, operations)
    for (const sink of streams) sink.lost()
  }
}
