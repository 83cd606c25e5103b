/** The parts that all handles of messages share. */

import type { ValueCodec } from '../base/codec.ts'
import type { Random } from '../base/random.ts'
import type { Clock, Millis, Scheduler } from '../base/time.ts'
import type { Driver } from '../driver/contract.ts'
import type { Worker } from './handler.ts'

export interface MessageParts {
  readonly driver: Driver
  readonly codec: ValueCodec
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** Aborts when the Troupe ends: with `CLOSED` when it was asked to. */
  readonly ending: AbortSignal
  /** Those that have not ended: the Troupe drains them when it drains, and closes them when it closes. */
  readonly workers: Set<Pick<Worker, 'drain' | 'close'>>
}

/** Resolves after a while, or rejects with the signal's reason. */
export async function pause(
  { clock, scheduler }: Pick<MessageParts, 'clock' | 'scheduler'>,
  duration: Millis,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const aborted = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = scheduler.at(clock.now() + duration, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted, { once: true })
  })
}
