/** The leases of the memory driver: locks with their lines, and keys that live as long as their lease. */

import { TroupeError } from '../../base/error.ts'
import { type Clock, DEFAULT_TIMEOUT_MS, type Scheduler, type Timer } from '../../base/time.ts'
import type {
  AcquireOptions,
  CallOptions,
  Fence,
  Hold,
  LeaseFacet,
  LeaseHold,
  LockStatus,
  Revision,
} from '../contract.ts'
import { otherPermits } from '../in-use.ts'
import { closed, type MemoryDoor } from './door.ts'
import { Inbox } from './inbox.ts'
import type { MemoryKeyValue } from './key-value.ts'

interface Holder {
  readonly token: bigint
  readonly value: Uint8Array
  readonly permits: number
}

interface Place {
  readonly value: Uint8Array
  readonly permits: number
  readonly grant: (holder: Holder) => void
  readonly fail: (error: unknown) => void
}

interface Lock {
  of: number
  readonly holders: Set<Holder>
  readonly line: Place[]
  readonly observers: Set<Inbox<LockStatus>>
}

/** Holders are in this process and as alive as the driver: leases end only by their owner or with the driver. */
export class MemoryLeases implements LeaseFacet {
  readonly #ports: { readonly clock: Clock; readonly scheduler: Scheduler }
  readonly #door: MemoryDoor
  readonly #locks = new Map<string, Lock>()
  /** The highest token of names that are no locks here. */
  readonly #seen = new Map<string, bigint>()
  readonly #losses = new Set<AbortController>()
  #keyValue: MemoryKeyValue | undefined
  #token = 0n

  constructor(ports: { readonly clock: Clock; readonly scheduler: Scheduler }, door: MemoryDoor) {
    this.#ports = ports
    this.#door = door
    door.onClose(() => this.#close())
  }

  keepKeysIn(keyValue: MemoryKeyValue): void {
    this.#keyValue = keyValue
  }

  /** Throws `FENCED` unless the token holds its lock, or, of a name that is no lock, is none older than the newest seen. */
  checkFence({ name, token }: Fence): void {
    const lock = this.#locks.get(name)
    const newest = this.#seen.get(name) ?? 0n
    const isStale = lock === undefined ? token < newest : ![...lock.holders].some((holder) => holder.token === token)
    if (isStale) throw new TroupeError('FENCED', `token ${token} of '${name}' is stale`, { details: { name, token } })
    if (lock === undefined) this.#seen.set(name, token)
  }

  async acquire(name: string, options: AcquireOptions): Promise<Hold> {
    this.#door.check(options)
    const lock = this.#lock(name, options.of)
    const isFree = lock.holders.size === 0 && lock.line.length === 0
    if (isFree) lock.of = options.of
    if (lock.of !== options.of) throw otherPermits(name, lock.of)
    const fits = lock.line.length === 0 && taken(lock) + options.permits <= lock.of
    if (!fits && !options.wait) throw new TroupeError('LOCKED', `somebody else holds '${name}'`)
    const holder = fits ? this.#grant(name, lock, options) : await this.#queueUp(name, lock, options)
    return this.#hold(name, lock, holder)
  }

  observe(name: string, { signal }: { readonly signal?: AbortSignal }): AsyncIterable<LockStatus> {
    return {
      [Symbol.asyncIterator]: () => {
        const lock = this.#lock(name, 1)
        const aborted = (): void => inbox.fail(signal?.reason)
        const inbox = new Inbox<LockStatus>(
          () => {
            this.#door.check(signal === undefined ? {} : { signal })
            signal?.addEventListener('abort', aborted, { once: true })
            lock.observers.add(inbox)
            inbox.push(statusOf(name, lock))
          },
          () => {
            signal?.removeEventListener('abort', aborted)
            lock.observers.delete(inbox)
          },
        )
        return inbox
      },
    }
  }

  verify(name: string, token: bigint, options: CallOptions): Promise<boolean> {
    return this.#door.answer(options, () =>
      [...(this.#locks.get(name)?.holders ?? [])].some((holder) => holder.token === token),
    )
  }

  lease(options: CallOptions): Promise<LeaseHold> {
    return this.#door.answer(options, () => {
      const lost = new AbortController()
      const keys: { readonly map: string; readonly key: string; readonly revision: Revision | undefined }[] = []
      let isOver = false
      this.#losses.add(lost)
      return {
        lost: lost.signal,
        set: (map: string, key: string, value: Uint8Array, call: CallOptions): Promise<void> =>
          this.#door.answer(call, () => {
            if (isOver) throw new TroupeError('FENCED', 'the lease is over')
            keys.push({ map, key, revision: this.#keyValue?.put(map, key, value) })
          }),
        end: (call: CallOptions): Promise<void> =>
          this.#door.answer(call, () => {
            isOver = true
            this.#losses.delete(lost)
            // What somebody has written since is theirs.
            for (const { map, key, revision } of keys.splice(0)) this.#keyValue?.removeUnchanged(map, key, revision)
          }),
      }
    })
  }

  locks(options: CallOptions): Promise<readonly LockStatus[]> {
    return this.#door.answer(options, () =>
      [...this.#locks].filter(([, { holders }]) => holders.size > 0).map(([name, lock]) => statusOf(name, lock)),
    )
  }

  #hold(name: string, lock: Lock, holder: Holder): Hold {
    const lost = new AbortController()
    this.#losses.add(lost)
    const release = (options: CallOptions & { readonly to?: Uint8Array }): Promise<void> =>
      this.#door.answer(options, () => {
        this.#losses.delete(lost)
        if (!lock.holders.delete(holder)) return
        this.#passOn(name, lock, options.to)
      })
    return { name, token: holder.token, lost: lost.signal, release }
  }

  #grant(name: string, lock: Lock, { value, permits }: Pick<Place, 'value' | 'permits'>): Holder {
    this.#token += 1n
    const holder: Holder = { token: this.#token, value: value.slice(), permits }
    lock.holders.add(holder)
    this.#announce(name, lock)
    return holder
  }

  #queueUp(name: string, lock: Lock, options: AcquireOptions): Promise<Holder> {
    const { clock, scheduler } = this.#ports
    const { signal, value, permits, timeout = DEFAULT_TIMEOUT_MS } = options
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined
      const leave = (): void => {
        timer?.cancel()
        signal?.removeEventListener('abort', aborted)
        const at = lock.line.indexOf(place)
        if (at >= 0) lock.line.splice(at, 1)
      }
      const fail = (error: unknown): void => {
        leave()
        reject(error)
        if (!this.#door.isClosed) this.#passOn(name, lock, undefined)
      }
      const aborted = (): void => fail(signal?.reason)
      const grant = (holder: Holder): void => {
        leave()
        resolve(holder)
      }
      const place: Place = { value, permits, grant, fail }
      lock.line.push(place)
      timer = scheduler.at(clock.now() + timeout, () =>
        fail(new TroupeError('TIMEOUT', `'${name}' did not become free in time`)),
      )
      signal?.addEventListener('abort', aborted, { once: true })
      this.#announce(name, lock)
    })
  }

  /** First come, first served; `to` is whose turn it is before all others. */
  #passOn(name: string, lock: Lock, to: Uint8Array | undefined): void {
    const at = to === undefined ? -1 : lock.line.findIndex(({ value }) => isEqual(value, to))
    if (at > 0) lock.line.unshift(...lock.line.splice(at, 1))
    this.#announce(name, lock)
    for (let place = lock.line[0]; place !== undefined; place = lock.line[0]) {
      if (taken(lock) + place.permits > lock.of) return
      place.grant(this.#grant(name, lock, place))
    }
  }

  #announce(name: string, lock: Lock): void {
    for (const observer of lock.observers) observer.push(statusOf(name, lock))
  }

  #lock(name: string, of: number): Lock {
    const known = this.#locks.get(name)
    if (known !== undefined) return known
    const lock: Lock = { of, holders: new Set(), line: [], observers: new Set() }
    this.#locks.set(name, lock)
    return lock
  }

  #close(): void {
    for (const lost of this.#losses) lost.abort(new TroupeError('LEASE_LOST', 'the memory driver is closed'))
    for (const { line, observers } of this.#locks.values()) {
      for (const place of line.slice()) place.fail(closed())
      for (const observer of observers) observer.fail(closed())
    }
  }
}

function taken({ holders }: Lock): number {
  let sum = 0
  for (const { permits } of holders) sum += permits
  return sum
}

function statusOf(name: string, { holders, line }: Lock): LockStatus {
  return { name, holders: [...holders].map((holder) => ({ ...holder })), waiting: line.length }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}
