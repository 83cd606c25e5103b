/** A history is what the clients of a register saw: every operation with its invocation, its return and its outcome. */

/** Nanoseconds of virtual time. */
export type Nanos = number

/**
 * What a client asked of one key. `expected` is the revision under which alone a write may happen: 0 for "only when
 * absent", undefined for "in any case". No two writes of a history carry the same value.
 */
export type RegisterCall =
  | { readonly type: 'get' }
  | { readonly type: 'set'; readonly value: string; readonly expected: number | undefined }
  | { readonly type: 'delete'; readonly expected: number | undefined }

/** What the client was answered. A conflict names the revision that stood in the way, 0 for an absent key. */
export type RegisterReply =
  | { readonly type: 'present'; readonly value: string; readonly revision: number }
  | { readonly type: 'absent' }
  | { readonly type: 'written'; readonly revision: number }
  | { readonly type: 'deleted'; readonly revision: number; readonly existed: boolean }
  | { readonly type: 'conflict'; readonly revision: number }

/**
 * One operation. Without a reply nobody knows: it may take effect at any time after its invocation, or never.
 * Operations that certainly did not happen are `failed`.
 */
export interface Operation {
  readonly client: number
  readonly key: string
  readonly call: RegisterCall
  readonly invokedAt: Nanos
  /** Infinity while the outcome is unknown. */
  returnedAt: Nanos
  outcome: 'ok' | 'failed' | 'unknown'
  reply: RegisterReply | undefined
  /** Why it failed or is unknown: an error code. */
  reason: string | undefined
}

/** Collects operations in the order of their invocation. */
export class History {
  readonly operations: Operation[] = []

  invoke(client: number, key: string, call: RegisterCall, now: Nanos): Operation {
    const operation: Operation = {
      client,
      key,
      call,
      invokedAt: now,
      returnedAt: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
      reply: undefined,
      reason: undefined,
    }
    this.operations.push(operation)
    return operation
  }

  /** One JSON object a line; the fields are documented at {@link line}. */
  toJsonLines(): string {
    return this.operations.map((operation) => `${line(operation)}\n`).join('')
  }
}

export function complete(operation: Operation, reply: RegisterReply, now: Nanos): void {
  operation.returnedAt = now
  operation.outcome = 'ok'
  operation.reply = reply
}

export function fail(operation: Operation, reason: string, now: Nanos): void {
  operation.returnedAt = now
  operation.outcome = 'failed'
  operation.reason = reason
}

/** The outcome stays unknown; only the reason is noted. */
export function giveUp(operation: Operation, reason: string): void {
  operation.reason = reason
}

/**
 * `p` client, `f` function (read, write, cas, delete), `k` key, `v` argument, `v2` expected revision, `t0` and `t1`
 * nanoseconds, `s` state (ok, fail, info), `r` reply or reason.
 */
function line(operation: Operation): string {
  const { call } = operation
  const expected = call.type === 'get' ? undefined : call.expected
  return JSON.stringify({
    p: operation.client,
    f: functionName(call),
    k: operation.key,
    v: call.type === 'set' ? call.value : undefined,
    v2: expected,
    t0: operation.invokedAt,
    t1: Number.isFinite(operation.returnedAt) ? operation.returnedAt : undefined,
    s: operation.outcome === 'ok' ? 'ok' : operation.outcome === 'failed' ? 'fail' : 'info',
    r: operation.reply ?? operation.reason,
  })
}

function functionName(call: RegisterCall): string {
  if (call.type === 'get') return 'read'
  if (call.type === 'delete') return 'delete'
  return call.expected === undefined ? 'write' : 'cas'
}
