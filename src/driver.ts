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
export type {
  Absent,
  AcquireOptions,
  CallOptions,
  Change,
  ClusterStatus,
  ConsumeOptions,
  ConsumerStatus,
  DeathReason,
  DeduplicationMode,
  Delivered,
  Driver,
  Effect,
  Fence,
  GroupOffsets,
  GroupStatus,
  Hold,
  InspectedMessage,
  KeyRange,
  KeyValueFacet,
  LeaseFacet,
  LeaseHold,
  LockStatus,
  MemberStatus,
  MessageState,
  OperationOutcome,
  OutgoingFlow,
  OutgoingMessage,
  OutgoingRecord,
  Overflow,
  PartitionStatus,
  Position,
  Published,
  QueuedMessage,
  QueueFacet,
  QueueName,
  QueueOrder,
  QueueRules,
  QueueStats,
  ReadLevel,
  ReadOptions,
  ReadRecord,
  Receipt,
  RecordBatch,
  RedriveFilter,
  Revision,
  ScannedEntry,
  ScanOptions,
  ScheduleRule,
  ScheduleStatus,
  Sent,
  StoredValue,
  SubscribeOptions,
  TopicFacet,
  TopicName,
  TopicRules,
  WatchOptions,
  WriteOptions,
  Written,
} from './driver/contract.ts'
export type { MemoryDriverOptions } from './driver/memory.ts'
export { memoryDriver } from './platform/memory.ts'
