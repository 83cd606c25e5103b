/** Invariants are what must hold after every event; only replicas that changed are looked at. */

import { ByteReader } from '../../base/bytes.ts'
import type { GroupId, NodeId } from '../../base/identity.ts'
import type { Clock } from '../../base/time.ts'
import type { Group } from '../../cluster/group.ts'
import type { ClusterNode } from '../../cluster/node.ts'
import type { Piece } from '../../machine/pieces.ts'
import type { LogIndex, Term } from '../../protocol/core.ts'
import type { RaftMessage, Role } from '../../protocol/raft/message.ts'
import { readGroupMessage } from '../../wire/envelope.ts'
import { FRAME } from '../../wire/request.ts'
import type { Coverage } from '../coverage.ts'
import type { Durable, WatchedLog } from '../world/watched-log.ts'
import { type Election, Ledger, type LedgerReplica, Violation } from './ledger.ts'

/** A node that runs. */
export interface Inspected {
  readonly id: NodeId
  readonly node: ClusterNode
  readonly log: WatchedLog
}

/** A replica as it was when last looked at. */
interface Seen {
  role: Role
  term: Term
  commit: LogIndex
  lastIndex: LogIndex
  lastTerm: Term
  applied: LogIndex
  first: LogIndex
}

/** State digests walk the whole state, so they are compared only at every so many entries. */
const DIGEST_EVERY = 16
/** A replica's own assertions walk its whole log. */
const CHECK_EVERY = 16

export class Invariants {
  /** In the order in which they happened. */
  readonly elections: Election[] = []
  readonly #coverage: Coverage
  readonly #clock: Clock
  readonly #ledgers = new Map<GroupId, Ledger>()
  readonly #seen = new Map<Group, Seen>()
  /** What each node had on disk when it was last running. */
  readonly #durable = new Map<NodeId, ReadonlyMap<GroupId, Durable>>()
  /** How far the log of each node that is down reaches, its snapshots included. */
  readonly #reach = new Map<NodeId, ReadonlyMap<GroupId, LogIndex>>()
  readonly #running = new Map<NodeId, Inspected>()
  readonly #damaged = new Set<NodeId>()

  constructor(coverage: Coverage, clock: Clock) {
    this.#coverage = coverage
    this.#clock = clock
  }

  /** What the disk confirmed before a crash must be there after it. */
  started(inspected: Inspected): void {
    const { id, log } = inspected
    for (const [group, before] of this.#durable.get(id) ?? []) {
      const now = log.durable(group)
      if (now.term < before.term)
        throw new Violation(`${id} came back to term ${now.term} of group ${group} after ${before.term}`)
      if (now.term === before.term && before.vote !== undefined && now.vote !== before.vote) {
        throw new Violation(`${id} forgot its vote for ${before.vote} in term ${before.term} of group ${group}`)
      }
      if (now.last < before.last)
        throw new Violation(`${id} lost entries of group ${group} from ${now.last + 1} to ${before.last}`)
      if (now.last > this.#ledger(group).decided) this.#coverage.reached('recovered-unacknowledged')
    }
    this.#running.set(id, inspected)
  }

  stopped(id: NodeId): void {
    const inspected = this.#running.get(id)
    if (inspected === undefined) return
    if (inspected.log.isAhead) this.#coverage.reached('recovered-less-than-staged')
    const groups = [...inspected.node.groups.keys()]
    this.#durable.set(id, new Map(inspected.log.groups))
    this.#reach.set(id, new Map(groups.map((group) => [group, onDisk(inspected, group)])))
    for (const group of inspected.node.groups.values()) this.#seen.delete(group)
    this.#running.delete(id)
  }

  /** To be called after an event at this node. */
  check(id: NodeId): void {
    const inspected = this.#running.get(id)
    if (inspected === undefined) return
    for (const group of inspected.node.groups.values()) {
      const { core } = group
      const { last } = core
      const end = inspected.log.end(group.id)
      // In the middle of a turn: the replica has decided what its log will be told at the end of it.
      if (end.index !== last.index || end.term !== last.term) continue
      const seen = this.#seen.get(group)
      if (
        seen === undefined ||
        core.commit !== seen.commit ||
        core.term !== seen.term ||
        core.role !== seen.role ||
        group.applied.index !== seen.applied ||
        last.index !== seen.lastIndex ||
        last.term !== seen.lastTerm
      ) {
        this.#checkReplica(inspected, group, seen)
      }
    }
  }

  /** A word that leaves a node binds it: votes and confirmations must be on its disk. */
  sent(from: NodeId, to: NodeId, frame: Uint8Array): void {
    const inspected = this.#running.get(from)
    if (inspected === undefined || frame[0] !== FRAME.envelope) return
    const reader = new ByteReader(frame, 1)
    while (reader.remaining > 0) {
      const { group, message } = readGroupMessage(reader)
      this.#checkMessage(inspected, to, group, message)
    }
  }

  /** The disk of a node has damaged pieces: it may lack some from now on. */
  damaged(node: NodeId): void {
    this.#damaged.add(node)
  }

  /** All replicas that run hold the state of what they have applied; those that have applied everything, all that it refers to. */
  checkDigests(): void {
    for (const { id, node } of this.#running.values()) {
      for (const group of node.groups.values()) {
        const ledger = this.#ledger(group.id)
        ledger.digests(id, group.applied.index, group.machine.digest())
        // What a later entry deletes may be gone already, until that entry has been executed again.
        if (this.#damaged.has(id) || group.applied.index < ledger.decided) continue
        for (const piece of group.machine.pieces()) checkPiece(id, group, piece)
      }
    }
  }

  #checkReplica(inspected: Inspected, group: Group, before: Seen | undefined): void {
    const { id, log } = inspected
    const { core } = group
    const { last, term, role, commit } = core
    const ledger = this.#ledger(group.id)
    const replica: LedgerReplica = { node: id, term, last, chainAt: (index) => log.chainAt(group.id, index) }
    if (before === undefined || before.role !== role || before.term !== term || commit % CHECK_EVERY === 0) core.check()
    if (before === undefined) checkMemory(inspected, group)
    else checkProgress(inspected, group, before)
    if (before === undefined || last.index !== before.lastIndex || last.term !== before.lastTerm) ledger.ends(replica)
    if (role === 'leader' && (before?.role !== 'leader' || before.term !== term)) this.#leads(ledger, replica)
    if (commit > (before?.commit ?? 0) && ledger.commits(replica, before?.commit ?? 0, commit)) {
      this.#checkQuorum(group, ledger, commit)
    }
    if (core.persistedIndex > onDisk(inspected, group.id)) {
      throw new Violation(
        `${id} takes entry ${core.persistedIndex} of group ${group.id} for durable, its disk confirmed ${log.durable(group.id).last}`,
      )
    }
    this.#checkApplied(id, group, before)
    if (before !== undefined) this.#cover(group, before)
    this.#seen.set(group, seenOf(group))
  }

  #leads(ledger: Ledger, replica: LedgerReplica): void {
    ledger.leads(replica)
    this.elections.push({ group: ledger.group, at: this.#clock.now() })
    ledger.voted(replica.node, replica.term, replica.node)
    for (const { id, node } of this.#running.values()) {
      const other = node.groups.get(ledger.group)
      if (id !== replica.node && other?.isLeader) this.#coverage.reached('two-leaders-at-once')
    }
  }

  #checkApplied(id: NodeId, group: Group, before: Seen | undefined): void {
    const { applied } = group
    const { decided } = this.#ledger(group.id)
    if (applied.index > decided) {
      throw new Violation(`${id} applied ${applied.index} of group ${group.id}, committed is ${decided}`)
    }
    const isDue = Math.floor(applied.index / DIGEST_EVERY) > Math.floor((before?.applied ?? 0) / DIGEST_EVERY)
    if (isDue) this.#ledger(group.id).digests(id, applied.index, group.machine.digest())
  }

  /** A committed entry is on the disks of a majority, whether their nodes run or not. */
  #checkQuorum(group: Group, ledger: Ledger, commit: LogIndex): void {
    const { incoming } = group.core.configuration
    const holders = incoming.filter((voter) => {
      const running = this.#running.get(voter)
      if (running === undefined) return (this.#reach.get(voter)?.get(group.id) ?? 0) >= commit
      const isThere = onDisk(running, group.id) >= commit
      return isThere && ledger.has({ chainAt: (index) => running.log.chainAt(group.id, index) }, commit)
    })
    if (holders.length * 2 <= incoming.length) {
      throw new Violation(
        `entry ${commit} of group ${group.id} is committed, and on disk only at ${holders.join(', ') || 'nobody'}`,
      )
    }
  }

  #checkMessage(inspected: Inspected, to: NodeId, group: GroupId, message: RaftMessage): void {
    const { id, node, log } = inspected
    const durable = log.durable(group)
    if (message.type === 'vote-reply' && message.granted) {
      this.#ledger(group).voted(id, message.term, to)
      const isThere = durable.term > message.term || (durable.term === message.term && durable.vote === to)
      if (!isThere)
        throw new Violation(`${id} voted for ${to} in term ${message.term} of group ${group} before its disk knew`)
    }
    // A confirmation of an older term may be late, when the entries have been replaced already.
    const isCurrent = message.term === node.groups.get(group)?.core.term
    if (message.type === 'append-reply' && message.accepted && isCurrent && onDisk(inspected, group) < message.match) {
      throw new Violation(`${id} confirmed entry ${message.match} of group ${group}, its disk only ${durable.last}`)
    }
  }

  #cover({ core }: Group, before: Seen): void {
    if (before.role === 'leader' && core.role !== 'leader' && core.term === before.term) {
      this.#coverage.reached('leader-deposed-by-no-quorum')
    }
    if (core.first.index <= before.first) return
    this.#coverage.reached(core.first.index > before.lastIndex ? 'snapshot-installed' : 'snapshot-taken')
  }

  #ledger(group: GroupId): Ledger {
    const known = this.#ledgers.get(group)
    if (known !== undefined) return known
    const ledger = new Ledger(group, this.#coverage)
    this.#ledgers.set(group, ledger)
    return ledger
  }
}

/** A replica starts with the term and the vote that its disk has kept. */
function checkMemory({ id, log }: Inspected, { id: group, core }: Group): void {
  const kept = log.recovered.get(group)
  if (kept === undefined) return
  const isForgotten = core.term === kept.term && kept.vote !== undefined && core.vote !== kept.vote
  if (core.term < kept.term || isForgotten) {
    throw new Violation(
      `${id} starts in term ${core.term} of group ${group} with a vote for ${core.vote}, its disk has kept term ${kept.term} and ${kept.vote}`,
    )
  }
}

/** Terms do not go back, and a leader counts entries of its own term only (Raft paper, figure 8). */
function checkProgress({ id }: Inspected, { id: group, core }: Group, before: Seen): void {
  const { term, commit, role } = core
  if (term < before.term) throw new Violation(`${id} went back from term ${before.term} to ${term} in group ${group}`)
  const hasCounted = role === 'leader' && before.role === 'leader' && before.term === term && commit > before.commit
  if (hasCounted && core.termAt(commit) !== term) {
    throw new Violation(`${id} leads term ${term} and counted entry ${commit} of group ${group}, of an older term`)
  }
}

/** An installed snapshot is durable before the log knows of it. */
function onDisk({ node, log }: Inspected, group: GroupId): LogIndex {
  return Math.max(log.durable(group).last, node.groups.get(group)?.core.first.index ?? 0)
}

function seenOf({ core, applied }: Group): Seen {
  const { role, term, commit, last, first } = core
  return { role, term, commit, lastIndex: last.index, lastTerm: last.term, applied: applied.index, first: first.index }
}

function checkPiece(id: NodeId, { id: group, machine }: Group, piece: Piece): void {
  if (machine.readPiece(piece) !== undefined) return
  throw new Violation(`${id} has not what group ${group} knows at ${piece.offset} of the payload ${piece.upload}`)
}
