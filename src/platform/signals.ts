/** Signals ask a process to end; this is how it ends well. */

import { setTimeout } from 'node:timers'
import { checkDuration, invalidArgument } from '../base/argument.ts'
import { DEFAULT_DRAIN_MS, LONGEST_TIMER_MS, type Millis } from '../base/time.ts'
import type { Troupe } from '../runtime/troupe.ts'

/** How a process ends when it is asked to. */
export interface SignalOptions {
  /** Milliseconds for draining; default 25,000, so that a supervisor's 30 s suffice. */
  readonly timeout?: Millis
}

/** Beyond the drain: closing takes less, and a process that hangs is of no use to anybody. */
const CLOSE_MS: Millis = 5_000
/** As shells count them: 128 and the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGBREAK: 149, shutdown: 143 } as const
type Ending = keyof typeof EXIT_CODES
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGBREAK'] as const

/**
 * Ends the process well when it is asked to end: on `SIGTERM`, `SIGINT` (Ctrl-C), `SIGBREAK` (Windows) or pm2's message
 * `'shutdown'` it drains and closes, then exits with code 0. A second request exits at once, with 128 and the signal's
 * number; so does closing that hangs, with code 1.
 *
 * @returns takes the handlers away again
 *
 * @example
 * const troupe = await open()
 * handleSignals(troupe, { timeout: 10_000 })
 */
export function handleSignals(troupe: Troupe, options: SignalOptions = {}): () => void {
  const { timeout = DEFAULT_DRAIN_MS } = options
  if (typeof troupe?.drain !== 'function') throw invalidArgument('handleSignals takes what open() resolves with')
  checkDuration('timeout', timeout)
  let isEnding = false
  const end = (ending: Ending): void => {
    if (isEnding) process.exit(EXIT_CODES[ending])
    isEnding = true
    setTimeout(() => process.exit(1), Math.min(timeout + CLOSE_MS, LONGEST_TIMER_MS)).unref()
    troupe.drain({ timeout }).then(
      () => process.exit(),
      () => process.exit(1),
    )
  }
  const listen = (message: unknown): void => {
    if (message === 'shutdown') end('shutdown')
  }
  for (const signal of SIGNALS) process.on(signal, end)
  if (process.channel !== undefined) {
    process.on('message', listen)
    // Listening for messages alone must not keep the process alive.
    process.channel.unref()
  }
  return () => {
    for (const signal of SIGNALS) process.off(signal, end)
    process.off('message', listen)
  }
}
