/** The vocabulary of Raft: what a replica hears, is asked, writes, puts out and reports. */

import type { NodeId } from '../../base/identity.ts'
import type { LogIndex, LogPosition, Term } from '../core.ts'

/** `'empty'` opens a leader's term; `'configuration'` changes the members; a `'command'` is for the state machine. */
export type EntryKind = 'command' | 'empty' | 'configuration'

export interface Entry extends LogPosition {
  readonly kind: EntryKind
  /** Opaque to Raft. One entry usually carries all commands that a group received in one turn. */
  readonly payload: Uint8Array
}

/** Who votes and who only listens. `outgoing` is empty unless a change of members is under way (joint consensus). */
export interface Configuration {
  readonly incoming: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
  readonly learners: readonly NodeId[]
}

/** What one replica says to another. `term` is the sender's, but for pre-votes: there it is the term it would campaign in. */
export type RaftMessage =
  | PreVote
  | PreVoteReply
  | Vote
  | VoteReply
  | Append
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | ReadIndex
  | ReadIndexReply
  | TimeoutNow

/** "Would you vote for me?" It changes nothing at the receiver, so that a replica that was cut off disrupts nobody (thesis §9.6). */
export interface PreVote {
  readonly type: 'pre-vote'
  readonly term: Term
  readonly last: LogPosition
}

export interface PreVoteReply {
  readonly type: 'pre-vote-reply'
  /** The asked-for term when granted, else the refuser's own term. */
  readonly term: Term
  readonly granted: boolean
}

export interface Vote {
  readonly type: 'vote'
  readonly term: Term
  readonly last: LogPosition
  /** The leader itself asked for this election: receivers do not protect it. */
  readonly transfer: boolean
}

export interface VoteReply {
  readonly type: 'vote-reply'
  readonly term: Term
  readonly granted: boolean
}

export interface Append {
  readonly type: 'append'
  readonly term: Term
  /** The position just before the first entry. */
  readonly previous: LogPosition
  /** Consecutive; may be empty (a probe). */
  readonly entries: readonly Entry[]
  readonly commit: LogIndex
}

export interface AppendReply {
  readonly type: 'append-reply'
  readonly term: Term
  /** Accepted: everything up to `match` is the leader's and on the sender's disk. Refused: `match` is the leader's next guess. */
  readonly accepted: boolean
  readonly match: LogIndex
  /** When refused: the `previous.index` that did not fit (tells a late reply from a fresh one). When accepted: 0. */
  readonly refused: LogIndex
  /** When refused: the term of the sender's entry at `match`, so that a whole term is skipped in one step. */
  readonly matchTerm: Term
  /** The sender's commit index, so that the leader knows when nobody needs another word. */
  readonly commit: LogIndex
}

export interface Heartbeat {
  readonly type: 'heartbeat'
  readonly term: Term
  /** Never beyond what the receiver is known to hold. */
  readonly commit: LogIndex
  /** The newest read round; 0 when nobody reads. */
  readonly round: number
}

export interface HeartbeatReply {
  readonly type: 'heartbeat-reply'
  readonly term: Term
  readonly round: number
  readonly commit: LogIndex
}

/** A follower asks for a read index on behalf of its own clients. */
export interface ReadIndex {
  readonly type: 'read-index'
  readonly term: Term
  /** The asking follower's own number for this read. */
  readonly id: number
}

export interface ReadIndexReply {
  readonly type: 'read-index-reply'
  readonly term: Term
  readonly id: number
  /** 0 when the asked replica does not lead: ask again later. */
  readonly index: LogIndex
}

/** The leader hands over: campaign now. */
export interface TimeoutNow {
  readonly type: 'timeout-now'
  readonly term: Term
}

/** What the node asks of its own replica. */
export type RaftRequest =
  /** Append an entry. Answered by `proposed` or `refused` with the same id. */
  | { readonly type: 'propose'; readonly id: number; readonly kind: EntryKind; readonly payload: Uint8Array }
  /** Ask from which applied index on a read is linearizable. Answered by `readable` or `refused` with the same id. */
  | { readonly type: 'read'; readonly id: number }
  /** Start an election without waiting for a timeout (bootstrap, tests). */
  | { readonly type: 'campaign' }
  /** Hand leadership to this voter. */
  | { readonly type: 'transfer'; readonly to: NodeId }
  /** The state up to here is in a durable snapshot: the log before may be forgotten. */
  | { readonly type: 'compact'; readonly upTo: LogPosition }
  /** A whole snapshot from the leader of this term has arrived and is durable here. */
  | {
      readonly type: 'install-snapshot'
      readonly from: NodeId
      readonly term: Term
      readonly position: LogPosition
      /** The hash over all entries up to `position`, which the log device goes on from; opaque to Raft. */
      readonly chain: number
      readonly configuration: Configuration
    }
  /** Sending the snapshot asked for by `send-snapshot` ended; the peer's own reply says whether it arrived. */
  | { readonly type: 'snapshot-sent'; readonly to: NodeId; readonly delivered: boolean }
  /** The connection to this node is lost: what was under way to it may be lost too. */
  | { readonly type: 'unreachable'; readonly node: NodeId }
  /** A connection to this node stands again. */
  | { readonly type: 'reachable'; readonly node: NodeId }

/** What must be on disk before `messagesAfterPersist` leave. */
export type RaftWrite =
  | { readonly type: 'hard-state'; readonly term: Term; readonly vote: NodeId | undefined }
  /** Consecutive entries; what the log holds from the first one's index on is replaced. */
  | { readonly type: 'entries'; readonly entries: readonly Entry[] }
  /** The log is replaced by the installed snapshot that ends here. */
  | { readonly type: 'snapshot'; readonly position: LogPosition; readonly chain: number }

export type RefusalReason = 'not-leader' | 'overloaded' | 'leadership-lost' | 'transferring'

export type RaftOutput =
  | { readonly type: 'proposed'; readonly id: number; readonly position: LogPosition }
  | {
      readonly type: 'refused'
      readonly id: number
      readonly reason: RefusalReason
      readonly leader: NodeId | undefined
    }
  /** Reads of this id see every write acknowledged before them once `index` is applied. */
  | { readonly type: 'readable'; readonly id: number; readonly index: LogIndex }
  /** Everything up to here is decided: apply it in order. */
  | { readonly type: 'commit'; readonly index: LogIndex }
  /** Read entries [from, to) and send them as an `append` message; they may leave at once. */
  | {
      readonly type: 'send-entries'
      readonly to: NodeId
      readonly term: Term
      readonly previous: LogPosition
      readonly from: LogIndex
      readonly until: LogIndex
      readonly commit: LogIndex
    }
  /** This peer needs entries that are no longer in the log: send it the newest snapshot. */
  | { readonly type: 'send-snapshot'; readonly to: NodeId; readonly term: Term }
  /** Load the installed snapshot into the state machine. */
  | { readonly type: 'restore'; readonly position: LogPosition }
  /** The role, the term or the known leader changed. */
  | { readonly type: 'leadership'; readonly role: Role; readonly term: Term; readonly leader: NodeId | undefined }

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/** What happened inside, for logs, metrics, traces and checkers; nothing depends on it. */
export type RaftEvent =
  | { readonly type: 'became'; readonly role: Role; readonly term: Term; readonly leader: NodeId | undefined }
  | { readonly type: 'voted'; readonly term: Term; readonly candidate: NodeId }
  | { readonly type: 'stepped-down'; readonly term: Term; readonly reason: 'higher-term' | 'no-quorum' | 'transferred' }
  | { readonly type: 'truncated'; readonly from: LogIndex; readonly upTo: LogIndex }
  /** The leader of this term has had entries confirmed by this replica, up to there, that it does not have: its disk has lost them. */
  | { readonly type: 'forgot'; readonly confirmed: LogIndex; readonly last: LogIndex }
  | { readonly type: 'committed'; readonly index: LogIndex; readonly term: Term }
  | { readonly type: 'progress'; readonly peer: NodeId; readonly state: 'probe' | 'replicate' | 'snapshot' }
