/** The messages of a queue as columns: a slot of each column is a message. */

import type { LeaderMicros } from './batch.ts'
import { type BodyStore, MemoryBodies } from './queue-bodies.ts'
import { DueHeap } from './queue-due.ts'
import { Links, resized } from './queue-line.ts'

/** `delayed`: not to be delivered before `due`. `retried`: that is because an attempt failed, so its key waits. */
export const FLAG = { delayed: 1, retried: 2, dead: 4 } as const

/** Where a message is for the leader; no command depends on it. */
export const PLACE = { none: 0, inLine: 1, held: 2 } as const

const FIRST_CAPACITY = 16

/** What few messages have; replaced as a whole. */
export interface Details {
  /** Position in `DEATHS` plus one; 0 while it lives. */
  readonly death: number
  readonly died: LeaderMicros
  readonly firstError: Uint8Array | undefined
  readonly lastError: Uint8Array | undefined
  readonly progress: Uint8Array | undefined
}

export const NO_DETAILS: Details = {
  death: 0,
  died: 0,
  firstError: undefined,
  lastError: undefined,
  progress: undefined,
}

/** What a message is made of when it comes. */
export interface NewMessage {
  readonly key: string
  readonly priority: number
  readonly due: LeaderMicros
  /** Infinity for never. */
  readonly expires: LeaderMicros
  readonly deduplication: string
  /** `[headers blob, payload blob]` */
  readonly body: Uint8Array
}

/** An object for each message would take three times the memory, and the collector's time. */
export class Messages {
  id: Float64Array = new Float64Array(0)
  time: Float64Array = new Float64Array(0)
  due: Float64Array = new Float64Array(0)
  expires: Float64Array = new Float64Array(0)
  address: Float64Array = new Float64Array(0)
  length: Uint32Array = new Uint32Array(0)
  attempts: Uint32Array = new Uint32Array(0)
  priority: Uint8Array = new Uint8Array(0)
  flags: Uint8Array = new Uint8Array(0)
  /** See {@link PLACE}. */
  place: Uint8Array = new Uint8Array(0)
  readonly key: string[] = []
  readonly deduplication: string[] = []
  /** By slot. */
  readonly details: Map<number, Details> = new Map()
  readonly bodies: BodyStore = new MemoryBodies()
  readonly links: Links = new Links()
  readonly dueHeap: DueHeap = new DueHeap()
  readonly #free: number[] = []
  #used = 0

  /** Copies the body. */
  add(id: number, time: LeaderMicros, message: NewMessage): number {
    const slot = this.#free.pop() ?? this.#used++
    if (slot >= this.id.length) this.#grow(Math.max(FIRST_CAPACITY, this.id.length * 2))
    this.id[slot] = id
    this.time[slot] = time
    this.due[slot] = message.due
    this.expires[slot] = message.expires
    this.address[slot] = this.bodies.put(message.body)
    this.length[slot] = message.body.length
    this.attempts[slot] = 0
    this.priority[slot] = message.priority
    this.flags[slot] = 0
    this.place[slot] = PLACE.none
    this.key[slot] = message.key
    this.deduplication[slot] = message.deduplication
    return slot
  }

  /** A view, good until the next change. */
  body(slot: number): Uint8Array {
    return this.bodies.get(this.address[slot] ?? 0, this.length[slot] ?? 0)
  }

  remove(slot: number): void {
    this.dueHeap.set(slot, Number.POSITIVE_INFINITY)
    this.bodies.delete(this.address[slot] ?? 0, this.length[slot] ?? 0)
    this.details.delete(slot)
    this.key[slot] = ''
    this.deduplication[slot] = ''
    this.#free.push(slot)
  }

  has(slot: number, flag: number): boolean {
    return ((this.flags[slot] ?? 0) & flag) !== 0
  }

  detail(slot: number, change: Partial<Details>): void {
    this.details.set(slot, { ...(this.details.get(slot) ?? NO_DETAILS), ...change })
  }

  #grow(capacity: number): void {
    this.id = resized(this.id, new Float64Array(capacity))
    this.time = resized(this.time, new Float64Array(capacity))
    this.due = resized(this.due, new Float64Array(capacity))
    this.expires = resized(this.expires, new Float64Array(capacity))
    this.address = resized(this.address, new Float64Array(capacity))
    this.length = resized(this.length, new Uint32Array(capacity))
    this.attempts = resized(this.attempts, new Uint32Array(capacity))
    this.priority = resized(this.priority, new Uint8Array(capacity))
    this.flags = resized(this.flags, new Uint8Array(capacity))
    this.place = resized(this.place, new Uint8Array(capacity))
    this.links.grow(capacity)
    this.dueHeap.grow(this.id)
  }
}
