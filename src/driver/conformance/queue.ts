/** The conformance suite of the queue facet, for any test runner. */

import { QUEUE_DELETES } from './delete-case.ts'
import type { TimedConformanceCase } from './message-case.ts'
import { DELIVERY_CASES, LEASE_CASES, ORDER_CASES } from './queue-case.ts'
import { DEDUPLICATION_CASES } from './queue-deduplication-case.ts'
import { FLOW_CASES, RESULT_CASES } from './queue-flow-case.ts'
import { LARGE_CASES } from './queue-large-case.ts'
import { EFFECT_CASES, LIMIT_CASES, OPERATOR_CASES, SCHEDULE_CASES } from './queue-limit-case.ts'

/** Every promise of `QueueFacet`; cases take some seconds each on the real clock. */
export const queueConformance: readonly TimedConformanceCase[] = [
  ...DELIVERY_CASES,
  ...ORDER_CASES,
  ...LEASE_CASES,
  ...LIMIT_CASES,
  ...DEDUPLICATION_CASES,
  ...OPERATOR_CASES,
  ...EFFECT_CASES,
  ...FLOW_CASES,
  ...RESULT_CASES,
  ...SCHEDULE_CASES,
  ...LARGE_CASES,
  ...QUEUE_DELETES,
]
