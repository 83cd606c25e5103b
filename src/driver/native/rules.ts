/** Rules of queues and topics are made known to every shard before anything that relies on them is sent. */

import { isTroupeError, TroupeError } from '../../base/error.ts'
import { DEFAULT_TIMEOUT_MS, type Millis } from '../../base/time.ts'
import { fieldsOf } from '../../machine/differing.ts'
import type { CallOptions } from '../contract.ts'
import type { Bodies, Done } from './body.ts'
import { overloadedError } from './route/failure.ts'
import { Operation, type Verb } from './route/operation.ts'
import type { Router } from './route/router.ts'
import type { WatchPorts } from './stream/shard-watch.ts'

interface Known {
  /** The rules object that was given last, which is mostly the same one. */
  rules: object
  readonly body: Uint8Array
  /** The body as text. */
  readonly signature: string
  /** Other rules that were made known before: who still uses them does not bring them back. */
  readonly earlier: ReadonlySet<string>
  isDone: boolean
  done: Promise<void>
  /** Why it is not done yet. */
  failure: unknown
}

type Said = Pick<Known, 'rules' | 'body' | 'signature' | 'earlier'>

/** Names of which the rules are remembered; beyond, the oldest are made known again when they are used. */
const NAMES_LIMIT = 10_000
/** Rules of one name that are remembered; those of a definition that is older are made known again when it is used. */
const EARLIER_LIMIT = 16
/** As many as may be under way afterwards. */
const WAITING_LIMIT = 65_536
/** An answer that has not come by then may have been lost. */
const ATTEMPT_MS: Millis = 3000
const NOT_YET = ['TIMEOUT', 'OUTCOME_UNKNOWN', 'NO_QUORUM', 'UNREACHABLE'] as const

/** What the rules are of, and how they are said. */
export interface RuleKind {
  readonly noun: 'queue' | 'topic'
  /** Whatever was said before; its number has a bit for each of `fields` that was another. */
  readonly configure: Verb<Done>
  /** Only where nobody has said any. */
  readonly confirm: Verb<Done>
  readonly fields: readonly string[]
}

export interface RulePorts extends WatchPorts {
  /** Tells people. */
  readonly warn?: ((message: string) => void) | undefined
  /** The shard that hears first, where only who comes first may say something for good; undefined when everything may be changed. */
  readonly home?: (name: string) => number
}

export class RuleBook {
  readonly #router: Router
  readonly #bodies: Bodies
  readonly #kind: RuleKind
  readonly #ports: RulePorts
  readonly #known = new Map<string, Known>()
  /** Calls that have not been sent yet, which hold what they are going to send. */
  #waiting = 0

  constructor(router: Router, ports: RulePorts, bodies: Bodies, kind: RuleKind) {
    this.#router = router
    this.#ports = ports
    this.#bodies = bodies
    this.#kind = kind
  }

  /** Whether all shards have these very rules, as far as this driver knows. */
  has(name: string, rules: object): boolean {
    const known = this.#known.get(name)
    return known?.rules === rules && known.isDone
  }

  /** They are gone: the next call makes them known anew. */
  forget(name: string): void {
    if (this.#known.get(name)?.isDone === true) this.#known.delete(name)
  }

  /** They may be gone: they are made known anew where nobody has said any since. */
  renew(name: string): void {
    const known = this.#known.get(name)
    if (known?.isDone === true) this.#begin(name, known, this.#kind.confirm)
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
    const isSaid = known?.signature === signature || known?.earlier.has(signature) === true
    const given = { rules, body, signature, earlier: earlierOf(known) }
    const entry = known !== undefined && isSaid ? known : this.#begin(name, given, this.#kind.configure)
    entry.rules = rules
    return entry
  }

  #begin(name: string, { rules, body, signature, earlier }: Said, verb: Verb<Done>): Known {
    const isNews = { isDone: false, failure: undefined, done: Promise.resolve() }
    const entry: Known = { rules, body, signature, earlier, ...isNews }
    entry.done = this.#publish(name, entry, verb)
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

  async #publish(name: string, entry: Known, verb: Verb<Done>): Promise<void> {
    const groups = await this.#router.whenReady({ timeout: Number.POSITIVE_INFINITY })
    const home = this.#ports.home?.(name)
    const atHome = home === undefined ? 0 : await this.#tell(home, entry, verb)
    const others = [...groups.keys()].filter((shard) => shard !== home)
    const answers = await Promise.all(others.map((shard) => this.#tell(shard, entry, verb)))
    const replaced = [atHome, ...answers].find((bits) => bits !== 0)
    if (replaced === undefined || verb !== this.#kind.configure) return
    if (await this.#compares(home ?? 0, entry)) this.#warn(name, entry.rules, replaced)
  }

  /** Whether answers say which rules were others: until all members can confirm rules, that of a topic says how many partitions it has. */
  #compares(shard: number, { body }: Known): Promise<boolean> {
    const operation = new Operation(this.#kind.confirm, { shard, value: body })
    return this.#router.submit(operation, { timeout: ATTEMPT_MS }).then(
      () => true,
      () => false,
    )
  }

  #warn(name: string, rules: object, replaced: number): void {
    const { noun, fields } = this.#kind
    const said = new Map<string, unknown>(Object.entries(rules))
    const now = fieldsOf(replaced, fields).map((field) => `${field} ${JSON.stringify(said.get(field)) ?? 'none'}`)
    this.#ports.warn?.(
      `the ${noun} '${name}' had other rules until now, and has ${now.join(', ')}: what is used last counts. Share one definition.`,
    )
  }

  /** Making rules known twice does no harm. Returns which were others. */
  async #tell(shard: number, entry: Known, verb: Verb<Done>): Promise<number> {
    for (;;) {
      try {
        const operation = new Operation(verb, { shard, value: entry.body })
        return (await this.#router.submit(operation, { timeout: ATTEMPT_MS })).revision
      } catch (error) {
        // A cluster whose members are not all of this version.
        if (verb === this.#kind.confirm && isTroupeError(error, 'UNSUPPORTED'))
          return this.#tell(shard, entry, this.#kind.configure)
        if (!isTroupeError(error, ...NOT_YET)) throw error
        entry.failure = error
      }
    }
  }
}

function earlierOf(known: Known | undefined): ReadonlySet<string> {
  return new Set(known === undefined ? [] : [...known.earlier, known.signature].slice(-EARLIER_LIMIT))
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
