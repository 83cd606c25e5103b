/** A group on this node: a replica of its log, the machine that executes it, and everybody who waits for either. */

import { ByteWriter } from '../base/bytes.ts'
import { type GroupId, META_GROUP, type NodeId } from '../base/identity.ts'
import type { Clock, Millis, Scheduler } from '../base/time.ts'
import type { Hosted } from '../host/host.ts'
import type { LogDevice, StoredSnapshot } from '../host/log-device.ts'
import { STATUS } from '../machine/command.ts'
import type { Level } from '../machine/level.ts'
import type { Machine } from '../machine/machine.ts'
import type { Liveness, LogIndex, LogPosition, Written } from '../protocol/core.ts'
import type { Entry, RaftEvent, RaftMessage, RaftOutput, RaftRequest, RaftWrite } from '../protocol/raft/message.ts'
import type { Raft } from '../protocol/raft/raft.ts'
import { OPERATION, REPLY, type Request, type WatchRequest } from '../wire/request.ts'
import { replicaAge } from './consistency.ts'
import { Duties } from './duty/duties.ts'
import { readLeases } from './duty/leases.ts'
import type { Carriage } from './duty/outbox-carrier.ts'
import { DueTimer } from './duty/timers.ts'
import { LeaderTime } from './leader-time.ts'
import { PieceRepair, type Question } from './piece-repair.ts'
import { Proposals, replyToAll, type Waiters } from './proposals.ts'
import { type Read, Reads } from './reads.ts'
import { leaderHint, refusal } from './refusal.ts'
import { Restorer } from './snapshot/restorer.ts'
import type { ReplyTarget, Source } from './source.ts'
import { Watches } from './watches.ts'

/** What a group needs of its node. */
export interface GroupPorts {
  readonly self: NodeId
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly liveness: Liveness
  readonly log: LogDevice
  readonly carriage: Carriage
  /** What all members can execute. */
  level(): Level
  send(to: NodeId, group: GroupId, message: RaftMessage): void
  /** The role, the term or the leader of the group changed. */
  leadershipChanged(group: Group): void
  /** A peer needs entries that the log no longer has. */
  sendSnapshot(group: Group, to: NodeId, term: number): void
  /** The group's newest snapshot. */
  snapshot(group: GroupId): StoredSnapshot | undefined
  /** Asks the replica of a peer, however old it is; answered as a local query is. */
  ask(to: NodeId, group: GroupId, question: Question): void
  /** A piece that was damaged here came from a peer. */
  mended(group: Group, from: NodeId): void
  /** Entries were applied. */
  applied(group: Group): void
  observe(group: Group, event: RaftEvent): void
  /** The replica contradicts itself, or lost its disk: the node must stop. */
  fatal(error: unknown): void
}

/** A replica as it was found on disk; `machine` has executed nothing yet. */
export interface GroupReplica {
  readonly core: Raft
  readonly machine: Machine
}

/** Bytes of commands in one entry; more begin another. */
const ENTRY_BYTES = 1024 * 1024
/** Bytes of entries applied without letting the network in between: all groups of a node may do so at once. */
const APPLY_BYTES = 256 * 1024
/** In the place of an index: not placed yet. */
const UNPLACED: LogIndex = Number.POSITIVE_INFINITY
const RESTORING_MESSAGE = 'this replica is still reading its snapshot'
const OVERLOADED_READS_MESSAGE = 'too many reads of this shard wait for their majority; slow down and try again'
const OVERLOADED_MESSAGE = 'too many writes of this shard wait for their majority; slow down and try again'

export class Group implements Hosted<RaftMessage, RaftRequest, RaftOutput, RaftWrite, RaftEvent> {
  readonly id: GroupId
  readonly core: Raft
  readonly machine: Machine
  readonly #ports: GroupPorts
  readonly #proposals = new Proposals()
  readonly #reads = new Reads()
  readonly #watches: Watches
  readonly #time: LeaderTime
  readonly #dueTimer: DueTimer
  readonly #repair: PieceRepair
  /** What this replica does while it leads. */
  readonly duties: Duties
  #applied: LogPosition = { index: 0, term: 0 }
  #committed: LogIndex = 0
  /** Reads the machine's state, before which nothing is applied. */
  #restorer: Restorer | undefined
  /** When this replica was first sent entries by the leader of this term, so much was committed: what is beyond is news. */
  #met = { term: 0, index: 0 }
  #isCatchingUp = false
  #isStopped = false
  /** Numbers proposals and reads together, so that a refusal names one of them. */
  #requests = 0
  #isDue = false
  /** The batch that was proposed because something fell due: its number, and its place once it has one. */
  #due: { readonly number: number; index: LogIndex } | undefined
  #touch: () => void = () => {}

  constructor(id: GroupId, replica: GroupReplica, ports: GroupPorts) {
    this.id = id
    this.core = replica.core
    this.machine = replica.machine
    this.#ports = ports
    this.#watches = new Watches(replica.machine)
    this.#time = new LeaderTime(ports.clock, replica.machine.time)
    const { clock, scheduler } = ports
    const timing = { clock, scheduler, time: this.#time }
    this.#dueTimer = new DueTimer(timing, () => {
      this.#isDue = true
      this.#touch()
    })
    this.duties = new Duties({
      ...timing,
      machine: replica.machine,
      carriage: ports.carriage,
      isActive: () => this.isLeader && this.#applied.term === this.core.term,
      term: () => this.core.term,
      touch: () => this.#touch(),
      propose: (target, id, command) => this.#add(target, id, command),
    })
    this.#repair = new PieceRepair({
      ...timing,
      machine: replica.machine,
      peers: () => this.core.configuration.incoming.filter((node) => node !== ports.self && this.#isConnected(node)),
      ask: (to, question) => ports.ask(to, id, question),
      mended: (from) => ports.mended(this, from),
    })
    this.#restore()
  }

  /** `touch` tells the host that the core has heard something. */
  onTouch(touch: () => void): void {
    this.#touch = touch
  }

  /** Nothing is read or executed any more. */
  stop(): void {
    this.#isStopped = true
    this.#restorer?.cancel()
  }

  /** The last position that the machine has executed. */
  get applied(): LogPosition {
    return this.#applied
  }

  get isLeader(): boolean {
    return this.core.role === 'leader'
  }

  get leader(): NodeId | undefined {
    return this.core.leader
  }

  /** Up to where all peers that are connected have the log, as far as this replica knows: Infinity for one that does not lead. */
  get caughtUp(): LogIndex {
    const connected = this.core.progress().filter(({ node }) => this.#isConnected(node))
    return Math.min(...connected.map(({ match }) => match))
  }

  #isConnected(node: NodeId): boolean {
    return Number.isFinite(this.#ports.liveness.lastHeard(node))
  }

  /** Milliseconds since this replica was in touch with its group; see `replicaAge`. Infinity while it has no state yet. */
  get ageMs(): Millis {
    if (this.#restorer !== undefined) return Number.POSITIVE_INFINITY
    const { role, leader, configuration } = this.core
    const view = { self: this.#ports.self, role, leader, configuration }
    return replicaAge(view, this.#ports.liveness, this.#ports.clock.now())
  }

  receive(from: NodeId, message: RaftMessage): void {
    if (message.type === 'append' && message.term > this.#met.term) {
      this.#met = { term: message.term, index: message.commit }
    }
    this.core.receive(from, message, this.#ports.clock.now())
    this.#touch()
  }

  submit(request: RaftRequest): void {
    // A replica that comes back has carried the time on from whenever it was told last.
    if (request.type === 'reachable' && this.isLeader) this.#tellTime()
    this.core.submit(request, this.#ports.clock.now())
    this.#touch()
  }

  /** Takes a command for the next entry; answered once it is applied, or with why it can't be. */
  command(source: Source, request: Request): void {
    this.#add(source, request.id, request.bytes)
  }

  #add(target: ReplyTarget, id: number, command: Uint8Array): void {
    this.#proposals.add(target, id, command)
    if (this.#proposals.bytes > ENTRY_BYTES) this.#propose()
    this.#touch()
  }

  /**
   * Takes what must see every acknowledged write: a query, or leases to keep alive. Whoever kept them alive without
   * asking the others might have been deposed, and a new leader give them to somebody else meanwhile.
   */
  read(source: Source, { id, operation, bytes }: Request): void {
    if (operation === OPERATION.keepAlive) readLeases(bytes)
    if (this.#reads.add({ source, id, operation, bytes })) this.#touch()
    else source.reply(id, REPLY.refused, refusal('OVERLOADED', OVERLOADED_READS_MESSAGE))
  }

  /** Answers a query from this replica as it is, unless it is older than `ageLimit`. */
  localQuery(
    source: Source,
    request: { readonly id: number; readonly ageLimit: Millis; readonly query: Uint8Array },
  ): void {
    const age = this.ageMs
    if (this.#restorer !== undefined) {
      source.reply(request.id, REPLY.refused, refusal('NO_QUORUM', RESTORING_MESSAGE))
      return
    }
    if (age > request.ageLimit) {
      const message = `this replica was last in touch with its leader ${age} ms ago, over the allowed ${request.ageLimit} ms`
      source.reply(request.id, REPLY.refused, refusal('NO_QUORUM', message))
      return
    }
    this.execute()
    const writer = new ByteWriter()
    writer.f64(age)
    writer.raw(this.machine.query(request.query))
    source.reply(request.id, REPLY.answered, writer.take())
  }

  watch(source: Source, id: number, request: WatchRequest): void {
    this.#watches.open(source, id, request)
  }

  /** Lets a stream send more. */
  credit(source: Source, id: number, amount: number): void {
    this.#watches.credit(source, id, amount)
    this.duties.credit(source, id, amount)
  }

  endStream(source: Source, id: number): void {
    this.#watches.close(source, id)
    this.duties.endStream(source, id)
  }

  /** Whoever was there is gone: its streams end. */
  sourceClosed(source: Source): void {
    this.#watches.sourceClosed(source)
    this.duties.sourceClosed(source)
  }

  prepare(now: Millis): void {
    this.#propose()
    const id = ++this.#requests
    if (this.#reads.take(id)) this.core.submit({ type: 'read', id }, now)
  }

  send(to: NodeId, message: RaftMessage): void {
    this.#ports.send(to, this.id, message)
  }

  stage(write: RaftWrite): void {
    this.#ports.log.stage(this.id, write)
  }

  written(): Written {
    return this.core.written
  }

  observe(event: RaftEvent): void {
    this.#ports.observe(this, event)
  }

  perform(output: RaftOutput): void {
    switch (output.type) {
      case 'proposed':
        this.#proposals.placed(output.id, output.position)
        if (this.#due?.number === output.id) this.#due.index = output.position.index
        break
      case 'refused':
        this.#refused(output)
        break
      case 'readable':
        this.#reads.indexed(output.id, output.index)
        this.#answerReads()
        break
      case 'commit':
        this.#committed = Math.max(this.#committed, output.index)
        break
      case 'send-entries':
        this.#sendEntries(output)
        break
      case 'send-snapshot':
        this.#ports.sendSnapshot(this, output.to, output.term)
        break
      case 'restore':
        this.#restore()
        break
      case 'leadership':
        this.execute()
        if (output.role !== 'leader') this.#stepDown()
        else this.#lead()
        this.#ports.leadershipChanged(this)
        break
    }
  }

  get isBehind(): boolean {
    return this.#applied.index < this.#committed && !this.#isCatchingUp && this.#restorer === undefined
  }

  /** The node itself waits for what the meta group decides. */
  get isAwaited(): boolean {
    return this.isLeader || this.#reads.isWaiting || this.id === META_GROUP
  }

  /** Executes what is decided, in portions, so that a long log does not keep the node from its heartbeats. */
  execute(): void {
    if (this.#isCatchingUp || this.#restorer !== undefined) return
    if (this.#applied.index < this.#committed) {
      const range = { from: this.#applied.index + 1, until: this.#committed + 1, bytes: APPLY_BYTES }
      for (const entry of this.#ports.log.entries(this.id, range)) this.#applyEntry(entry)
      this.#watches.advance()
      this.#answerReads()
      if (this.isLeader) this.#lead()
      this.#ports.applied(this)
    }
    if (this.#applied.index >= this.#committed) return
    this.#isCatchingUp = true
    this.#later(() => {
      this.#isCatchingUp = false
      this.execute()
      this.#touch()
    })
  }

  #propose(): void {
    if (this.#proposals.isEmpty && !this.#isDue) return
    const id = ++this.#requests
    const payload = this.#proposals.take(id, this.#time.next(), this.#ports.level())
    if (this.#isDue) this.#due = { number: id, index: UNPLACED }
    this.#isDue = false
    this.core.submit({ type: 'propose', id, kind: 'command', payload }, this.#ports.clock.now())
  }

  /** At most one batch at a time is proposed for what falls due. */
  #lead(): void {
    if (this.#due !== undefined && this.#applied.index >= this.#due.index) this.#due = undefined
    if (this.#due === undefined) this.#dueTimer.set(this.machine.dueAt)
    this.duties.advance()
  }

  /** Where nothing will fall due nobody need know the time. */
  #tellTime(): void {
    if (this.#due === undefined && Number.isFinite(this.machine.dueAt)) this.#isDue = true
  }

  #refused({ id, reason, leader }: Extract<RaftOutput, { type: 'refused' }>): void {
    const hint = leaderHint(leader)
    const reads = this.#reads.refused(id)
    if (reads !== undefined) {
      for (const read of reads) read.source.reply(read.id, REPLY.notLeader, hint)
      return
    }
    const waiters = this.#proposals.refused(id)
    if (waiters === undefined) return
    if (this.#due?.number === id) this.#due = undefined
    if (reason === 'overloaded') replyToAll(waiters, REPLY.refused, refusal('OVERLOADED', OVERLOADED_MESSAGE))
    else replyToAll(waiters, REPLY.notLeader, hint)
  }

  #stepDown(): void {
    this.duties.move()
    this.#dueTimer.set(Number.POSITIVE_INFINITY)
    this.#isDue = false
    this.#due = undefined
    this.#proposals.abandon()
    this.#watches.move()
  }

  #answerReads(): void {
    this.#reads.release(this.#applied.index, (read: Read) => this.#answerRead(read))
  }

  #answerRead({ source, id, operation, bytes }: Read): void {
    if (operation === OPERATION.keepAlive) {
      this.duties.keepAlive(source, id, readLeases(bytes))
      return
    }
    const answer = this.machine.query(bytes)
    const lost = answer[0] === STATUS.absent ? this.machine.lostPiece(bytes) : undefined
    if (lost === undefined) source.reply(id, REPLY.answered, answer)
    else this.#repair.mend(lost, bytes, () => source.reply(id, REPLY.answered, this.machine.query(bytes)))
  }

  #sendEntries(output: Extract<RaftOutput, { type: 'send-entries' }>): void {
    const { from, until, term, previous, commit } = output
    // Compacted since it was asked for: as good as lost on the way, and repaired as such.
    if (previous.index < this.core.first.index) return
    const bytes = Number.MAX_SAFE_INTEGER
    const entries = from < until ? this.#ports.log.entries(this.id, { from, until, bytes }) : []
    this.send(output.to, { type: 'append', term, previous, entries, commit })
  }

  /**
   * Brings the machine to the newest snapshot. It may have come after the one that was installed: what it holds is
   * decided all the same.
   */
  #restore(): void {
    this.#restorer?.cancel()
    this.#restorer = undefined
    const snapshot = this.#ports.snapshot(this.id)
    if (snapshot === undefined) return
    this.#restorer = new Restorer(snapshot, this.machine, {
      defer: (task) => this.#later(task),
      restored: (position) => this.#restored(position),
    })
  }

  #restored(position: LogPosition): void {
    this.#restorer = undefined
    this.#applied = position
    this.#committed = Math.max(this.#committed, position.index)
    this.#watches.move()
    this.#time.observe(this.machine.time, false)
    this.execute()
    this.#answerReads()
    if (this.isLeader) this.#lead()
    this.#touch()
  }

  #later(task: () => void): void {
    this.#ports.scheduler.defer(() => {
      if (this.#isStopped) return
      try {
        task()
      } catch (error) {
        this.#ports.fatal(error)
      }
    })
  }

  #applyEntry(entry: Entry): void {
    this.#applied = { index: entry.index, term: entry.term }
    const waiters = this.#proposals.applied(entry)
    if (entry.kind !== 'command') return
    if (waiters === undefined) this.machine.apply(entry.payload, ignoreReply)
    else this.machine.apply(entry.payload, (position, reply) => answer(waiters, position, reply))
    const { term, leader } = this.core
    const isNews = entry.term === this.#met.term && entry.index > this.#met.index
    this.#time.observe(this.machine.time, isNews && entry.term === term && leader !== undefined)
  }
}

function ignoreReply(): void {}

function answer(waiters: Waiters, position: number, reply: Uint8Array): void {
  waiters.sources[position]?.reply(waiters.ids[position] ?? 0, REPLY.answered, reply)
}
