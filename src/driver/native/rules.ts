/** Rules of queues and topics are made known to every shard before anything that relies on them is sent. */

import { isTroupeError, TroupeError } from '../../base/error.ts'
import { DEFAULT_TIMEOUT_MS, type Millis } from '../../base/time.ts'
import type { CallOptions } from '../contract.ts'
import type { Bodies, Done } from './body.ts'
import { overloadedError } from './failure.ts'
import { Operation, type Verb } from './operation.ts'
import type { Router } from './router.ts'
import type { WatchPorts } from './shard-watch.ts'

interface Known {
  /** The rules object that was given last, which is mostly the same one. */
  rules: object
  /** Encoded, as text. */
  readonly signature: string
  isDone: boolean
  done: Promise<void>
  /** Why it is not done yet. */
  failure: unknown
}

/** Names of which the rules are remembered; beyond, the oldest are made known again when they are used. */
const NAMES_LIMIT = 10_000
/** As many as may be under way afterwards. */
const WAITING_LIMIT = 65_536
/** An answer that has not come by then may have been lost. */
const ATTEMPT_MS: Millis = 3000
const NOT_YET = ['TIMEOUT', 'OUTCOME_UNKNOWN', 'NO_QUORUM', 'UNREACHABLE'] as const

export interface RulePorts extends WatchPorts {
  /** The shard that hears first, where only who comes first may say something for good; undefined when everything may be changed. */
  readonly home?: (name: string) => number
}

export class RuleBook {
  readonly #router: Router
  readonly #bodies: Bodies
  readonly #verb: Verb<Done>
  readonly #ports: RulePorts
  readonly #known = new Map<string, Known>()
  /** Calls that have not been sent yet, which hold what they are going to send. */
  #waiting = 0

  constructor(router: Router, ports: RulePorts, bodies: Bodies, verb: Verb<Done>) {
    this.#router = router
    this.#ports = ports
    this.#bodies = bodies
    this.#verb = verb
  }

  /** Whether all shards have these very rules, as far as this driver knows. */
  has(name: string, rules: object): boolean {
    const known = this.#known.get(name)
    return known?.rules === rules && known.isDone
  }

  /** They are gone, or may be: the next call makes them known anew. */
  forget(name: string): void {
    if (this.#known.get(name)?.isDone === true) this.#known.delete(name)
  }

  /**
   * Callers share the work, but each waits only as long as it may: what is shared is tried until it is done.
   *
   * @param encode writes the body of the command that makes the rules known
   */
  async publish(
    name: string,
    rules: object,
    encode: Parameters<Bodies['write']>[0],
    options: CallOptions,
  ): Promise<void> {
    if (this.#waiting >= WAITING_LIMIT) throw overloadedError(`${WAITING_LIMIT} calls that wait for rules`)
    const entry = this.#entryOf(name, rules, encode)
    const { clock } = this.#ports
    const deadline = clock.now() + (options.timeout ?? DEFAULT_TIMEOUT_MS)
    this.#waiting++
    try {
      await this.#router.whenReady(options)
      await patient(
        entry,
        { ...this.#ports, aborts: this.#router.aborts },
        { ...options, timeout: Math.max(0, deadline - clock.now()) },
      )
    } finally {
      this.#waiting--
    }
  }

  #entryOf(name: string, rules: object, encode: Parameters<Bodies['write']>[0]): Known {
    const known = this.#known.get(name)
    if (known?.rules === rules) return known
    const body = this.#bodies.write(encode).slice()
    const signature = body.join()
    const entry = known?.signature === signature ? known : this.#begin(name, { rules, signature }, body)
    entry.rules = rules
    return entry
  }

  #begin(name: string, given: Pick<Known, 'rules' | 'signature'>, body: Uint8Array): Known {
    const entry: Known = { ...given, isDone: false, failure: undefined, done: Promise.resolve() }
    entry.done = this.#publish(name, body, entry)
    this.#known.delete(name)
    this.#known.set(name, entry)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= NAMES_LIMIT) break
      this.#known.delete(oldest)
    }
    entry.done.then(
      () => {
        entry.isDone = true
      },
      () => {
        if (this.#known.get(name) === entry) this.#known.delete(name)
      },
    )
    return entry
  }

  async #publish(name: string, value: Uint8Array, entry: Known): Promise<void> {
    const groups = await this.#router.whenReady({ timeout: Number.POSITIVE_INFINITY })
    const home = this.#ports.home?.(name)
    if (home !== undefined) await this.#tell(home, value, entry)
    const others = [...groups.keys()].filter((shard) => shard !== home)
    await Promise.all(others.map((shard) => this.#tell(shard, value, entry)))
  }

  /** Making rules known twice does no harm. */
  async #tell(shard: number, value: Uint8Array, entry: Known): Promise<void> {
    for (;;) {
      try {
        await this.#router.submit(new Operation(this.#verb, { shard, value }), { timeout: ATTEMPT_MS })
        return
      } catch (error) {
        if (!isTroupeError(error, ...NOT_YET)) throw error
        entry.failure = error
      }
    }
  }
}

/** Waits no longer than the options say. */
async function patient(
  entry: Known,
  { clock, scheduler, aborts }: WatchPorts & Pick<Router, 'aborts'>,
  { signal, timeout = DEFAULT_TIMEOUT_MS }: CallOptions,
): Promise<void> {
  signal?.throwIfAborted()
  const late = (): unknown =>
    isTroupeError(entry.failure, 'NO_QUORUM', 'UNREACHABLE')
      ? entry.failure
      : new TroupeError('TIMEOUT', 'not all shards knew the rules in time; nothing was sent', { cause: entry.failure })
  let end = (): void => {}
  const ended = new Promise<void>((_, reject) => {
    const timer = Number.isFinite(timeout) ? scheduler.at(clock.now() + timeout, () => reject(late())) : undefined
    const aborted = (): void => reject(signal?.reason)
    if (signal !== undefined) aborts.add(aborted, signal)
    end = () => {
      timer?.cancel()
      if (signal !== undefined) aborts.remove(aborted, signal)
    }
  })
  try {
    await Promise.race([entry.done, ended])
  } finally {
    end()
  }
}
