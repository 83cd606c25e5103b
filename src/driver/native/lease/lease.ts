/** The leases of the native driver: locks live as long as the session lease of their holder in the lock's shard. */

import { invalidArgument } from '../../../base/argument.ts'
import { isTroupeError, TroupeError } from '../../../base/error.ts'
import { DEFAULT_TIMEOUT_MS, type Millis } from '../../../base/time.ts'
import {
  ANSWER_HEAD_BYTES,
  COMMAND,
  COMMAND_HEAD_BYTES,
  decodeCommandReply,
  NO_SESSION,
} from '../../../machine/command.ts'
import {
  type AcquireCommand,
  attachPart,
  decodeLockState,
  decodeLocks,
  encodeAcquire,
  encodeLetGo,
  encodeLockQuery,
  encodeLocks,
  encodeVerify,
  LEASE_COMMAND,
  LOCK_MAP,
  type LockState,
  placeOfLock,
} from '../../../machine/lease/command.ts'
import type { AcquireOptions, CallOptions, Hold, LeaseFacet, LeaseHold, LockStatus } from '../../contract.ts'
import { standing } from '../../contract-standing.ts'
import { otherPermits } from '../../in-use.ts'
import { ASK, Bodies, commandVerb } from '../body.ts'
import { changePart } from '../effects.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'
import { watch } from '../stream/watch.ts'
import { tokenNumber } from './fence.ts'
import { type LeaseParts, SessionLease } from './session-lease.ts'

const ACQUIRE = commandVerb(LEASE_COMMAND.acquire)
const LET_GO = commandVerb(LEASE_COMMAND.letGo)
const TRANSACTION = commandVerb(COMMAND.transaction)
const ENVELOPE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }
const PAGE_LIMIT = 1000
const LEAST_TTL_MS: Millis = 1000
const CLEAN_UP_MS: Millis = 5000

export class NativeLeases implements LeaseFacet {
  readonly #parts: LeaseParts

  constructor(router: Router, ports: WatchPorts) {
    this.#parts = { router, ports, bodies: new Bodies() }
  }

  async acquire(name: string, options: AcquireOptions): Promise<Hold> {
    const { clock } = this.#parts.ports
    if (!(options.ttl >= LEAST_TTL_MS)) throw invalidArgument('`ttl` is a number of milliseconds, at least 1,000')
    const deadline = clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    for (;;) {
      try {
        return await this.#acquireOnce(name, options, callOf(options, Math.max(0, deadline - clock.now())))
      } catch (error) {
        // While it waited this process was out of touch for so long that it lost its place: it takes another one.
        const isOutOfLine = isTroupeError(error, 'LEASE_LOST', 'FENCED') && options.signal?.aborted !== true
        if (!isOutOfLine) throw error
        if (clock.now() >= deadline) throw timeoutOf(name)
      }
    }
  }

  async #acquireOnce(name: string, options: AcquireOptions, call: CallOptions): Promise<Hold> {
    await this.#parts.router.whenReady(call)
    const { permits, of, wait, value, ttl, lockDelay } = options
    const { lease, granted } = SessionLease.begin(this.#parts, this.#shardOf(name), ttl, call)
    try {
      const asked = { lock: name, lease: lease.id, permits, of, wait, delayMs: lockDelay, value }
      const [token] = await Promise.all([this.#stand(asked, lease, call), granted])
      lease.lost.throwIfAborted()
      return new NativeHold(this, name, token, lease)
    } catch (error) {
      // The lease takes its place in line with it; if this fails it ends by itself.
      lease.end({ timeout: CLEAN_UP_MS }).catch(() => {})
      throw error
    }
  }

  observe(name: string, { signal }: { readonly signal?: AbortSignal }): AsyncIterable<LockStatus> {
    return { [Symbol.asyncIterator]: () => this.#observed(name, signal) }
  }

  /** Whoever leaves while waiting need not wait for the next change, as with a generator. */
  #observed(name: string, signal: AbortSignal | undefined): AsyncIterator<LockStatus, undefined> {
    const leaving = new AbortController()
    const signals = signal === undefined ? [leaving.signal] : [leaving.signal, signal]
    const states = this.#states(name, { signal: AbortSignal.any(signals), timeout: Number.POSITIVE_INFINITY })
    const end = { done: true, value: undefined } as const
    return {
      async next() {
        try {
          const { done, value } = await states.next()
          return done === true ? end : { done: false, value: statusOf(name, value) }
        } catch (error) {
          if (leaving.signal.aborted) return end
          throw error
        }
      },
      async return() {
        leaving.abort()
        await states.return(undefined)
        return end
      },
    }
  }

  async verify(name: string, token: bigint, options: CallOptions): Promise<boolean> {
    const value = this.#parts.bodies.write((writer) => encodeVerify(writer, name, tokenNumber(token)))
    const answer = await this.#parts.router.submit(onLock(ASK, name, value), options)
    return decodeCommandReply(answer).status === 'ok'
  }

  async lease({ ttl, ...options }: CallOptions & { readonly ttl: Millis }): Promise<LeaseHold> {
    if (!(ttl >= LEAST_TTL_MS)) throw invalidArgument('`ttl` is a number of milliseconds, at least 1,000')
    await this.#parts.router.whenReady(options)
    return new NativeLeaseHold(this.#parts, ttl)
  }

  async locks(options: CallOptions): Promise<readonly LockStatus[]> {
    const groups = await this.#parts.router.whenReady(options)
    const found: LockStatus[] = []
    for (let shard = 0; shard < groups.length; shard++) {
      for (let after: string | undefined = ''; after !== undefined; ) {
        const from: string = after
        const value = this.#parts.bodies.write((writer) => encodeLocks(writer, from, PAGE_LIMIT))
        const page = decodeLocks(await this.#parts.router.submit(new Operation(ASK, { shard, value }), options))
        for (const { name, state } of page.locks) found.push(statusOf(name, state))
        after = page.hasMore ? page.locks.at(-1)?.name : undefined
      }
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** @param to the value of the waiting candidate that comes next */
  async letGo(name: string, lease: SessionLease, to: Uint8Array | undefined, options: CallOptions): Promise<void> {
    if (lease.isOver) return
    try {
      if (to !== undefined) await this.#passOn(name, lease, to, options)
    } catch (error) {
      // It may have been passed on all the same; otherwise its holder, who no longer wants it, would keep it for ever.
      lease.end({ timeout: CLEAN_UP_MS }).catch(() => {})
      throw error
    }
    await lease.end(options)
  }

  async #passOn(name: string, lease: SessionLease, to: Uint8Array, options: CallOptions): Promise<void> {
    const state = await this.#ask(name, options)
    // The newest of its places: a candidate that lost its lease and came back has an older one until that lease is
    // over.
    const next = state?.waiters.findLast(({ value }) => isEqual(value, to))?.lease ?? 0
    const command = { lock: name, lease: lease.id, to: next }
    const value = this.#parts.bodies
      .write((writer) => encodeLetGo(writer, ENVELOPE, command))
      .subarray(COMMAND_HEAD_BYTES)
    await this.#parts.router.submit(onLock(LET_GO, name, value), options)
  }

  /** Asks for the lock and waits in line for it; the token. */
  async #stand(asked: AcquireCommand, lease: SessionLease, options: CallOptions): Promise<bigint> {
    const first = await this.#claim(asked, options)
    if (first !== undefined) return first
    const { clock } = this.#parts.ports
    const deadline = clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    const timer = new AbortController()
    const timing = this.#parts.ports.scheduler.at(deadline, () => timer.abort(timeoutOf(asked.lock)))
    const signals = [timer.signal, lease.lost, ...(options.signal === undefined ? [] : [options.signal])]
    try {
      const call = { signal: AbortSignal.any(signals), timeout: Number.POSITIVE_INFINITY }
      for await (const state of this.#states(asked.lock, call)) {
        const mine = state?.holders.find((claim) => claim.lease === lease.id)
        if (mine !== undefined) return BigInt(mine.number)
        // A list that is cut short, or a place that was lost with the lease, is cleared up by asking once more.
        const isListed = state?.waiters.some((claim) => claim.lease === lease.id) === true
        const token = isListed ? undefined : await this.#claim(asked, callOf(call, Math.max(0, deadline - clock.now())))
        if (token !== undefined) return token
      }
      throw timeoutOf(asked.lock)
    } finally {
      timing.cancel()
    }
  }

  /** The token, or undefined when it waits. */
  async #claim(asked: AcquireCommand, options: CallOptions): Promise<bigint | undefined> {
    const { bodies, router } = this.#parts
    const value = bodies.write((writer) => encodeAcquire(writer, ENVELOPE, asked)).subarray(COMMAND_HEAD_BYTES)
    try {
      const done = await router.submit(onLock(ACQUIRE, asked.lock, value), options)
      return done.status === 'waiting' ? undefined : BigInt(done.revision)
    } catch (error) {
      if (!isTroupeError(error, 'CONFLICT')) throw error
      const of = Number(error.details.revision ?? 0)
      if (of === 0) throw new TroupeError('LOCKED', `somebody else holds '${asked.lock}'`, { cause: error })
      throw otherPermits(asked.lock, of, error)
    }
  }

  /** The state now and after each change. */
  async *#states(name: string, options: CallOptions): AsyncGenerator<LockState | undefined> {
    const { router, ports } = this.#parts
    await router.whenReady(options)
    const range = { map: LOCK_MAP, from: name, until: `${name}\0`, shard: this.#shardOf(name) }
    for (;;) {
      const signal = options.signal === undefined ? {} : { signal: options.signal }
      // Before the state is asked for, so that nothing is missed in between.
      const { changes, first } = await standing((onStanding) => watch(router, ports, range, { ...signal, onStanding }))
      let change = first
      try {
        yield await this.#ask(name, options)
        for (let next = await change; next.done !== true; next = await change) {
          change = changes.next()
          change.catch(() => {})
          yield next.value.type === 'set' ? decodeLockState(next.value.value) : undefined
        }
        return
      } catch (error) {
        if (!isTroupeError(error, 'COMPACTED')) throw error
      } finally {
        await changes.return?.()
      }
    }
  }

  /** The shards must be known. */
  #shardOf(name: string): number {
    const { map, key } = placeOfLock(name)
    return this.#parts.router.shardOf(map, key)
  }

  async #ask(name: string, options: CallOptions): Promise<LockState | undefined> {
    const { bodies, router } = this.#parts
    const value = bodies.write((writer) => encodeLockQuery(writer, name))
    const answer = await router.submit(onLock(ASK, name, value), options)
    return decodeCommandReply(answer).status === 'ok' ? decodeLockState(answer.subarray(ANSWER_HEAD_BYTES)) : undefined
  }
}

class NativeHold implements Hold {
  readonly name: string
  readonly token: bigint
  readonly #leases: NativeLeases
  readonly #lease: SessionLease

  constructor(leases: NativeLeases, name: string, token: bigint, lease: SessionLease) {
    this.#leases = leases
    this.name = name
    this.token = token
    this.#lease = lease
  }

  get lost(): AbortSignal {
    return this.#lease.lost
  }

  release({ to, ...options }: CallOptions & { readonly to?: Uint8Array }): Promise<void> {
    return this.#leases.letGo(this.name, this.#lease, to, options)
  }
}

/** Keys live in many shards, and each shard has a lease of its own. */
class NativeLeaseHold implements LeaseHold {
  readonly #parts: LeaseParts
  readonly #ttl: Millis
  readonly #controller = new AbortController()
  readonly #leases = new Map<number, Promise<SessionLease>>()
  #isOver = false

  constructor(parts: LeaseParts, ttl: Millis) {
    this.#parts = parts
    this.#ttl = ttl
  }

  get lost(): AbortSignal {
    return this.#controller.signal
  }

  async set(map: string, key: string, value: Uint8Array, options: CallOptions): Promise<void> {
    this.lost.throwIfAborted()
    if (this.#isOver) throw new TroupeError('FENCED', 'the lease is over')
    const { router, bodies } = this.#parts
    const shard = router.shardOf(map, key)
    const lease = await this.#leaseOf(shard, options)
    lease.lost.throwIfAborted()
    const body = bodies.transaction([changePart({ type: 'set', map, key, value }), attachPart(map, key, lease.id)])
    await router.submit(new Operation(TRANSACTION, { shard, value: body }), options)
  }

  async end(options: CallOptions): Promise<void> {
    this.#isOver = true
    const leases = await Promise.all(this.#leases.values())
    await Promise.all(leases.map((lease) => lease.end(options)))
  }

  #leaseOf(shard: number, options: CallOptions): Promise<SessionLease> {
    const known = this.#leases.get(shard)
    if (known !== undefined) return known
    const granted = SessionLease.grant(this.#parts, shard, this.#ttl, options)
    this.#leases.set(shard, granted)
    granted.then(
      ({ lost }) => {
        // A grant that took as long as the lease lives has brought one that is over.
        if (lost.aborted) this.#lose(lost.reason)
        else lost.addEventListener('abort', () => this.#lose(lost.reason), { once: true })
      },
      () => this.#leases.delete(shard),
    )
    return granted
  }

  /** What is over in one shard is over in all. */
  #lose(reason: unknown): void {
    this.#controller.abort(reason)
    this.end({}).catch(() => {})
  }
}

function statusOf(name: string, state: LockState | undefined): LockStatus {
  const holders = (state?.holders ?? []).map(({ number, value, permits }) => ({
    token: BigInt(number),
    value,
    permits,
  }))
  return { name, holders, waiting: state?.waiting ?? 0 }
}

function onLock<Answer>(verb: Verb<Answer>, name: string, value: Uint8Array): Operation<Answer> {
  const { map, key } = placeOfLock(name)
  return new Operation(verb, { map, key, value })
}

function callOf({ signal, timeout }: CallOptions, limit: Millis | undefined = timeout): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(limit === undefined ? {} : { timeout: limit }),
  }
}

function timeoutOf(lock: string): TroupeError {
  return new TroupeError('TIMEOUT', `'${lock}' did not become free in time`)
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at])
}
