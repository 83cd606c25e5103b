/** The rules of queues, as this driver makes them known to the cluster or learns them from it. */

import type { Millis } from '../../../base/time.ts'
import { QUEUE_COMMAND, QUEUE_QUERY, QUEUE_SETTINGS } from '../../../machine/queue/command.ts'
import { decodeSettingsAnswer, encodeConfigure, encodeQueueQuery } from '../../../machine/queue/encode.ts'
import type { CallOptions, NamedQueue, QueueRules } from '../../contract.ts'
import { ASK, type Bodies, commandVerb } from '../body.ts'
import { Operation } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import { RuleBook, type RuleKind, type RulePorts } from '../rules.ts'
import type { WatchPorts } from '../stream/shard-watch.ts'

/** A queue whose rules all shards have. */
export interface RuledQueue extends NamedQueue {
  readonly rules: QueueRules
}

const KIND: RuleKind = {
  noun: 'queue',
  configure: commandVerb(QUEUE_COMMAND.configure),
  confirm: commandVerb(QUEUE_COMMAND.confirm),
  fields: QUEUE_SETTINGS,
}
/** What was learnt is asked for again after this: others may have changed it. */
const LEARNT_MS: Millis = 5000
/** Queues whose rules are remembered. */
const LEARNT_LIMIT = 1000

export class QueueRuleBook {
  readonly #router: Router
  readonly #ports: WatchPorts
  readonly #bodies: Bodies
  readonly #book: RuleBook
  readonly #learnt = new Map<string, { readonly rules: QueueRules; readonly at: Millis }>()

  constructor(router: Router, ports: RulePorts, bodies: Bodies) {
    this.#router = router
    this.#ports = ports
    this.#bodies = bodies
    this.#book = new RuleBook(router, ports, bodies, KIND)
  }

  /** Whether all shards have the rules that come with this name. */
  isKnown(queue: NamedQueue): queue is RuledQueue {
    return queue.rules !== undefined && this.#book.has(queue.name, queue.rules)
  }

  /** The queue was deleted. */
  forget(name: string): void {
    this.#book.forget(name)
  }

  /** The queue may have been deleted by others. */
  renew(name: string): void {
    this.#book.renew(name)
  }

  /** Makes sure that all shards know the queue's rules; learns them when the caller has none. */
  async prepare(queue: NamedQueue, options: CallOptions): Promise<RuledQueue> {
    if (this.isKnown(queue)) return queue
    const { name, rules } = queue
    if (rules === undefined) return { name, rules: await this.#learn(name, options) }
    await this.#book.publish(name, rules, (writer) => encodeConfigure(writer, name, rules), options)
    return { name, rules }
  }

  async #learn(name: string, options: CallOptions): Promise<QueueRules> {
    const now = this.#ports.clock.now()
    const known = this.#learnt.get(name)
    if (known !== undefined && now - known.at < LEARNT_MS) return known.rules
    await this.#router.whenReady(options)
    const value = this.#bodies.write((writer) => encodeQueueQuery(writer, QUEUE_QUERY.settings, name))
    const shard = this.#router.shardOf(name, '')
    const rules = decodeSettingsAnswer(await this.#router.submit(new Operation(ASK, { shard, value }), options))
    this.#learnt.delete(name)
    this.#learnt.set(name, { rules, at: now })
    const [oldest] = this.#learnt.keys()
    if (this.#learnt.size > LEARNT_LIMIT && oldest !== undefined) this.#learnt.delete(oldest)
    return rules
  }
}
