/** `troupe`: everything an application needs. */

export type { ErrorCode, ErrorDetails, Outcome } from './base/error.ts'
export { isTroupeError, TroupeError } from './base/error.ts'
export type { Random } from './base/random.ts'
export type { Millis, WallMillis } from './base/time.ts'
export type { Barrier, Latch } from './data/barrier.ts'
export type { CampaignOptions, ObserveOptions, Office } from './data/election.ts'
export type { Lease, Lock, LockOptions, LockPlace, LockState, ReadWriteLockOptions } from './data/lock.ts'
export type {
  MapChange,
  MapDefinition,
  MapEntry,
  MapOptions,
  MapScanOptions,
  MapSchemaOptions,
  MapWatchOptions,
  SelfFitting,
  TroupeMap,
  UpdateOptions,
  Versioned,
} from './data/map.ts'
export { defineMap } from './data/map.ts'
export type { InputOf, OutputOf, SchemaIssue, SchemaResult, StandardSchema } from './data/schema.ts'
export { readSequencer } from './data/sequencer.ts'
export type * from './driver/contract.ts'
export type { MemoryDriverOptions } from './driver/memory/memory.ts'
export type { FailureRecord } from './message/failure-record.ts'
export type { FlowChildren, FlowOptions } from './message/flow.ts'
export type {
  BatchContext,
  BatchHandler,
  BatchWorkOptions,
  DrainResult,
  Handler,
  HandlerContext,
  Worker,
  WorkOptions,
} from './message/handler.ts'
export type {
  DeduplicateOptions,
  PerKeyOptions,
  QueueDefinition,
  QueueMessage,
  QueueOptions,
  QueueSchemaOptions,
  RateLimit,
  SendOptions,
} from './message/queue.ts'
export { defineQueue } from './message/queue.ts'
export type { ExponentialDelayOptions, JitterOptions, LinearDelayOptions, RetryPolicy } from './message/retry.ts'
export { exponentialDelay, fixedDelay, linearDelay } from './message/retry.ts'
export type { ScheduleOptions, ScheduleState, ScheduleTime } from './message/schedule.ts'
export type {
  PatternSubscribeOptions,
  PublishOptions,
  TableView,
  TopicBatch,
  TopicDefinition,
  TopicOptions,
  TopicRecord,
  TopicSchemaOptions,
  TopicSubscribeOptions,
  TroupeTopic,
} from './message/topic.ts'
export { defineTopic } from './message/topic.ts'
export type {
  InspectedQueueMessage,
  PeekOptions,
  ReceivedMessage,
  ReceiveOptions,
  RedriveOptions,
  TroupeQueue,
} from './message/troupe-queue.ts'
export { memoryDriver } from './platform/memory.ts'
export type { OpenHooks } from './platform/open.ts'
export { open } from './platform/open.ts'
export type { SignalOptions } from './platform/signals.ts'
export { handleSignals } from './platform/signals.ts'
export type { Durability, EngineMode } from './runtime/option-table.ts'
export type { OpenOptions } from './runtime/options.ts'
export type { DrainOptions, Troupe } from './runtime/troupe.ts'
