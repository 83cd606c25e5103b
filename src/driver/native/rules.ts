/** Rules of queues and topics are made known to every shard before anything that relies on them is sent. */

import type { CallOptions } from '../contract.ts'
import type { Bodies, Done } from './body.ts'
import { Operation, type Verb } from './operation.ts'
import type { Router } from './router.ts'

interface Known {
  /** The rules object that was given last, which is mostly the same one. */
  rules: object
  /** Encoded, as text. */
  readonly signature: string
  isDone: boolean
  readonly done: Promise<void>
}

/** Names of which the rules are remembered; beyond, the oldest are made known again when they are used. */
const NAMES_LIMIT = 10_000

export class RuleBook {
  readonly #router: Router
  readonly #bodies: Bodies
  readonly #verb: Verb<Done>
  readonly #known = new Map<string, Known>()

  constructor(router: Router, bodies: Bodies, verb: Verb<Done>) {
    this.#router = router
    this.#bodies = bodies
    this.#verb = verb
  }

  /** Whether all shards have these very rules, as far as this driver knows. */
  has(name: string, rules: object): boolean {
    const known = this.#known.get(name)
    return known?.rules === rules && known.isDone
  }

  /** @param encode writes the body of the command that makes the rules known */
  async publish(
    name: string,
    rules: object,
    encode: Parameters<Bodies['write']>[0],
    options: CallOptions,
  ): Promise<void> {
    const body = this.#bodies.write(encode).slice()
    const signature = body.join()
    const known = this.#known.get(name)
    if (known?.signature === signature) {
      known.rules = rules
      return known.done
    }
    const done = this.#publish(body, options)
    const entry: Known = { rules, signature, isDone: false, done }
    this.#known.delete(name)
    this.#known.set(name, entry)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= NAMES_LIMIT) break
      this.#known.delete(oldest)
    }
    try {
      await done
      entry.isDone = true
    } catch (error) {
      if (this.#known.get(name) === entry) this.#known.delete(name)
      throw error
    }
  }

  async #publish(value: Uint8Array, options: CallOptions): Promise<void> {
    const groups = await this.#router.whenReady(options)
    await Promise.all(
      groups.map((_, shard) => this.#router.submit(new Operation(this.#verb, { shard, value }), options)),
    )
  }
}
