/** A command is one thing that `troupe` does when asked: its words, its parameters, its flags, and what it runs. */

import type { MapDefinition, TroupeMap } from '../data/map.ts'
import type { CallOptions, ClusterStatus } from '../driver/contract.ts'
import type { QueueDefinition } from '../message/queue.ts'
import type { TroupeQueue } from '../message/troupe-queue.ts'
import type { CommandLine, Syntax } from './command-line.ts'

export interface Command extends Syntax {
  readonly summary: string
  /** Command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, meaning: string])[]
  /** What else a reader must know, in paragraphs. */
  readonly notes: readonly string[]
  /** Resolves with the exit code. */
  run(line: CommandLine, terminal: Terminal): Promise<number>
}

/** What a command needs of a client of a cluster; the one that `open` gives has more. */
export interface Client {
  map<Value, Input>(definition: MapDefinition<Value, Input>): TroupeMap<Value, Input>
  queue<Value, Input>(definition: QueueDefinition<Value, Input>): TroupeQueue<Value, Input>
  status(options?: CallOptions): Promise<ClusterStatus>
  close(): Promise<void>
}

/** The world around a command. */
export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Writes a line to standard output; resolves when the reader has taken it. */
  print(line: string): Promise<void>
  /** Writes a line to standard error. */
  complain(line: string): void
  /** Everything on standard input. */
  input(): Promise<string>
  /** From now on an interrupt or a termination aborts this signal instead of ending the process. */
  interruption(): AbortSignal
  /** Opens a client of the cluster at these addresses. */
  connect(addresses: readonly string[]): Promise<Client>
}
