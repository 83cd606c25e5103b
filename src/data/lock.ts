/** A lock is held by one at a time, or by as many as it has permits; its token proves to others that it is still held. */

import { checkDuration, checkFlag, invalidArgument } from '../base/argument.ts'
import type { ValueCodec } from '../base/codec.ts'
import { LOCK_DELAY_LIMIT_MS, LOCK_SHARES, LOCK_VALUE_LIMIT_BYTES } from '../base/limit.ts'
import type { Millis } from '../base/time.ts'
import type { CallOptions, Driver, Hold, LockStatus } from '../driver/contract.ts'
import { CALL_OPTIONS, checkCall, NO_OPTIONS } from './call.ts'
import { facetOf } from './facet.ts'
import { checkBound, checkKey } from './key.ts'
import type { MapDefinition } from './map.ts'
import { afterwards, type PatienceParts } from './patience.ts'
import { validate } from './schema.ts'
import { sequencerOf } from './sequencer.ts'

/** How a lock is waited for and held. */
export interface LockOptions extends CallOptions {
  /** How long this process may be out of touch before it loses the lock, in milliseconds; default 10,000, at least 1,000. */
  readonly ttl?: Millis
  /** How long the lock stays shut after its holder was lost, for what the holder may still be doing; default 0, at most a day. */
  readonly lockDelay?: Millis
  /** False: rejects with `LOCKED` at once rather than wait in line. Default true: `timeout` ends the wait. */
  readonly wait?: boolean
  /** What others see of the holder: a value of up to 1 KiB. */
  readonly value?: unknown
  /** Where the lock lives; by default in a shard of its own name. */
  readonly with?: LockPlace
}

/**
 * A key whose shard the lock shares, so that a write to it under the lock's token is let through only while the lock is
 * held, and not merely until the next holder has written. Locks of one name beside different keys are different locks.
 */
export interface LockPlace {
  readonly map: { readonly name: string }
  readonly key: string
}

/** How a lock is waited for and held, alone or together with others. */
export interface ReadWriteLockOptions extends LockOptions {
  /** Held together with others that share it; nobody overtakes one who waits for it alone. Default false. */
  readonly shared?: boolean
}

/** Something that is held. Pass it as `fence` to a write, and the write is refused once somebody else holds it. */
export interface Lock extends AsyncDisposable {
  /** With its place, if it was given one: `name@map#key`, by which others can name it too. */
  readonly name: string
  /** Grows with every grant of this name, across all holders and failures. */
  readonly token: bigint
  /** Name and token as one printable text, to be handed to others; see `readSequencer`. */
  readonly sequencer: string
  /** Aborts with `LEASE_LOST`, by this process's own clock, before anybody else can get the lock. */
  readonly signal: AbortSignal
  /** Gives it to the next in line. Resolves also when it was lost already. */
  release(options?: CallOptions): Promise<void>
}

/** Who holds a lock now. */
export interface LockState {
  readonly name: string
  readonly holders: readonly { readonly token: bigint; readonly value: unknown; readonly permits: number }[]
  /** How many stand in line. */
  readonly waiting: number
}

/** A lease of its own: keys that live as long as it does. */
export interface Lease extends AsyncDisposable {
  /** Aborts with `LEASE_LOST`, by this process's own clock, before its keys go. */
  readonly signal: AbortSignal
  /**
   * Sets a key of a map that is deleted when the lease ends, by `end` or with its process. Who writes the key
   * afterwards without a lease keeps it; who sets it by another lease has it go with that one.
   */
  set<Value, Input>(map: MapDefinition<Value, Input>, key: string, value: Input, options?: CallOptions): Promise<void>
  /** Ends it and deletes its keys. Resolves also when it was lost already. */
  end(options?: CallOptions): Promise<void>
}

export interface LockParts {
  readonly driver: Driver
  readonly codec: ValueCodec
}

const TTL_MS: Millis = 10_000
const LEAST_TTL_MS: Millis = 1000
const LOCK_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'ttl', 'lockDelay', 'wait', 'value', 'with'])
const READ_WRITE_OPTIONS: ReadonlySet<string> = new Set([...LOCK_OPTIONS, 'shared'])
const LEASE_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'ttl'])

export async function acquireLock(parts: LockParts, name: string, options: ReadWriteLockOptions): Promise<Lock> {
  checkCall('troupe.lock', options, READ_WRITE_OPTIONS)
  const { shared = false, ...rest } = options
  checkFlag('shared', shared)
  const permits = shared ? 1 : LOCK_SHARES
  return new HeldLock(await acquire(parts, name, { permits, of: LOCK_SHARES }, rest))
}

export async function acquireSemaphore(
  parts: LockParts,
  name: string,
  permits: number,
  options: LockOptions,
): Promise<Lock> {
  checkCall('troupe.semaphore', options, LOCK_OPTIONS)
  if (!(Number.isSafeInteger(permits) && permits >= 1 && permits < LOCK_SHARES)) {
    throw invalidArgument('permits is a whole number from 1')
  }
  return new HeldLock(await acquire(parts, name, { permits: 1, of: permits }, options))
}

export async function acquire(
  { driver, codec }: LockParts,
  name: string,
  share: { readonly permits: number; readonly of: number },
  options: LockOptions,
): Promise<Hold> {
  const { ttl = TTL_MS, lockDelay = 0, wait = true, value = null, signal, timeout } = options
  checkTtl(ttl)
  checkDuration('lockDelay', lockDelay)
  if (lockDelay > LOCK_DELAY_LIMIT_MS) throw invalidArgument(`lockDelay is at most a day, ${LOCK_DELAY_LIMIT_MS} ms`)
  checkFlag('wait', wait)
  return facetOf(driver, 'lease').acquire(lockName(name, options.with), {
    ...share,
    ttl,
    lockDelay,
    wait,
    value: codec.encode(value, LOCK_VALUE_LIMIT_BYTES),
    ...(signal === undefined ? {} : { signal }),
    ...(timeout === undefined ? {} : { timeout }),
  })
}

/** What everybody knows a lock by: its place is part of its name. */
export function lockName(name: string, place: LockPlace | undefined): string {
  if (name === '') throw invalidArgument('a lock has a name')
  checkBound('the name of a lock', name)
  if (place === undefined) return name
  if (typeof place !== 'object' || place === null) throw invalidArgument('with is a key of a map: { map, key }')
  const { map, key } = place
  if (typeof map?.name !== 'string' || typeof key !== 'string') {
    throw invalidArgument('with is a key of a map: { map, key }, the map as it was defined')
  }
  if (name.includes('@')) throw invalidArgument(`the name of a lock that is placed has no '@', unlike '${name}'`)
  const full = `${name}@${map.name.slice(map.name.lastIndexOf('@') + 1)}#${key}`
  checkKey(full)
  return full
}

/** Runs `use` while holding something, and lets go of it however that ends. */
export async function useHeld<Held extends AsyncDisposable, Result>(
  acquired: Promise<Held>,
  use: (held: Held) => Result | Promise<Result>,
): Promise<Result> {
  const held = await acquired
  try {
    return await use(held)
  } finally {
    await held[Symbol.asyncDispose]()
  }
}

export async function openLease(
  parts: LockParts & PatienceParts,
  options: CallOptions & { readonly ttl?: Millis },
): Promise<Lease> {
  checkCall('troupe.lease', options, LEASE_OPTIONS)
  const { ttl = TTL_MS, ...call } = options
  checkTtl(ttl)
  const lease = await facetOf(parts.driver, 'lease').lease({ ...call, ttl })
  const end = async (endOptions: CallOptions = NO_OPTIONS): Promise<void> => {
    checkCall('lease.end', endOptions, CALL_OPTIONS)
    return lease.end(endOptions)
  }
  return {
    get signal() {
      return lease.lost
    },
    set: async (map, key, value, setOptions = NO_OPTIONS) => {
      if (map?.kind !== 'map') throw invalidArgument('a lease sets keys of a map as defineMap made it')
      checkKey(key)
      checkCall('lease.set', setOptions, CALL_OPTIONS)
      if (value === undefined) throw invalidArgument(`undefined is no value for '${key}': use null`)
      const { name, schema } = map
      const put = (valid: unknown, left: CallOptions): Promise<void> =>
        lease.set(name, key, parts.codec.encode(valid), left)
      if (schema === undefined) return put(value, setOptions)
      const promised = Promise.resolve(validate(schema, value, `the value for '${key}'`))
      return afterwards({ promised, what: `the schema of '${name}'` }, setOptions, parts, put)
    },
    end,
    [Symbol.asyncDispose]: () => end(),
  }
}

export function lockState({ codec }: LockParts, status: LockStatus): LockState {
  const holders = status.holders.map((holder) => ({ ...holder, value: codec.decode(holder.value) }))
  return { ...status, holders }
}

export class HeldLock implements Lock {
  readonly name: string
  readonly token: bigint
  readonly #hold: Hold

  constructor(hold: Hold) {
    this.name = hold.name
    this.token = hold.token
    this.#hold = hold
  }

  get sequencer(): string {
    return sequencerOf(this)
  }

  get signal(): AbortSignal {
    return this.#hold.lost
  }

  async release(options: CallOptions = NO_OPTIONS): Promise<void> {
    checkCall('lock.release', options, CALL_OPTIONS)
    return this.#hold.release(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#hold.release(NO_OPTIONS)
  }
}

function checkTtl(ttl: Millis): void {
  checkDuration('ttl', ttl, LEAST_TTL_MS)
}
