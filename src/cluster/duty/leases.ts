/** The leases of a shard as its leader keeps them alive: who was not heard of for its time is ended through the log. */

import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { Heap, type HeapEntry } from '../../base/heap.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../base/time.ts'
import { NO_SESSION } from '../../machine/command.ts'
import type { LeaseView } from '../../machine/leader-view.ts'
import { encodeLeaseExpire } from '../../machine/lease/command.ts'
import { REPLY } from '../../wire/request.ts'
import { leaderHint } from '../refusal.ts'
import type { ReplyTarget, Source } from '../source.ts'

export interface LeasePorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  isActive(): boolean
  leases(): LeaseView
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

/** New leases are looked for at most this often; until then each has a little more than its time. */
const REVIEW_MS: Millis = 50
/** An expiry that could not be proposed is tried again after this. */
const AGAIN_MS: Millis = 100
const ENVELOPE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }

/** Throws `malformed`. */
export function readLeases(bytes: Uint8Array): readonly number[] {
  const reader = new ByteReader(bytes)
  const leases: number[] = []
  while (reader.remaining > 0) leases.push(reader.u53())
  return leases
}

interface Kept {
  readonly id: number
  readonly ttlMs: Millis
  /** Undefined while its end is under way through the log. */
  deadline: HeapEntry<Kept> | undefined
}

/** A leader that is deposed without knowing ends nobody's lease, because an expiry is a command like any other. */
export class LeaseKeeper {
  readonly #ports: LeasePorts
  readonly #kept = new Map<number, Kept>()
  readonly #deadlines = new Heap<Kept>()
  readonly #wake = (): void => this.#review()
  #version = -1
  #timer: Timer | undefined
  #wakesAt: Millis = Number.POSITIVE_INFINITY

  constructor(ports: LeasePorts) {
    this.#ports = ports
  }

  /** Entries were applied. A new leader begins here: every lease has its full time again. */
  advance(): void {
    if (this.#ports.leases().version !== this.#version && this.#ports.isActive()) {
      this.#wakeAt(this.#ports.clock.now() + REVIEW_MS)
    }
  }

  /** Prolongs leases, and answers with those that do not exist. */
  keepAlive(source: Source, id: number, leases: readonly number[]): void {
    if (!this.#ports.isActive()) {
      source.reply(id, REPLY.notLeader, leaderHint(undefined))
      return
    }
    const missing = new ByteWriter(16)
    const now = this.#ports.clock.now()
    for (const lease of leases) {
      const kept = this.#kept.get(lease)
      if (kept?.deadline !== undefined) this.#deadlines.update(kept.deadline, now + kept.ttlMs)
      else if (kept !== undefined || !this.#ports.leases().has(lease)) missing.u53(lease)
    }
    source.reply(id, REPLY.answered, missing.take())
  }

  move(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
    for (const { deadline } of this.#kept.values()) if (deadline !== undefined) this.#deadlines.remove(deadline)
    this.#kept.clear()
    this.#version = -1
  }

  #review(): void {
    this.#timer = undefined
    this.#wakesAt = Number.POSITIVE_INFINITY
    if (!this.#ports.isActive()) return
    const view = this.#ports.leases()
    const now = this.#ports.clock.now()
    if (view.version !== this.#version) this.#meet(view, now)
    while (this.#deadlines.lowest <= now) {
      const kept = this.#deadlines.take()
      if (kept !== undefined) this.#expire(kept, view)
    }
    if (this.#deadlines.size > 0) this.#wakeAt(this.#deadlines.lowest)
  }

  #meet(view: LeaseView, now: Millis): void {
    this.#version = view.version
    for (const [id, { deadline }] of this.#kept) {
      if (view.has(id)) continue
      this.#kept.delete(id)
      if (deadline !== undefined) this.#deadlines.remove(deadline)
    }
    for (const { id, ttlMs } of view.leases()) {
      if (this.#kept.has(id)) continue
      const kept: Kept = { id, ttlMs, deadline: undefined }
      kept.deadline = this.#deadlines.add(kept, now + ttlMs)
      this.#kept.set(id, kept)
    }
  }

  #expire(kept: Kept, view: LeaseView): void {
    kept.deadline = undefined
    if (!view.has(kept.id)) {
      this.#kept.delete(kept.id)
      return
    }
    const command = new ByteWriter(40)
    encodeLeaseExpire(command, ENVELOPE, kept.id)
    const target = { reply: (_id: number, status: number): void => this.#expired(kept, status) }
    this.#ports.propose(target, 0, command.take())
  }

  #expired(kept: Kept, status: number): void {
    if (this.#kept.get(kept.id) !== kept) return
    if (status === REPLY.answered) {
      this.#kept.delete(kept.id)
      return
    }
    kept.deadline = this.#deadlines.add(kept, this.#ports.clock.now() + AGAIN_MS)
    this.#wakeAt(kept.deadline.priority)
  }

  #wakeAt(at: Millis): void {
    if (at >= this.#wakesAt) return
    this.#timer?.cancel()
    this.#wakesAt = at
    this.#timer = this.#ports.scheduler.at(at, this.#wake)
  }
}
