/** An engine is a running node as the process around it sees it: open channels to it, drain it, close it. */

import { isTroupeError } from '../base/error.ts'
import type { Millis } from '../base/time.ts'
import type { Settings } from '../runtime/options.ts'
import type { Channel } from '../wire/channel.ts'

export interface Engine {
  readonly node: string
  readonly cluster: string
  /** `host:port` at which others reach it; `''` when it listens nowhere. */
  readonly address: string
  /** A channel for an application of this process. */
  connect(): Channel
  /** Hands leaderships over for at most this long. */
  drain(timeout: Millis): Promise<void>
  close(): Promise<void>
  /** Aborts with its error when the engine ends by itself: it contradicted itself or lost its disk. */
  readonly failed: AbortSignal
}

/** What an engine needs to know: {@link Settings} without what can't change threads. */
export type EngineSettings = Omit<Settings, 'driver' | 'connect' | 'engine'>

/** `EX_IOERR` of sysexits.h: the disk failed, or what is on it is not what was written. */
const EXIT_DISK = 74
/** `EX_CONFIG`: another version of Troupe has to be started. */
const EXIT_VERSION = 78
/** `EX_SOFTWARE` of sysexits.h: an internal error. */
const EXIT_INTERNAL = 70

/** The exit code of a process whose engine ended, or could not begin, with this error. */
export function exitCodeOf(error: unknown): number {
  if (isTroupeError(error, 'VERSION_SKEW')) return EXIT_VERSION
  return isTroupeError(error, 'DISK_FAILED', 'DATA_DAMAGED') ? EXIT_DISK : EXIT_INTERNAL
}
