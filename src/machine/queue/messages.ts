/** The messages of a queue as columns: a slot of each column is a message. */

import type { LeaderMicros } from '../batch.ts'
import type { BodyStore } from './bodies.ts'
import { resized, roomFor, SparseColumn, SparseTexts } from './column.ts'
import { DueHeap } from './due.ts'
import type { Flow } from './flow.ts'
import { KeyNames } from './keys.ts'
import { Lines } from './line.ts'
import type { Uploads } from './uploads.ts'

/** `delayed`: not to be delivered before `due`. `retried`: that is because an attempt failed, so its key waits. */
export const FLAG = { delayed: 1, retried: 2, dead: 4 } as const

/** Where a message is for the leader; no command depends on it. */
export const PLACE = { none: 0, inLine: 1, held: 2 } as const

/** What few messages have; replaced as a whole. */
export interface Details {
  /** Position in `DEATHS` plus one; 0 while it lives. */
  readonly death: number
  readonly died: LeaderMicros
  readonly firstError: Uint8Array | undefined
  readonly lastError: Uint8Array | undefined
  readonly progress: Uint8Array | undefined
  readonly flow: Flow | undefined
}

export const NO_DETAILS: Details = {
  death: 0,
  died: 0,
  firstError: undefined,
  lastError: undefined,
  progress: undefined,
  flow: undefined,
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
  /** Of a message that waits for its children. */
  readonly flow?: Flow | undefined
  /** Of a message whose payload came in pieces. */
  readonly upload?: number | undefined
}

/** An object for each message would take three times the memory, and the collector's time. */
export class Messages {
  id: Float64Array = new Float64Array(0)
  time: Float64Array = new Float64Array(0)
  address: Uint32Array = new Uint32Array(0)
  length: Uint32Array = new Uint32Array(0)
  /** Numbers of `keys`. */
  key: Uint32Array = new Uint32Array(0)
  priority: Uint8Array = new Uint8Array(0)
  flags: Uint8Array = new Uint8Array(0)
  /** See {@link PLACE}. */
  place: Uint8Array = new Uint8Array(0)
  readonly keys: KeyNames = new KeyNames()
  /** 0: when it was sent. */
  readonly due: SparseColumn = new SparseColumn(0)
  readonly expires: SparseColumn = new SparseColumn(Number.POSITIVE_INFINITY)
  readonly attempts: SparseColumn = new SparseColumn(0)
  readonly deduplication: SparseTexts = new SparseTexts()
  /** By slot. */
  readonly details: Map<number, Details> = new Map()
  /** By slot; few have one. */
  readonly uploadOf: Map<number, number> = new Map()
  readonly bodies: BodyStore
  readonly #uploads: Uploads
  readonly lines: Lines = new Lines()
  readonly dueHeap: DueHeap = new DueHeap()
  /** Of all bodies. */
  bytes = 0
  readonly #free: number[] = []
  #used = 0

  constructor(bodies: BodyStore, uploads: Uploads) {
    this.bodies = bodies
    this.#uploads = uploads
  }

  /** Copies the body. */
  add(id: number, time: LeaderMicros, message: NewMessage): number {
    const slot = this.#free.pop() ?? this.#used++
    if (slot >= this.id.length) this.#grow(roomFor(slot, this.id.length))
    const { body, due, upload } = message
    if (upload !== undefined) {
      this.#uploads.take(upload)
      this.uploadOf.set(slot, upload)
    }
    this.id[slot] = id
    this.time[slot] = time
    this.address[slot] = this.bodies.put(body)
    this.length[slot] = body.length
    this.bytes += body.length
    this.key[slot] = this.keys.take(message.key)
    this.priority[slot] = message.priority
    this.flags[slot] = 0
    this.place[slot] = PLACE.none
    this.due.set(slot, due === time ? 0 : due)
    this.expires.set(slot, message.expires)
    this.attempts.set(slot, 0)
    this.deduplication.set(slot, message.deduplication)
    return slot
  }

  /** A view, good until the next change. */
  body(slot: number): Uint8Array {
    return this.bodies.get(this.address[slot] ?? 0, this.length[slot] ?? 0)
  }

  keyOf(slot: number): string {
    return this.keys.name(this.key[slot] ?? 0)
  }

  dueOf(slot: number): LeaderMicros {
    return this.due.get(slot) || (this.time[slot] ?? 0)
  }

  rename(slot: number, key: string): void {
    const before = this.key[slot] ?? 0
    this.key[slot] = this.keys.take(key)
    this.keys.release(before)
  }

  remove(slot: number): void {
    const length = this.length[slot] ?? 0
    this.dueHeap.set(slot, Number.POSITIVE_INFINITY)
    this.bodies.delete(this.address[slot] ?? 0, length)
    this.bytes -= length
    if (this.details.size > 0) this.details.delete(slot)
    if (this.uploadOf.size > 0) this.#release(slot)
    this.keys.release(this.key[slot] ?? 0)
    this.deduplication.set(slot, '')
    this.#free.push(slot)
  }

  #release(slot: number): void {
    const upload = this.uploadOf.get(slot)
    if (upload === undefined) return
    this.uploadOf.delete(slot)
    this.#uploads.release(upload)
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
    this.address = resized(this.address, new Uint32Array(capacity))
    this.length = resized(this.length, new Uint32Array(capacity))
    this.key = resized(this.key, new Uint32Array(capacity))
    this.priority = resized(this.priority, new Uint8Array(capacity))
    this.flags = resized(this.flags, new Uint8Array(capacity))
    this.place = resized(this.place, new Uint8Array(capacity))
    this.lines.growThings(capacity)
    this.dueHeap.ids = this.id
  }
}
