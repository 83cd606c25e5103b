/** A failure is why an operation ends without an answer, said so that the caller knows whether it had an effect. */

import { ByteReader } from '../../../base/bytes.ts'
import { ERROR_CODES, type ErrorCode, isTroupeError, TroupeError } from '../../../base/error.ts'
import type { Operation } from './operation.ts'

/** What was tried to reach the cluster. */
export interface Reach {
  readonly isConnected: boolean
  readonly addresses: readonly string[]
  readonly lastFailure: unknown
}

/** The time of an operation is over. */
export function timeoutError(operation: Operation<unknown>, reach: Reach): unknown {
  if (operation.mayHaveHappened) {
    return unknownOutcome(operation, `no answer within ${operation.timeout} ms`, undefined)
  }
  if (operation.isLeaderless) {
    return new TroupeError(
      'NO_QUORUM',
      `${nameOf(operation)} has had no leader for ${operation.timeout} ms: the majority of its replicas cannot be reached`,
      { details: { shard: operation.shard } },
    )
  }
  if (!reach.isConnected) {
    return new TroupeError('UNREACHABLE', `no node answers at ${reach.addresses.join(', ') || 'any address'}`, {
      details: { addresses: reach.addresses },
      cause: reach.lastFailure,
    })
  }
  return new TroupeError('TIMEOUT', `${nameOf(operation)} gave no answer within ${operation.timeout} ms`, {
    details: { shard: operation.shard },
  })
}

/** The signal of an operation has aborted while it was under way. */
export function abortError(operation: Operation<unknown>): unknown {
  const reason: unknown = operation.signal?.reason
  return operation.mayHaveHappened ? unknownOutcome(operation, 'aborted while under way', reason) : reason
}

/** The driver has been closed while an operation was under way. */
export function closeError(operation: Operation<unknown>, reason: unknown): unknown {
  return operation.mayHaveHappened ? unknownOutcome(operation, 'closed while under way', reason) : closedError(reason)
}

export function unknownOutcome(operation: Operation<unknown>, why: string, cause: unknown): TroupeError {
  return new TroupeError('OUTCOME_UNKNOWN', `${why}: the write may have happened, or may still happen`, {
    details: { operationId: operation.id, shard: operation.shard },
    cause,
  })
}

/** @param reason why the engine has ended by itself, if it has */
export function closedError(reason: unknown): TroupeError {
  if (isTroupeError(reason)) return reason
  return new TroupeError('CLOSED', 'this Troupe has been closed: open another one')
}

export function overloadedError(limit: string): TroupeError {
  return new TroupeError('OVERLOADED', `${limit} are under way already`)
}

/** The body of a refusal: a code and a message. */
export function readRefusal(bytes: Uint8Array): TroupeError {
  const reader = new ByteReader(bytes)
  const code = reader.text()
  return new TroupeError(isErrorCode(code) ? code : 'INTERNAL', reader.text())
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code)
}

function nameOf(operation: Operation<unknown>): string {
  return operation.shard < 0 ? 'the cluster' : `shard ${operation.shard}`
}
