/** An engine message is what the application's thread and the engine's thread say to each other beside the channels. */

import { type ErrorCode, isTroupeError, TroupeError } from '../base/error.ts'
import type { Millis } from '../base/time.ts'
import type { PortEnd } from './port-channel.ts'

export type ToEngine =
  | { readonly type: 'connect'; readonly end: PortEnd }
  | { readonly type: 'drain'; readonly timeout: Millis }
  | { readonly type: 'close' }

export type FromEngine =
  | { readonly type: 'ready'; readonly node: string; readonly cluster: string; readonly address: string }
  /** It did not start, or it has ended by itself. */
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'drained' }

/** An error as structured clone can carry it. */
export interface PlainError {
  readonly code: ErrorCode
  readonly message: string
  readonly details: string
  readonly stack: string
}

export function plainError(error: unknown): PlainError {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  if (!isTroupeError(error)) return { code: 'INTERNAL', message, details: '{}', stack }
  return { code: error.code, message, details: JSON.stringify(error.details), stack }
}

/** The error again; its cause has the stack of the thread in which it arose. */
export function revivedError({ code, message, details, stack }: PlainError): TroupeError {
  const cause = new Error(message)
  cause.stack = stack
  return new TroupeError(code, message, { details: JSON.parse(details), cause })
}
