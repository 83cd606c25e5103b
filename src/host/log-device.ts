/** The log device is a node's one write-ahead log, shared by all its groups. */

import type { GroupId, NodeId } from '../base/identity.ts'
import type { LogIndex, LogPosition, Term } from '../protocol/core.ts'
import type { Entry, RaftWrite } from '../protocol/raft/message.ts'

/** What the log knows of a group when a node starts. */
export interface RecoveredGroup {
  readonly term: Term
  readonly vote: NodeId | undefined
  /** Where the log begins: the end of the snapshot that covers everything before; index 0 for the whole history. */
  readonly start: LogPosition
  /** Term and payload size of each entry after `start`, in order. */
  readonly log: readonly { readonly term: Term; readonly size: number }[]
}

/** Where the log of a group begins, as it was found. */
export interface GroupStart {
  readonly id: GroupId
  readonly start: LogPosition
}

export interface LogDevice {
  /** The groups that the log knows, as they were when it was opened. */
  readonly recovered: ReadonlyMap<GroupId, RecoveredGroup>
  /** Takes a write into the next batch. It can be read back at once, and is durable after the next `commit`. */
  stage(group: GroupId, write: RaftWrite): void
  /** Whether something is staged. */
  readonly isDirty: boolean
  /**
   * Makes everything staged durable with one write and one sync, and calls `done`. One commit at a time: staging goes
   * on meanwhile and belongs to the next. An error is final (`DISK_FAILED`): the node must stop.
   */
  commit(done: (error: Error | undefined) => void): void
  /**
   * Entries [from, until), fewer when they exceed `bytes` (but at least one). From memory as long as they are recent,
   * else from disk.
   */
  entries(
    group: GroupId,
    range: { readonly from: LogIndex; readonly until: LogIndex; readonly bytes: number },
  ): readonly Entry[]
  /** A durable snapshot covers the group's log up to here: what lies before may be dropped, and segments nobody needs are recycled. */
  compact(group: GroupId, upTo: LogPosition): void
  /** Hash over all entries of the group up to `index`, equal on every replica; undefined where the log no longer reaches. */
  chainAt(group: GroupId, index: LogIndex): number | undefined
  /** Groups whose old entries keep the log longer than its limit: snapshot and compact them. */
  groupsToCompact(): readonly GroupId[]
  /** What is only staged is lost. Calls `done` once nothing of the log touches the disk any more. */
  close(done?: () => void): void
}

/** A snapshot is a group's state at a position of its log, as one checksummed file. */
export interface SnapshotStore {
  /** The newest complete snapshot of the group; damaged ones throw `DATA_DAMAGED` with file and offset. */
  newest(group: GroupId): StoredSnapshot | undefined
  /** Starts a new file; nothing is visible before `finish`. One at a time for each group. */
  begin(group: GroupId, header: SnapshotHeader): SnapshotWriter
}

export interface SnapshotHeader {
  readonly position: LogPosition
  /** The group's hash chain at `position`, from which the log goes on. */
  readonly chain: number
  /** Encoded members of the group at `position`; opaque here. */
  readonly configuration: Uint8Array
}

export interface StoredSnapshot {
  readonly header: SnapshotHeader
  /** Size of the body in bytes. */
  readonly bytes: number
  /** A part of the body, checked against its checksum. */
  read(offset: number, length: number): Uint8Array
  close(): void
}

export interface SnapshotWriter {
  write(chunk: Uint8Array): void
  /** Makes the file durable and visible, replaces the older one, and calls `done`. */
  finish(done: (error: Error | undefined) => void): void
  abandon(): void
}
