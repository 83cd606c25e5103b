/** A call is what a user asks of a handle: named, with options that are checked before anything happens. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { LONGEST_TIMER_MS } from '../base/time.ts'
import type { CallOptions, Fence, ReadLevel, ReadOptions, WriteOptions } from '../driver/contract.ts'
import { checkBound } from './key.ts'

export type FencedCall = CallOptions & { readonly fence?: Fence }

/** Stands for options that were not given. Calls with it skip the checks. */
export const NO_OPTIONS: Readonly<Record<string, never>> = Object.freeze({})

const CALL = ['signal', 'timeout'] as const
export const CALL_OPTIONS: ReadonlySet<string> = new Set(CALL)
export const READ_OPTIONS: ReadonlySet<string> = new Set([...CALL, 'read'])
const WRITE_OPTIONS: ReadonlySet<string> = new Set([...CALL, 'ifRevision', 'fence'])
export const FENCED_OPTIONS: ReadonlySet<string> = new Set([...CALL, 'fence'])

/** Throws `INVALID_ARGUMENT` for what is unknown or out of range, and the signal's reason when it has aborted already. */
export function checkCall(call: string, options: CallOptions, known: ReadonlySet<string>): void {
  if (options === NO_OPTIONS) return
  refuseUnknownOptions(call, options, known)
  const { signal, timeout } = options
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout > 0 && timeout <= LONGEST_TIMER_MS)) {
    throw invalidArgument(`timeout is a number of milliseconds above 0 and at most ${LONGEST_TIMER_MS}`)
  }
  checkSignal(signal)
  signal?.throwIfAborted()
}

export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || (typeof signal === 'object' && typeof signal?.throwIfAborted === 'function')) return
  throw invalidArgument('signal is an AbortSignal')
}

export function checkRead(call: string, options: ReadOptions, known: ReadonlySet<string> = READ_OPTIONS): void {
  checkCall(call, options, known)
  if (options.read !== undefined && !isReadLevel(options.read)) {
    throw invalidArgument(`read is 'linearizable', 'local' or { maxStalenessMs } with a number of milliseconds`)
  }
}

export function checkWrite(call: string, options: WriteOptions): void {
  checkCall(call, options, WRITE_OPTIONS)
  checkFence(options.fence)
  const { ifRevision } = options
  if (ifRevision !== undefined && !(typeof ifRevision === 'bigint' && ifRevision >= 0n)) {
    throw invalidArgument('ifRevision is a bigint: the revision of an entry, or 0n for a key that is absent')
  }
}

/** A fence is anything that has a name and a token, such as a lock. */
export function checkFence(fence: Fence | undefined): void {
  if (fence === undefined) return
  if (typeof fence !== 'object' || fence === null || typeof fence.token !== 'bigint' || !fence.name)
    throw invalidArgument('fence is a lock, an office, or { name, token } with a bigint')
  checkBound('the name of a fence', fence.name)
}

/** What a driver needs of a fence: the handle that it came from stays here. */
export function plainFence(fence: Fence | undefined): { readonly fence?: Fence } {
  return fence === undefined ? {} : { fence: { name: fence.name, token: fence.token } }
}

/** What of the options is for every call; most have nothing of it. */
export function callOf({ signal, timeout }: CallOptions): CallOptions {
  if (signal === undefined && timeout === undefined) return NO_OPTIONS
  return { ...(signal === undefined ? {} : { signal }), ...(timeout === undefined ? {} : { timeout }) }
}

export function fencedCallOf(options: FencedCall): FencedCall {
  return options.fence === undefined ? callOf(options) : { ...callOf(options), ...plainFence(options.fence) }
}

function isReadLevel(read: ReadLevel): boolean {
  if (typeof read === 'string') return read === 'linearizable' || read === 'local'
  return (
    typeof read === 'object' && read !== null && typeof read.maxStalenessMs === 'number' && read.maxStalenessMs >= 0
  )
}
