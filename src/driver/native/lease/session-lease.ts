/** A session lease says that this process lives, to one shard, for as long as it keeps it alive. */

import type { ByteWriter } from '../../../base/bytes.ts'
import { ByteReader } from '../../../base/bytes.ts'
import { TroupeError } from '../../../base/error.ts'
import { randomId } from '../../../base/random.ts'
import type { Millis, Timer } from '../../../base/time.ts'
import { LEASE_COMMAND } from '../../../machine/lease/command.ts'
import { OPERATION } from '../../../wire/request.ts'
import type { CallOptions } from '../../contract.ts'
import { type Bodies, commandVerb, type Done, leaderVerb } from '../body.ts'
import { Operation, type Verb } from '../route/operation.ts'
import type { Router, Subscriber } from '../route/router.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'

const GRANT = commandVerb(LEASE_COMMAND.grant)
const REVOKE: Verb<Done> = { ...commandVerb(LEASE_COMMAND.revoke), isFarewell: true }
/** The lease is missing when it is among the answer. */
const KEEP_ALIVE = leaderVerb(OPERATION.keepAlive, (bytes): boolean => new ByteReader(bytes).remaining === 0)

/** Of the time to live, this much is left to clocks that run at different speeds: the owner gives up before the cluster does. */
const MARGIN = 1 / 16

export interface LeaseParts {
  readonly router: Router
  readonly bodies: Bodies
  readonly ports: WatchPorts
}

/**
 * Its owner stops relying on it by its own clock, counted from when the last keep-alive that was answered had been
 * sent; the cluster counts from when it arrived, which is later.
 */
export class SessionLease implements Subscriber {
  readonly id: number
  readonly shard: number
  readonly ttl: Millis
  readonly #parts: LeaseParts
  readonly #controller = new AbortController()
  #validUntil: Millis
  #timer: Timer | undefined
  #isEnded = false
  /** The cluster has said that it is over. */
  #isGone = false

  private constructor(parts: LeaseParts, id: number, shard: number, ttl: Millis) {
    this.#parts = parts
    this.id = id
    this.shard = shard
    this.ttl = ttl
    this.#validUntil = parts.ports.clock.now() + ttl * (1 - MARGIN)
  }

  /** Aborts with `LEASE_LOST`. Whoever looks at it after a long pause need not wait for a timer to see that. */
  get lost(): AbortSignal {
    if (this.#parts.ports.clock.now() >= this.#validUntil) this.#lose('was not kept alive in time')
    return this.#controller.signal
  }

  get isOver(): boolean {
    return this.#isEnded
  }

  static async grant(parts: LeaseParts, shard: number, ttl: Millis, options: CallOptions): Promise<SessionLease> {
    const { lease, granted } = SessionLease.begin(parts, shard, ttl, options)
    await granted
    return lease
  }

  /** Asks for a lease; what is asked of its shard next may rely on it already, since it comes behind. */
  static begin(
    parts: LeaseParts,
    shard: number,
    ttl: Millis,
    options: CallOptions,
  ): { readonly lease: SessionLease; readonly granted: Promise<void> } {
    const begun = parts.ports.clock.now()
    const lease = new SessionLease(parts, randomId(parts.ports.random), shard, Math.ceil(ttl))
    const value = parts.bodies.write((writer) => {
      writer.u53(lease.id)
      writer.u53(lease.ttl)
    })
    const granted = parts.router.submit(new Operation(GRANT, { shard, value }), options).then(() => {
      if (lease.#isEnded) return
      parts.router.subscribers.add(lease)
      // A lease runs from the moment in which it was asked for.
      lease.#keepFrom(begun)
    })
    return { lease, granted }
  }

  /** The others need not wait until it has run out. */
  driverClosed(error: TroupeError): void {
    this.#lose('ended with its driver', error)
    this.#revoke({}).catch(() => {})
  }

  /**
   * Ends it in the cluster; resolves also when it was over already. One that was lost here may live on there, for as
   * long again where the leader has changed, and keep others from what it held.
   */
  async end(options: CallOptions): Promise<void> {
    this.#stop()
    if (!this.#isGone) await this.#revoke(options)
  }

  async #revoke(options: CallOptions): Promise<void> {
    await this.#parts.router.submit(new Operation(REVOKE, { shard: this.shard, value: this.#body() }), options)
    this.#isGone = true
  }

  #body(): Uint8Array {
    return this.#parts.bodies.write((writer: ByteWriter) => writer.u53(this.id))
  }

  #keepFrom(last: Millis): void {
    const at = Math.min(last + this.ttl / 3, this.#validUntil)
    this.#timer = this.#parts.ports.scheduler.at(at, () => this.#keep())
  }

  /** Three times in each time to live; an answer is good for as long as the lease is, however far the leader is away. */
  #keep(): void {
    if (this.#isEnded) return
    const { clock } = this.#parts.ports
    const now = clock.now()
    if (now >= this.#validUntil) {
      this.#lose('was not kept alive in time')
      return
    }
    this.#keepFrom(now)
    const asked = new Operation(KEEP_ALIVE, { shard: this.shard, value: this.#body() })
    this.#parts.router.submit(asked, { timeout: this.#validUntil - now }).then(
      (exists) => {
        if (exists) this.#validUntil = Math.max(this.#validUntil, now + this.ttl * (1 - MARGIN))
        else {
          this.#isGone = true
          this.#lose('has ended in the cluster')
        }
      },
      // Another one follows in time.
      () => {},
    )
  }

  #lose(why: string, cause?: unknown): void {
    if (this.#isEnded) return
    this.#stop()
    this.#controller.abort(new TroupeError('LEASE_LOST', `lease ${this.id} ${why}`, { cause }))
  }

  #stop(): void {
    this.#isEnded = true
    this.#parts.router.subscribers.delete(this)
    this.#timer?.cancel()
  }
}
