/** The leases of a shard, and what lives as long as they do: locks, places in line, attached keys. */

import { required } from '../../base/assert.ts'
import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES, LOCK_DELAY_LIMIT_MS, LOCK_VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, expectQueryEnd, type Outcome, STATUS } from '../command.ts'
import { compareKeys } from '../key-order.ts'
import type { LeaseView } from '../leader-view.ts'
import { type FrozenTable, type Neighbours, TABLE, type Table, type Task } from '../table.ts'
import { LEASE_COMMAND, LEASE_MAP, LEASE_QUERY, LOCK_MAP } from './command.ts'
import { Fences } from './fence.ts'
import { type Claim, Lock } from './lock.ts'
import { type AttachedKey, encodeLeases, type LeaseState, readLeases } from './snapshot.ts'

export interface LeaseLimits {
  readonly leases: number
  /** Holds and places of all locks, and locks. */
  readonly claims: number
  readonly waitersOfLock: number
  readonly attachedKeys: number
  readonly fences: number
}

const LEASE_LIMITS: LeaseLimits = {
  leases: 100_000,
  claims: 131_072,
  waitersOfLock: 10_000,
  attachedKeys: 262_144,
  fences: 65_536,
}

const MOST_PAGE_BYTES = 1024 * 1024
const NOTHING: Uint8Array = new Uint8Array(0)

interface Lease {
  readonly id: number
  readonly ttlMs: number
  /** Those in which it has a claim. */
  readonly locks: Set<Lock>
  /** By {@link attachedName}. */
  readonly keys: Map<string, AttachedKey>
}

/**
 * What follows from a lease's end happens in the order of the claims' numbers and then of attaching, which a snapshot
 * keeps.
 *
 * Invariant: every claim of a lock is of a lease that exists, which knows the lock.
 * Invariant: a lock that is idle is not kept.
 */
export class LeaseTable implements Table, LeaseView {
  readonly type: number = TABLE.lease
  version = 0
  readonly #neighbours: Neighbours
  readonly #limits: LeaseLimits
  readonly #leases: Map<number, Lease> = new Map()
  readonly #locks: Map<string, Lock> = new Map()
  readonly #shut: Set<Lock> = new Set()
  readonly #attached: Map<string, Lease> = new Map()
  readonly #fences: Fences
  #claims = 0
  #dueAt: LeaderMicros = Number.POSITIVE_INFINITY

  constructor(neighbours: Neighbours, limits: LeaseLimits = LEASE_LIMITS) {
    this.#neighbours = neighbours
    this.#limits = limits
    this.#fences = new Fences(limits.fences)
  }

  get dueAt(): LeaderMicros {
    return this.#dueAt
  }

  leases(): ReturnType<LeaseView['leases']> {
    return this.#leases.values()
  }

  has(lease: number): boolean {
    return this.#leases.has(lease)
  }

  run(task: Task): void {
    const { kind } = task
    if (kind === LEASE_COMMAND.grant) this.#grant(task)
    else if (kind === LEASE_COMMAND.acquire) this.#acquire(task)
    else if (kind === LEASE_COMMAND.leaseExpire) this.#end(task, true)
    else if (kind === LEASE_COMMAND.fence) settle(task.outcome, STATUS.unsupported, 0)
    else if (kind === LEASE_COMMAND.attach) this.#attach(task)
    else this.apply(task)
  }

  check(task: Task): void {
    const { kind, reader, outcome } = task
    settle(outcome, STATUS.ok, 0)
    if (kind === LEASE_COMMAND.revoke) readLease(reader)
    else if (kind === LEASE_COMMAND.letGo) readLetGo(reader)
    else if (kind === LEASE_COMMAND.fence) this.#checkFence(task)
    else if (kind === LEASE_COMMAND.attach) this.#checkAttach(task)
    else {
      settle(outcome, STATUS.unsupported, 0)
      return
    }
    expectEnd(reader, task.end)
  }

  apply(task: Task): void {
    const { kind } = task
    if (kind === LEASE_COMMAND.revoke) this.#end(task, false)
    else if (kind === LEASE_COMMAND.letGo) this.#letGo(task)
    else if (kind === LEASE_COMMAND.fence) this.#fence(task)
    else if (kind === LEASE_COMMAND.attach) this.#tie(task)
    else settle(task.outcome, STATUS.unsupported, 0)
  }

  query(kind: number, reader: ByteReader, reply: ByteWriter): boolean {
    if (kind === LEASE_QUERY.lock) this.#queryLock(reader, reply)
    else if (kind === LEASE_QUERY.verify) this.#verify(reader, reply)
    else if (kind === LEASE_QUERY.locks) this.#queryLocks(reader, reply)
    else return false
    return true
  }

  advance(time: LeaderMicros): void {
    const due = [...this.#shut].filter((lock) => lock.shutUntil <= time)
    // The order in which they were shut is in no snapshot; revisions are.
    for (const lock of due.sort((a, b) => a.shutUntil - b.shutUntil || a.revision - b.revision)) {
      lock.shutUntil = 0
      this.#shut.delete(lock)
      this.#change(lock, time)
    }
    this.#reckon()
  }

  /** Encodes at once: leases and locks are few and small beside maps and messages. */
  freeze(): FrozenTable {
    const sections = encodeLeases(this.#state())
    return { sections: () => sections, release(): void {} }
  }

  load(section: ByteReader): void {
    readLeases(section, {
      lease: (id, ttlMs) => this.#leases.set(id, { id, ttlMs, locks: new Set(), keys: new Map() }),
      attached: (lease, key) => this.#tieTo(this.#known(lease), key),
      lock: (lock) => this.#loadLock(lock),
      claim: (name, claim, held) => this.#loadClaim(name, claim, held),
      fence: (name, token, touched) => this.#fences.load(name, token, touched),
    })
    this.version++
  }

  #grant(task: Task): Outcome {
    const { reader, outcome, time } = task
    const id = readLease(reader)
    const ttlMs = reader.u53()
    expectEnd(reader, task.end)
    if (ttlMs === 0) throw malformed('a lease lives for some time')
    if (this.#leases.has(id)) return settle(outcome, STATUS.duplicate, 0)
    if (this.#leases.size >= this.#limits.leases) return settle(outcome, STATUS.full, 0)
    this.#leases.set(id, { id, ttlMs, locks: new Set(), keys: new Map() })
    this.version++
    return settle(outcome, STATUS.ok, this.#neighbours.revise(time))
  }

  #end(task: Task, expired: boolean): Outcome {
    const { reader, outcome, time } = task
    const id = readLease(reader)
    expectEnd(reader, task.end)
    const lease = this.#leases.get(id)
    if (lease === undefined) return settle(outcome, STATUS.absent, 0)
    this.#leases.delete(id)
    this.version++
    for (const lock of [...lease.locks].sort((a, b) => numberOf(a, id) - numberOf(b, id))) {
      const removed = this.#remove(lock, lease)
      if (expired && removed?.held === true) this.#shutFor(lock, removed.claim.delayMs, time)
      this.#change(lock, time)
    }
    for (const [name, { map, key, revision }] of lease.keys) {
      this.#attached.delete(name)
      this.#neighbours.deleteKey(map, key, revision, time)
    }
    this.#neighbours.leaseEnded(id, time)
    return settle(outcome, STATUS.ok, this.#announce(LEASE_MAP, String(id), NOTHING, time))
  }

  #acquire(task: Task): Outcome {
    const { reader, outcome, time } = task
    const name = reader.text(KEY_LIMIT_BYTES)
    const id = readLease(reader)
    const permits = reader.u32()
    const of = reader.u32()
    const flags = reader.u8()
    const delayMs = reader.u53()
    const value = reader.blob(LOCK_VALUE_LIMIT_BYTES)
    expectEnd(reader, task.end)
    if (permits === 0 || permits > of || flags > 1 || delayMs > LOCK_DELAY_LIMIT_MS) throw malformed('no such acquire')
    const lease = this.#leases.get(id)
    if (lease === undefined) return settle(outcome, STATUS.fenced, 0)
    const present = this.#locks.get(name)
    // One that asks again is answered as if nothing had happened between.
    if (present?.holder(id) !== undefined) return settle(outcome, STATUS.ok, numberOf(present, id))
    if (present?.waiter(id) !== undefined) return settle(outcome, STATUS.waiting, numberOf(present, id))
    const isUsed = present !== undefined && present.holding + present.waiting > 0
    if (isUsed && present.of !== of) return settle(outcome, STATUS.conflict, present.of)
    const isFree = present?.isFree(permits) ?? true
    if (!isFree && flags === 1) return settle(outcome, STATUS.conflict, 0)
    if (!this.#hasRoom(present, isFree)) return settle(outcome, STATUS.full, 0)
    const lock = present ?? this.#create(name, of)
    lock.of = of
    const number = this.#neighbours.revise(time)
    const claim = { lease: id, permits, delayMs, number, value: value.slice() }
    if (isFree) lock.hold(claim)
    else lock.wait(claim)
    lease.locks.add(lock)
    this.#claims++
    this.#tell(lock, time)
    return settle(outcome, isFree ? STATUS.ok : STATUS.waiting, number)
  }

  #hasRoom(lock: Lock | undefined, isFree: boolean): boolean {
    const { claims, waitersOfLock } = this.#limits
    if (this.#claims >= claims || (lock === undefined && this.#locks.size >= claims)) return false
    return isFree || lock === undefined || lock.waiting < waitersOfLock
  }

  #letGo(task: Task): Outcome {
    const { reader, outcome, time } = task
    const { name, lease: id, to } = readLetGo(reader)
    expectEnd(reader, task.end)
    const lease = this.#leases.get(id)
    const lock = this.#locks.get(name)
    const removed = lease && lock && this.#remove(lock, lease)
    if (lock === undefined || removed === undefined) return settle(outcome, STATUS.absent, 0)
    lock.prefer(to)
    return settle(outcome, STATUS.ok, this.#change(lock, time))
  }

  #checkFence({ reader, outcome, time }: Task): void {
    const { name, token, isHome } = readFence(reader)
    const lock = this.#locks.get(name)
    if (isHome || lock !== undefined) {
      if (lock?.isHeldBy(token) !== true) settle(outcome, STATUS.fenced, lock?.newestToken ?? 0)
      return
    }
    const highest = this.#fences.highest(name)
    if (token === 0 || highest > token) settle(outcome, STATUS.fenced, highest)
    else if (!this.#fences.hasRoom(name, time)) settle(outcome, STATUS.overloaded, 0)
  }

  #fence({ reader, outcome, time }: Task): void {
    const { name, token, isHome } = readFence(reader)
    if (!isHome && !this.#locks.has(name)) this.#fences.see(name, token, time)
    settle(outcome, STATUS.ok, token)
  }

  #attach(task: Task): void {
    const start = task.reader.at
    this.check(task)
    if (task.outcome.status !== STATUS.ok) return
    task.reader.at = start
    this.apply(task)
  }

  #checkAttach({ reader, outcome }: Task): void {
    const { map, key, lease } = readAttach(reader)
    if (!this.#leases.has(lease)) settle(outcome, STATUS.fenced, 0)
    else if (!this.#attached.has(attachedName(map, key)) && this.#attached.size >= this.#limits.attachedKeys) {
      settle(outcome, STATUS.full, 0)
    }
  }

  #tie({ reader, outcome, time }: Task): void {
    const { map, key, lease } = readAttach(reader)
    const owner = this.#leases.get(lease)
    // Another part of the same transaction has ended the lease, and its keys with it.
    const revision = this.#neighbours.revise(time)
    if (owner === undefined) this.#neighbours.deleteKey(map, key, revision, time)
    else this.#tieTo(owner, { map, key, revision })
    settle(outcome, STATUS.ok, revision)
  }

  #tieTo(lease: Lease, attached: AttachedKey): void {
    const name = attachedName(attached.map, attached.key)
    this.#attached.get(name)?.keys.delete(name)
    this.#attached.set(name, lease)
    lease.keys.set(name, attached)
  }

  #create(name: string, of: number): Lock {
    const lock = new Lock(name, of)
    this.#locks.set(name, lock)
    return lock
  }

  #remove(lock: Lock, lease: Lease): ReturnType<Lock['remove']> {
    const removed = lock.remove(lease.id)
    if (removed === undefined) return undefined
    lease.locks.delete(lock)
    this.#claims--
    return removed
  }

  #shutFor(lock: Lock, delayMs: number, time: LeaderMicros): void {
    if (delayMs === 0) return
    lock.shutUntil = Math.max(lock.shutUntil, time + delayMs * 1000)
    this.#shut.add(lock)
    this.#reckon()
  }

  /** A lock has lost a claim or was opened: passes it on. Gives the revision of that. */
  #change(lock: Lock, time: LeaderMicros): number {
    for (let next = lock.takeNext(); next !== undefined; next = lock.takeNext()) {
      lock.hold({ ...next, number: this.#neighbours.revise(time) })
    }
    return this.#tell(lock, time)
  }

  #tell(lock: Lock, time: LeaderMicros): number {
    if (lock.isIdle) this.#locks.delete(lock.name)
    lock.revision = this.#announce(LOCK_MAP, lock.name, lock.isIdle ? NOTHING : lock.encode(), time)
    return lock.revision
  }

  /** Each with a revision of its own, since watchers go on after the last that they have seen. */
  #announce(map: string, key: string, value: Uint8Array, time: LeaderMicros): number {
    const revision = this.#neighbours.revise(time)
    this.#neighbours.announce({ map, key, revision, value })
    return revision
  }

  #reckon(): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    for (const { shutUntil } of this.#shut) if (shutUntil < this.#dueAt) this.#dueAt = shutUntil
  }

  #queryLock(reader: ByteReader, reply: ByteWriter): void {
    const lock = this.#locks.get(reader.text(KEY_LIMIT_BYTES))
    expectQueryEnd(reader)
    reply.u8(lock === undefined ? STATUS.absent : STATUS.ok)
    reply.u53(lock?.revision ?? 0)
    if (lock !== undefined) reply.raw(lock.encode())
  }

  #verify(reader: ByteReader, reply: ByteWriter): void {
    const lock = this.#locks.get(reader.text(KEY_LIMIT_BYTES))
    const token = reader.u53()
    expectQueryEnd(reader)
    const isHeld = lock?.isHeldBy(token) === true
    reply.u8(isHeld ? STATUS.ok : STATUS.fenced)
    reply.u53(isHeld ? token : (lock?.newestToken ?? 0))
  }

  #queryLocks(reader: ByteReader, reply: ByteWriter): void {
    const after = reader.text(KEY_LIMIT_BYTES)
    const limit = reader.u32()
    expectQueryEnd(reader)
    const later = [...this.#locks.values()].filter(({ name }) => compareKeys(name, after) > 0)
    const page = new ByteWriter()
    let count = 0
    for (const lock of later.sort((a, b) => compareKeys(a.name, b.name))) {
      if (count >= limit || page.length > MOST_PAGE_BYTES) break
      page.text(lock.name)
      page.blob(lock.encode())
      count++
    }
    reply.u8(STATUS.ok)
    reply.u53(0)
    reply.u8(count < later.length ? 1 : 0)
    reply.u32(count)
    reply.raw(page.take())
  }

  #state(): LeaseState {
    return { leases: this.#leases.values(), locks: this.#locks.values(), fences: this.#fences.all }
  }

  #loadLock({ name, of, shutUntil, revision }: Pick<Lock, 'name' | 'of' | 'shutUntil' | 'revision'>): void {
    const lock = this.#create(name, of)
    lock.shutUntil = shutUntil
    lock.revision = revision
    if (shutUntil > 0) this.#shut.add(lock)
    this.#reckon()
  }

  #loadClaim(name: string, claim: Claim, held: boolean): void {
    const lock = this.#locks.get(name)
    if (lock === undefined) throw malformed('a claim is of no lock')
    this.#known(claim.lease).locks.add(lock)
    if (held) lock.hold(claim)
    else lock.wait(claim)
    this.#claims++
  }

  #known(id: number): Lease {
    const lease = this.#leases.get(id)
    if (lease === undefined) throw malformed('no such lease')
    return lease
  }
}

function numberOf(lock: Lock, lease: number): number {
  return required(lock.holder(lease) ?? lock.waiter(lease), 'a claim of the lease').number
}

function attachedName(map: string, key: string): string {
  return `${map.length}:${map}${key}`
}

function readLease(reader: ByteReader): number {
  const lease = reader.u53()
  if (lease === 0) throw malformed('no lease has this id')
  return lease
}

function readLetGo(reader: ByteReader): { readonly name: string; readonly lease: number; readonly to: number } {
  return { name: reader.text(KEY_LIMIT_BYTES), lease: readLease(reader), to: reader.u53() }
}

function readFence(reader: ByteReader): { readonly name: string; readonly token: number; readonly isHome: boolean } {
  const name = reader.text(KEY_LIMIT_BYTES)
  const token = reader.u53()
  const home = reader.u8()
  if (home > 1) throw malformed('no such fence')
  return { name, token, isHome: home === 1 }
}

function readAttach(reader: ByteReader): { readonly map: string; readonly key: string; readonly lease: number } {
  return { map: reader.text(KEY_LIMIT_BYTES), key: reader.text(KEY_LIMIT_BYTES), lease: readLease(reader) }
}

function settle(outcome: Outcome, status: number, number: number): Outcome {
  outcome.status = status
  outcome.revision = number
  return outcome
}
