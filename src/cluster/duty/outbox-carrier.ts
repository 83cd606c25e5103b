/** An outbox carrier takes the commands that a shard has for others there, in order, and reports what has been executed. */

import { ByteWriter } from '../../base/bytes.ts'
import type { Clock, Millis, Scheduler, Timer } from '../../base/time.ts'
import { STATUS } from '../../machine/command.ts'
import type { Lane, OutboxView } from '../../machine/leader-view.ts'
import { encodeRelay, encodeRelayed } from '../../machine/outbox.ts'
import { REPLY } from '../../wire/request.ts'
import type { ReplyTarget } from '../source.ts'

/** What carries commands to other shards, and knows which shard a group is. */
export interface Carriage {
  /** The shard whose group this is; undefined when it is none. */
  readonly shard: number | undefined
  /** Sends a command to a shard's leader, wherever it is; false when nobody knows the shard. */
  carry(shard: number, command: Uint8Array, target: ReplyTarget, id: number): boolean
}

export interface CarrierPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly carriage: Carriage
  isActive(): boolean
  outbox(): OutboxView
  propose(target: ReplyTarget, id: number, command: Uint8Array): void
}

/** Commands of one lane that are under way at once. */
const BATCH = 64
/** How long until a batch that got stuck is tried again, with its first command only: twice as long each time. */
const AGAIN_MS: Millis = 100
const LONGEST_AGAIN_MS: Millis = 1600
/** A batch whose answers do not come is sent again. */
const PATIENCE_MS: Millis = 5000

/** Commands on their way. */
interface Batch {
  readonly lane: Lane
  readonly sequences: readonly number[]
  readonly executed: boolean[]
  answers: number
}

export class OutboxCarrier {
  readonly #ports: CarrierPorts
  readonly #batches = new Map<Lane, Batch>()
  readonly #timers = new Map<Lane, Timer>()
  /** Of lanes that got stuck: how long they wait. */
  readonly #stuck = new Map<Lane, Millis>()
  #version = -1

  constructor(ports: CarrierPorts) {
    this.#ports = ports
  }

  advance(): void {
    const view = this.#ports.outbox()
    if (view.version === this.#version || !this.#ports.isActive()) return
    this.#version = view.version
    for (const lane of view.lanes()) if (!this.#timers.has(lane)) this.#send(lane)
  }

  move(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
    this.#batches.clear()
    this.#stuck.clear()
    this.#version = -1
  }

  /** A lane has a timer from here until its batch has been reported and applied: so there is one batch at a time. */
  #send(lane: Lane): void {
    const { carriage } = this.#ports
    const pending = this.#ports.outbox().pending(lane, this.#stuck.has(lane) ? 1 : BATCH)
    this.#timers.get(lane)?.cancel()
    this.#timers.delete(lane)
    this.#batches.delete(lane)
    if (pending.length === 0 || carriage.shard === undefined) return
    const batch: Batch = { lane, sequences: pending.map(({ sequence }) => sequence), executed: [], answers: 0 }
    this.#batches.set(lane, batch)
    this.#again(lane, PATIENCE_MS)
    const answer: ReplyTarget = { reply: (at, status, bytes) => this.#answered(batch, at, status, bytes) }
    for (const [at, { body }] of pending.entries()) {
      const command = new ByteWriter(body.length + 64)
      encodeRelay(command, carriage.shard, body)
      if (!carriage.carry(lane.shard, command.take(), answer, at)) return
    }
  }

  #answered(batch: Batch, at: number, status: number, bytes: Uint8Array): void {
    const { lane } = batch
    if (this.#batches.get(lane) !== batch) return
    batch.answers++
    batch.executed[at] = status === REPLY.answered && (bytes[0] === STATUS.ok || bytes[0] === STATUS.duplicate)
    if (batch.answers < batch.sequences.length) return
    this.#batches.delete(lane)
    const first = batch.sequences.findIndex((_, place) => batch.executed[place] !== true)
    const through = batch.sequences[(first < 0 ? batch.sequences.length : first) - 1]
    if (through === undefined) {
      const pause = this.#stuck.get(lane) ?? AGAIN_MS
      this.#stuck.set(lane, Math.min(pause * 2, LONGEST_AGAIN_MS))
      this.#again(lane, pause)
    } else {
      this.#stuck.delete(lane)
      this.#report(lane, through)
    }
  }

  #report(lane: Lane, through: number): void {
    const command = new ByteWriter(64)
    encodeRelayed(command, lane, through)
    const reply = (_id: number, status: number): void => {
      if (!this.#timers.has(lane)) return
      if (status === REPLY.answered) this.#again(lane, 0)
      else this.#again(lane, AGAIN_MS)
    }
    this.#ports.propose({ reply }, 0, command.take())
  }

  #again(lane: Lane, pause: Millis): void {
    const { clock, scheduler } = this.#ports
    this.#timers.get(lane)?.cancel()
    const timer = scheduler.at(clock.now() + pause, () => {
      if (this.#timers.get(lane) === timer && this.#ports.isActive()) this.#send(lane)
    })
    this.#timers.set(lane, timer)
  }
}
