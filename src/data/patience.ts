/** Patience is how long a call waits for what its user's own code has promised: a schema, a change, a task. */

import { TroupeError } from '../base/error.ts'
import { type Clock, DEFAULT_TIMEOUT_MS, type Millis, type Scheduler } from '../base/time.ts'
import type { CallOptions } from '../driver/contract.ts'

export interface PatienceParts {
  readonly clock: Clock
  readonly scheduler: Scheduler
}

/** When a call is over, whatever is under way: when its signal aborts, or at its deadline. */
export interface CallEnd {
  readonly signal?: AbortSignal | undefined
  readonly deadline?: Millis
}

export function endOfCall(
  { clock }: Pick<PatienceParts, 'clock'>,
  { signal, timeout }: CallOptions,
): CallEnd & { readonly deadline: Millis } {
  return { signal, deadline: clock.now() + (timeout ?? DEFAULT_TIMEOUT_MS) }
}

/**
 * What the promise comes to; `TIMEOUT` or the signal's reason when the call is over before, whatever becomes of the
 * promise.
 *
 * @param what is promised, for the message of the error
 */
export async function within<Result>(
  promised: PromiseLike<Result>,
  what: string,
  { signal, deadline }: CallEnd,
  { scheduler }: Pick<PatienceParts, 'scheduler'>,
): Promise<Result> {
  // A signal of its own: Node warns of a leak when one has more than ten listeners.
  const own = signal === undefined ? undefined : AbortSignal.any([signal])
  let end = (): void => {}
  const over = new Promise<never>((_, reject) => {
    const late = (): void => reject(new TroupeError('TIMEOUT', `${what} took longer than the call may`))
    const timer = deadline === undefined ? undefined : scheduler.at(deadline, late)
    const aborted = (): void => reject(own?.reason)
    if (own?.aborted === true) aborted()
    own?.addEventListener('abort', aborted)
    end = () => {
      timer?.cancel()
      own?.removeEventListener('abort', aborted)
    }
  })
  try {
    return await Promise.race([over, promised])
  } finally {
    end()
  }
}

/** Calls `use` with what the promise comes to, and with the options that have the time that is left. */
export async function afterwards<Value, Options extends CallOptions, Result>(
  { promised, what }: { readonly promised: PromiseLike<Value>; readonly what: string },
  options: Options,
  parts: PatienceParts,
  use: (value: Value, options: Options) => Promise<Result>,
): Promise<Result> {
  const end = endOfCall(parts, options)
  const value = await within(promised, what, end, parts)
  return use(value, { ...options, timeout: Math.max(0, end.deadline - parts.clock.now()) })
}

export function isPromise<Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
