/** A port is what a node needs from the world around it; `platform/` has the real ones, `simulation/` the virtual ones. */

import type { NodeId } from '../base/identity.ts'

/** Told how something on a disk has ended: undefined is success. */
export type Done = (error: Error | undefined) => void

/**
 * The files of one node's data directory. Every method throws a `TroupeError` (`DISK_FAILED`, `DIRECTORY_UNUSABLE`)
 * when the device refuses. Names are plain file names; there are no subdirectories.
 */
export interface Disk {
  /** Sorted names of all files. */
  list(): readonly string[]
  /**
   * Opens a file for reading and writing; with `createBytes` it is created, or emptied, and filled with that many
   * zeros, all of it durable.
   */
  open(name: string, createBytes?: number): DiskFile
  /**
   * Opens a file that is there to be written from front to back, so that a disk can write whole pages of 4 KiB, past
   * the operating system's cache. What a page holds before the bytes of a write stays, and is written again with them;
   * what it holds behind them becomes zeros.
   */
  openAppended(name: string): DiskFile
  /** Atomically replaces `to`; durable after `syncDirectory`. */
  rename(from: string, to: string): void
  remove(name: string): void
  /** Makes creations, renames and removals durable. */
  syncDirectory(): void
  /**
   * Prepares a file of zeros in the background, so that a later `open` of a name it is renamed to finds allocated
   * blocks, and makes its name durable. A file that is already there with this size keeps what it holds.
   */
  prepare(name: string, bytes: number, ready: Done): void
  /** CRC-32 (IEEE 802.3), by the fastest means at hand. */
  crc32(bytes: Uint8Array, seed?: number): number
}

export interface DiskFile {
  readonly size: number
  /** Fewer bytes than asked for at the end of the file. With `into` they are a view of its beginning, which must have room for them. */
  read(position: number, length: number, into?: Uint8Array): Uint8Array
  /**
   * Buffers a write at this position; it may reach the disk at any time, in part, and in any order, until `sync`
   * confirms; `read` sees it at once. The bytes may be reused.
   */
  write(position: number, bytes: Uint8Array): void
  /**
   * Calls `done` once all writes before this call are on stable storage, in a later turn or within this call. After an
   * error the file is unusable: what it holds is unknown, and a retry would lie.
   */
  sync(done: Done): void
  /** Cuts or extends the file; durable after the next `sync`. */
  truncate(bytes: number): void
  close(): void
}

/**
 * Carries frames between nodes. Frames to one node keep their order while the connection stands; a lost connection
 * loses what was under way.
 */
export interface Network {
  /** Who is on the other side, and what it sends. Set once, before `dial`. */
  onPeer(handler: PeerHandler): void
  /**
   * Connects to the nodes at these addresses (`host:port`) and keeps trying for as long as they are listed; who is
   * there is learned from the handshake. The own address and a node that is connected already are skipped. One
   * connection for each pair of nodes: when both dial at once, both sides keep the one that the smaller node id
   * dialled.
   */
  dial(addresses: readonly string[]): void
  /**
   * Sends one frame, whose bytes may be reused at once. Returns false when it was not taken, because there is no
   * connection or the peer's byte budget is spent.
   */
  send(to: NodeId, frame: Uint8Array): boolean
  /** Drops the connection to a node that this one does not want to talk to; dialling starts again after a second. */
  disconnect(node: NodeId): void
  close(): void
}

export interface PeerHandler {
  /** A connection stands; `generation` differs from the last one when the node has restarted since. */
  connected(node: NodeId, generation: number): void
  disconnected(node: NodeId): void
  /** A frame arrived; the handler may keep the bytes. */
  frame(from: NodeId, frame: Uint8Array): void
}
