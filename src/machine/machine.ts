/** A machine is what the replicas of a group execute: equal entries in equal order give equal states on every replica. */

import type { LeaderMicros } from './batch.ts'
import type { LeaderView } from './leader-view.ts'
import type { Piece } from './pieces.ts'

/** Receives the reply to each command of an entry; `reply` is only valid during the call. */
export type ReplySink = (position: number, reply: Uint8Array) => void

export interface Machine {
  /**
   * Executes one entry: a batch of commands (see `batch.ts`) with the leader's time. Never throws for what a client
   * sent, and `VERSION_SKEW` for an entry of a higher level than its own, of which nothing is executed.
   */
  apply(entry: Uint8Array, reply: ReplySink): void
  /** Answers a question about the present state; changes nothing. Never throws for what a client sent. */
  query(query: Uint8Array): Uint8Array
  /** The revision of the newest change; 0 before the first. */
  readonly revision: number
  /** The time of the newest batch. */
  readonly time: LeaderMicros
  /** When something falls due: the leader then proposes a batch, which may be empty. Infinity when nothing does. */
  readonly dueAt: LeaderMicros
  /** What only a leader looks at. Replaced by a restoration: do not keep it. */
  readonly view: LeaderView
  /** The state as it is now, as chunks that stay the same while later entries are applied. Release it when done. */
  freeze(): FrozenState
  /**
   * Begins to read a state that was written by `freeze`, with or without the bytes of its pieces behind it (see
   * `encodePiece`); nothing may be applied before it has finished.
   */
  beginRestore(): Restoration
  /** A hash of the whole state (walks all of it): equal on all replicas at the same index. */
  digest(): number
  /** The pieces of large payloads that belong to the state; see `PieceStore`. */
  pieces(): Iterable<Piece>
  /** The bytes of a piece, if they are there. */
  readPiece(piece: Piece): Uint8Array | undefined
  /** The piece that was asked for by a query that came to `absent`, when the state has it: its bytes are not what they were. */
  lostPiece(query: Uint8Array): Piece | undefined
  /** Puts back the bytes of a piece; false when they are not what the state says of it. */
  mendPiece(piece: Piece, bytes: Uint8Array): boolean
  /** See `Changes`: what watchers are served from. */
  readonly changes: Changes
}

/** A state that is being read, beside the present one. Throws `DATA_DAMAGED` when it is none. */
export interface Restoration {
  /** Takes the next part, however the whole is cut. */
  push(chunk: Uint8Array): void
  /** Puts the state, which must be whole, in the place of the present one. */
  finish(): void
}

export interface FrozenState {
  /** Consecutive parts of at most 64 KiB or one record, whichever is larger. */
  chunks(): Iterable<Uint8Array>
  release(): void
}

/** The most recent changes of a machine's maps, bounded in number and bytes; older ones are forgotten. */
export interface Changes {
  /**
   * Encoded changes after `revision` in `selection`, oldest first, up to a limit of bytes. `through` is the revision up
   * to which the selection is now covered; `compacted` says that changes after `revision` have been forgotten already.
   */
  after(
    revision: number,
    selection: Selection,
    limitBytes: number,
  ): { readonly changes: Uint8Array; readonly count: number; readonly through: number; readonly compacted: boolean }
}

/** Keys of one map in [from, until); an `until` of `''` means to the end. */
export interface Selection {
  readonly map: string
  readonly from: string
  readonly until: string
}
