/** A Troupe error has a stable code, says whether trying again may help, and tells the reader what to do next. */

/** What is known about the effect of the operation that failed. `'unknown'`: it may have happened, or may still happen. */
export type Outcome = 'failed' | 'unknown'

export interface CodeFacts {
  /** Trying the same call again may succeed without any other change. */
  readonly retryable: boolean
  readonly outcome: Outcome
  /** What it means and what to do, for the reference page. */
  readonly meaning: string
}

const failed = (retryable: boolean, meaning: string): CodeFacts => ({ retryable, outcome: 'failed', meaning })

/** The code of an error: what a program matches on. Codes are added, never renamed. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'VALIDATION'
  | 'UNSERIALIZABLE'
  | 'TOO_LARGE'
  | 'CONFLICT'
  | 'COMPACTED'
  | 'FENCED'
  | 'LEASE_LOST'
  | 'LOCKED'
  | 'FULL'
  | 'DEAD_LETTER'
  | 'CLOSED'
  | 'ABORTED'
  | 'UNSUPPORTED'
  | 'ADDRESS_IN_USE'
  | 'ADDRESS_INVALID'
  | 'INSECURE'
  | 'UNAUTHENTICATED'
  | 'WRONG_CLUSTER'
  | 'VERSION_SKEW'
  | 'DIRECTORY_UNUSABLE'
  | 'DIRECTORY_IN_USE'
  | 'DATA_DAMAGED'
  | 'DISK_FAILED'
  | 'NO_QUORUM'
  | 'OVERLOADED'
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'OUTCOME_UNKNOWN'
  | 'INTERNAL'

/** Every code that a user can meet. The reference page `docs/reference/errors.md` is checked against this table. */
export const ERROR_CODES: Readonly<Record<ErrorCode, CodeFacts>> = {
  INVALID_ARGUMENT: failed(
    false,
    'An argument or option is malformed, unknown or out of range; the message names it. Correct the call.',
  ),
  VALIDATION: failed(
    false,
    'The value does not fit the schema; `details.issues` lists where. Correct the value or the schema.',
  ),
  UNSERIALIZABLE: failed(
    false,
    'The value holds something structured clone cannot carry (a function, a symbol, a promise). Remove it.',
  ),
  TOO_LARGE: failed(
    false,
    'A key is over 4 KiB, a value over 1 MiB, or a message over 256 MiB (1 MiB inside a handler, a flow or a schedule). Store large values elsewhere and keep a reference here; send large messages by `queue.send`.',
  ),
  CONFLICT: failed(
    false,
    '`ifRevision` does not match (`details.revision` is the current one), or somebody still uses what was to be reset or deleted. Look again and decide anew, or use `update`.',
  ),
  COMPACTED: failed(
    false,
    'The changes after this revision are no longer kept. Scan for the present state and watch from there.',
  ),
  FENCED: failed(
    false,
    'A newer token has been seen, so somebody else holds the lock, message or partition that this relied on. Stop what it belongs to.',
  ),
  LEASE_LOST: failed(
    false,
    'The lease of a lock, message or partition is over or could not be kept alive. Stop what it belongs to, and begin anew.',
  ),
  LOCKED: failed(true, 'Somebody else holds the lock, and the call was not to wait. Try again later, or wait for it.'),
  FULL: failed(true, 'The queue has reached its limit. Slow down, add workers, or choose another overflow.'),
  DEAD_LETTER: failed(
    false,
    'The message whose result was waited for is a dead letter: `details.death` says for what reason, `details.failure` what failed last. Redrive it, or send anew.',
  ),
  CLOSED: failed(false, 'The handle, connection or node has been closed. Open a new one.'),
  ABORTED: failed(false, 'The operation was ended by its AbortSignal before it was sent.'),
  UNSUPPORTED: failed(false, 'This driver or version cannot do this; the message names what can.'),
  ADDRESS_IN_USE: failed(false, 'Another process listens on this port. Stop it or choose another `listen` address.'),
  ADDRESS_INVALID: failed(false, 'An address is not `host:port`, or its host cannot be bound or found. Correct it.'),
  INSECURE: failed(
    false,
    'The address is reachable from other machines, and no `secret` is set. Set one (at least 32 bytes) or listen on loopback.',
  ),
  UNAUTHENTICATED: failed(
    false,
    'The other side does not hold the same `secret`. Give every node and client of the cluster the same one.',
  ),
  WRONG_CLUSTER: failed(
    false,
    'The other side, or the data directory, belongs to another cluster. Check `join`, `connect` and `dataDir`.',
  ),
  VERSION_SKEW: failed(
    false,
    'The other side, or the data, is of a version that this one cannot work with. Upgrade the older one.',
  ),
  DIRECTORY_UNUSABLE: failed(
    false,
    'The data directory cannot be created, read or written. Correct its path or permissions.',
  ),
  DIRECTORY_IN_USE: failed(
    false,
    'Another process uses this data directory. Stop it, or give each node a directory of its own.',
  ),
  DATA_DAMAGED: failed(
    false,
    'A file holds something other than what was written. The message names file and offset; nothing was changed.',
  ),
  DISK_FAILED: failed(
    false,
    'Writing or syncing failed, or there is no room. The node stops, because what is on disk can no longer be known; start it again once that is mended.',
  ),
  NO_QUORUM: failed(
    true,
    'The majority of the replicas cannot be reached. The operation was refused; nothing was changed. Try again later.',
  ),
  OVERLOADED: failed(
    true,
    'A limit on waiting work is reached. The operation was refused; nothing was changed. Slow down and try again.',
  ),
  UNREACHABLE: failed(
    true,
    'No node answers at the given addresses; `details.addresses` lists what was tried. Check that one is running.',
  ),
  TIMEOUT: failed(
    true,
    'The time allowed for the operation is over, and it certainly had no effect. Try again or allow more time.',
  ),
  OUTCOME_UNKNOWN: {
    retryable: false,
    outcome: 'unknown',
    meaning:
      'The operation was sent and no answer came: it may have happened. Ask with `outcome(error.details.operationId)`.',
  },
  INTERNAL: failed(false, 'Troupe contradicts itself: this is a bug. Please report it with the message.'),
}

/** What an error says to programs, by name; which names, the code says. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/**
 * The one error class of Troupe. Match on `code` (see {@link isTroupeError}), not with `instanceof`: two copies of the
 * package may be loaded.
 */
export class TroupeError extends Error {
  override readonly name = 'TroupeError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(
    code: ErrorCode,
    message: string,
    more: { readonly details?: ErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.details = more.details ?? {}
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable
  }

  get outcome(): Outcome {
    return ERROR_CODES[this.code].outcome
  }
}

/** Whether `error` comes from Troupe and, when codes are given, has one of them. */
export function isTroupeError<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  ...codes: Code[]
): error is TroupeError & { readonly code: Code } {
  if (typeof error !== 'object' || error === null || !('name' in error) || error.name !== 'TroupeError') return false
  return codes.length === 0 || ('code' in error && codes.some((code) => code === error.code))
}
