/** The rules of a plain queue: one message of a key at a time, five attempts, no other limit that a test would meet. */

import type { QueueRules } from '../../../src/driver/contract.ts'

export const RULES: QueueRules = {
  order: 'key',
  maxAttempts: 5,
  leaseMs: 30_000,
  limit: 1_000_000,
  overflow: 'reject',
  concurrency: Number.POSITIVE_INFINITY,
  keyConcurrency: Number.POSITIVE_INFINITY,
  rate: Number.POSITIVE_INFINITY,
  ratePeriodMs: 1000,
  keyRate: Number.POSITIVE_INFINITY,
  keyRatePeriodMs: 1000,
  deadKeepMs: 86_400_000,
  single: false,
  keyWeights: {},
}
