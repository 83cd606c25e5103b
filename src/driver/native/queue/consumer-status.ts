/** The status of a consumer, put together from what each shard's leader knows of it. */

import { malformed } from '../../../base/bytes.ts'
import type { ConsumerFacts } from '../../../wire/delivery.ts'
import type { ConsumerStatus } from '../../contract.ts'
import { readJson } from '../json.ts'

/** One consumer has a stream in each shard. */
export function merge(facts: readonly ConsumerFacts[]): readonly ConsumerStatus[] {
  const byName = new Map<string, ConsumerStatus>()
  for (const each of facts) {
    const known = byName.get(each.consumer)
    byName.set(each.consumer, {
      consumer: each.consumer,
      lastPollMs: Math.min(each.lastPollMs, known?.lastPollMs ?? Number.POSITIVE_INFINITY),
      unsettled: each.unsettled + (known?.unsettled ?? 0),
      oldestUnsettledMs: Math.max(each.oldestUnsettledMs, known?.oldestUnsettledMs ?? 0),
    })
  }
  return [...byName.values()]
}

export function readConsumers(bytes: Uint8Array): readonly ConsumerFacts[] {
  const consumers = readJson(bytes, 'a list of consumers')
  if (!Array.isArray(consumers) || !consumers.every(isConsumer))
    throw malformed('a list of consumers lacks their facts')
  return consumers
}

function isConsumer(facts: unknown): facts is ConsumerFacts {
  return typeof facts === 'object' && facts !== null && 'consumer' in facts
}
