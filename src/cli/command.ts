/** A command is one thing that `troupe` does when asked: its words, its parameters, its flags, and what it runs. */

import type { Troupe } from '../runtime/troupe.ts'
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

/** What commands need of a client of a cluster; the one that `open` gives has more. */
export type Client = Pick<
  Troupe,
  | 'map'
  | 'queue'
  | 'queues'
  | 'topic'
  | 'topics'
  | 'subscribe'
  | 'schedule'
  | 'unschedule'
  | 'pauseSchedule'
  | 'resumeSchedule'
  | 'schedules'
  | 'lock'
  | 'locks'
  | 'observe'
  | 'status'
  | 'close'
>

/** The world around a command. */
export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Writes a line to standard output; resolves when the reader has taken it. */
  print(line: string): Promise<void>
  /** Writes a line to standard error. */
  complain(line: string): void
  /** Everything on standard input. */
  input(): Promise<string>
  /** From now on an interrupt or a termination aborts this signal, with the signal's name as the reason, instead of ending the process. */
  interruption(): AbortSignal
  /** Opens a client of the cluster at these addresses. */
  connect(addresses: readonly string[]): Promise<Client>
}
