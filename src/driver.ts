/** `troupe/driver`: what the author of a driver needs: the contract, a readable specification of it, and its conformance suite. */

export type { ErrorCode, ErrorDetails, Outcome } from './base/error.ts'
export { isTroupeError, TroupeError } from './base/error.ts'
export type { Millis, WallMillis } from './base/time.ts'
export type { ConformanceCase, ConformanceContext } from './driver/conformance/case.ts'
export { keyValueConformance } from './driver/conformance/key-value.ts'
export { leaseConformance } from './driver/conformance/lease.ts'
export type { TimedConformanceCase, TimedConformanceContext } from './driver/conformance/message-case.ts'
export { queueConformance } from './driver/conformance/queue.ts'
export { topicConformance } from './driver/conformance/topic.ts'
export type * from './driver/contract.ts'
export type { MemoryDriverOptions } from './driver/memory/memory.ts'
export { memoryDriver } from './platform/memory.ts'
