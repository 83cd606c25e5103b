/** A conformance case is one promise of the driver contract, as a sentence and a run that rejects when it is broken. */

import type { ErrorCode } from '../../base/error.ts'
import { TroupeError } from '../../base/error.ts'
import type { Change, Driver, KeyRange, ScannedEntry, ScanOptions } from '../contract.ts'

/** What a test runner hands to each case. */
export interface ConformanceContext {
  /** Shared by all cases; none of them closes it. */
  readonly driver: Driver
  /** A map of this driver that no other case has touched. */
  readonly map: string
  /** A connection that the case may close without harm to others. */
  readonly connect: () => Promise<Driver>
}

/** One promise of the contract. */
export interface ConformanceCase {
  readonly name: string
  readonly run: (context: ConformanceContext) => Promise<void>
}

export const WHOLE: KeyRange = { from: '', until: '' }
export const FORWARD: ScanOptions = { reverse: false, limit: Number.POSITIVE_INFINITY }

export class ConformanceError extends Error {
  override readonly name = 'ConformanceError'
}

export function check(holds: boolean, promise: string): asserts holds {
  if (!holds) throw new ConformanceError(promise)
}

/** Compares by their JSON text, with bigints and bytes spelt out. */
export function checkEqual(found: unknown, wanted: unknown, what: string): void {
  const [left, right] = [spell(found), spell(wanted)]
  if (left !== right) throw new ConformanceError(`${what}: wanted ${right.slice(0, 400)}, found ${left.slice(0, 400)}`)
}

/** The error with which `call` rejects, which has one of the codes. */
export async function checkRejects(call: Promise<unknown>, ...codes: ErrorCode[]): Promise<TroupeError> {
  const error = await rejection(call)
  const isCoded = error instanceof TroupeError || (error instanceof Error && error.name === 'TroupeError')
  if (!isCoded) throw new ConformanceError(`wanted a TroupeError ${codes.join(' or ')}, found ${String(error)}`)
  const coded = error as TroupeError
  if (!codes.includes(coded.code)) {
    throw new ConformanceError(`wanted ${codes.join(' or ')}, found ${coded.code}: ${coded.message}`)
  }
  return coded
}

export function rejection(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (value) => {
      throw new ConformanceError(`wanted a rejection, found ${spell(value).slice(0, 400)}`)
    },
    (error: unknown) => error,
  )
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export async function collect(entries: AsyncIterable<ScannedEntry>): Promise<ScannedEntry[]> {
  const collected: ScannedEntry[] = []
  for await (const entry of entries) collected.push(entry)
  return collected
}

export async function scanKeys(
  { driver, map }: ConformanceContext,
  range: KeyRange = WHOLE,
  options: Partial<ScanOptions> = {},
): Promise<string[]> {
  const entries = await collect(driver.keyValue.scan(map, range, { ...FORWARD, ...options }))
  return entries.map(({ key }) => key)
}

/** The next `count` changes of a watch. */
export async function take(watch: AsyncIterator<Change>, count: number): Promise<Change[]> {
  const taken: Change[] = []
  while (taken.length < count) {
    const { done, value } = await watch.next()
    check(done !== true, 'a watch goes on until it is ended')
    taken.push(value)
  }
  return taken
}

function spell(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'bigint') return `${part}n`
    return part instanceof Uint8Array ? `bytes ${part.length}: ${part.subarray(0, 64).join(' ')}` : part
  })
  return text ?? String(value)
}
