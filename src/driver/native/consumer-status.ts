/** The status of a consumer, put together from what each shard's leader knows of it. */

import type { ConsumerFacts } from '../../wire/delivery.ts'
import type { ConsumerStatus } from '../contract.ts'

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
