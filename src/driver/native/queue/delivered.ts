/** A delivered message is one that this process has under lease, with the ways to settle it. */

import { invalidArgument } from '../../../base/argument.ts'
import { isTroupeError, TroupeError } from '../../../base/error.ts'
import { decodeHeaders } from '../../../base/headers.ts'
import type { HeapEntry } from '../../../base/heap.ts'
import type { Millis, WallMillis } from '../../../base/time.ts'
import { COMMAND, decodeCommandReply } from '../../../machine/command.ts'
import { QUEUE_COMMAND } from '../../../machine/queue/command.ts'
import { encodeMessageId, encodeProgress, encodeReject, encodeRetry } from '../../../machine/queue/encode.ts'
import { type Delivery, writeExtendRequest } from '../../../wire/delivery.ts'
import { OPERATION } from '../../../wire/request.ts'
import type { CallOptions, DeathReason, Delivered, Effect, LargePayload } from '../../contract.ts'
import { type Bodies, type Done, leaderVerb, settleVerb } from '../body.ts'
import type { EffectParts } from '../effects.ts'
import { type LargeName, type LargePayloads, largeOf, PieceMissing } from '../large.ts'
import { refusal } from '../map/record.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router } from '../route/router.ts'

const ACKNOWLEDGE = settleVerb(QUEUE_COMMAND.acknowledge)
const RETRY = settleVerb(QUEUE_COMMAND.retry)
const REJECT = settleVerb(QUEUE_COMMAND.reject)
const RELEASE = settleVerb(QUEUE_COMMAND.release)
const PROGRESS = settleVerb(QUEUE_COMMAND.progress)
const COMMIT = settleVerb(COMMAND.transaction)
const EXTEND = leaderVerb(OPERATION.extend, (bytes) => {
  const { status, revision } = decodeCommandReply(bytes)
  if (status !== 'ok') throw refusal(status, revision)
})

/** Whose message it is. */
export interface Holder {
  readonly router: Router
  readonly bodies: Bodies
  readonly effects: EffectParts
  readonly large: LargePayloads
  readonly queue: string
  readonly shard: number
  now(): Millis
  /** The message is about to be settled. */
  settling(message: DeliveredMessage): void
  /** It is, or its lease is over. */
  settled(message: DeliveredMessage): void
  prolonged(message: DeliveredMessage, until: Millis): void
}

export class DeliveredMessage implements Delivered {
  readonly key: string
  readonly payload: Uint8Array
  readonly attempt: number
  readonly leaseMs: Millis
  readonly number: number
  readonly token: number
  readonly #holder: Holder
  readonly #headers: Uint8Array
  readonly #time: number
  /** Among the deadlines of its holder. */
  deadline: HeapEntry<DeliveredMessage> | undefined
  #state: 'open' | 'settling' | 'settled' | 'lost' = 'open'
  #controller: AbortController | undefined
  #tell: ((reason: Error) => void) | undefined

  constructor(holder: Holder, delivery: Delivery) {
    this.#holder = holder
    this.key = delivery.key
    this.payload = delivery.payload
    this.attempt = delivery.attempt
    this.leaseMs = delivery.leaseMs
    this.number = delivery.id
    this.token = delivery.token
    this.#headers = delivery.headers
    this.#time = delivery.time
  }

  get id(): string {
    return `${this.#holder.shard}.${this.number}`
  }

  get headers(): Readonly<Record<string, string>> {
    return decodeHeaders(this.#headers)
  }

  get large(): LargePayload | undefined {
    if (this.payload.length > 0) return undefined
    const name = largeOf(this.headers)
    return name && { bytes: name.bytes, fetch: () => this.#fetch(name) }
  }

  get sentAt(): WallMillis {
    return this.#time / 1000
  }

  get lost(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#state === 'lost') this.#controller.abort(lostError(this.id))
    }
    return this.#controller.signal
  }

  onLost(tell: (reason: Error) => void): void {
    if (this.#state === 'lost') tell(lostError(this.id))
    else this.#tell = tell
  }

  acknowledge(options: CallOptions): Promise<void> {
    return this.#settle(ACKNOWLEDGE, this.#ownBody(), options)
  }

  retry(delay: Millis, error: Uint8Array, options: CallOptions): Promise<void> {
    if (!(delay >= 0)) return Promise.reject(invalidArgument('`delay` is a number of milliseconds, at least 0'))
    const body = this.#holder.bodies.write((writer) => encodeRetry(writer, this.#name, Math.ceil(delay), error))
    return this.#settle(RETRY, body, options)
  }

  reject(reason: DeathReason, error: Uint8Array, options: CallOptions): Promise<void> {
    const body = this.#holder.bodies.write((writer) => encodeReject(writer, this.#name, reason, error))
    return this.#settle(REJECT, body, options)
  }

  release(options: CallOptions): Promise<void> {
    return this.#settle(RELEASE, this.#ownBody(), options)
  }

  async extend(lease: Millis, options: CallOptions): Promise<void> {
    if (!(lease > 0)) throw invalidArgument('`lease` is a number of milliseconds, above 0')
    this.#demand()
    const { bodies, router, shard } = this.#holder
    const value = bodies.write((writer) =>
      writeExtendRequest(writer, { tokens: [this.token], leaseMs: Math.ceil(lease) }),
    )
    const sentAt = this.#holder.now()
    try {
      await router.submit(new Operation(EXTEND, { shard, value }), options)
    } catch (error) {
      throw this.#failed(error)
    }
    if (this.#state === 'open') this.#holder.prolonged(this, sentAt + lease)
  }

  async progress(value: Uint8Array, options: CallOptions): Promise<void> {
    this.#demand()
    const { bodies, router, shard } = this.#holder
    const body = bodies.write((writer) => encodeProgress(writer, this.#name, value))
    try {
      await router.submit(new Operation(PROGRESS, { shard, value: body, token: this.token }), options)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  async commit(effects: readonly Effect[], options: CallOptions): Promise<void> {
    const parts = await this.#holder.effects.partsOf(effects, this.#name, this.#holder.shard, options)
    return this.#settle(COMMIT, this.#holder.bodies.transaction(parts), options)
  }

  /** Nobody may rely on the lease any more. */
  lose(): void {
    if (this.#state === 'settled' || this.#state === 'lost') return
    this.#state = 'lost'
    const reason = lostError(this.id)
    this.#controller?.abort(reason)
    this.#tell?.(reason)
  }

  /** Its time is over by our own clock; one that is just being settled may still be in time. */
  expire(): void {
    if (this.#state === 'settling') return
    this.lose()
    this.#holder.settled(this)
  }

  /** Whether a payload that cannot be read is gone with its message, the lease tells. */
  async #fetch(name: LargeName): Promise<Uint8Array> {
    const { large, queue, shard } = this.#holder
    let keepAt = this.#holder.now() + this.leaseMs / 2
    const keep = async (): Promise<void> => {
      this.#demand()
      if (this.#holder.now() < keepAt) return
      keepAt = this.#holder.now() + this.leaseMs / 2
      await this.extend(this.leaseMs, {})
    }
    try {
      return await large.fetch(name, { queue, shard }, keep)
    } catch (error) {
      if (error instanceof PieceMissing) await this.extend(this.leaseMs, {})
      throw error
    }
  }

  get #name(): { readonly queue: string; readonly id: number } {
    return { queue: this.#holder.queue, id: this.number }
  }

  #ownBody(): Uint8Array {
    const { bodies, queue } = this.#holder
    encodeMessageId(bodies.begin(), queue, this.number)
    return bodies.end()
  }

  async #settle(verb: Verb<Done>, value: Uint8Array, options: CallOptions): Promise<void> {
    this.#demand()
    const { router, shard } = this.#holder
    this.#state = 'settling'
    this.#holder.settling(this)
    try {
      await router.submit(new Operation(verb, { shard, value, token: this.token }), options)
    } catch (error) {
      throw this.#failed(error)
    }
    this.#state = 'settled'
    this.#holder.settled(this)
  }

  /** What was refused for another reason than the lease may be tried again while the lease lasts. */
  #failed(error: unknown): unknown {
    if (isTroupeError(error, 'FENCED')) {
      this.lose()
      this.#holder.settled(this)
    } else if (this.#state === 'settling') {
      this.#state = 'open'
      // Its time ran out while it waited for an answer that did not come.
      if (this.deadline === undefined) this.expire()
    }
    return error
  }

  #demand(): void {
    if (this.#state === 'open') return
    const why = this.#state === 'lost' ? 'its lease is over' : 'it has been settled'
    throw new TroupeError('FENCED', `message ${this.id} of '${this.#holder.queue}': ${why}`)
  }
}

function lostError(id: string): TroupeError {
  return new TroupeError('LEASE_LOST', `the lease of message ${id} is over`)
}
