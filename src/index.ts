/** `troupe`: everything an application needs. */

export type { ErrorCode, ErrorDetails, Outcome } from './base/error.ts'
export { isTroupeError, TroupeError } from './base/error.ts'
export type { Millis } from './base/time.ts'
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
  Versioned,
} from './data/map.ts'
export { defineMap } from './data/map.ts'
export type { InputOf, OutputOf, SchemaIssue, SchemaResult, StandardSchema } from './data/schema.ts'
export type {
  Absent,
  CallOptions,
  Change,
  ClusterStatus,
  Driver,
  GroupStatus,
  KeyRange,
  KeyValueFacet,
  MemberStatus,
  OperationOutcome,
  ReadLevel,
  ReadOptions,
  Receipt,
  Revision,
  ScannedEntry,
  ScanOptions,
  StoredValue,
  WatchOptions,
  WriteOptions,
  Written,
} from './driver/contract.ts'
export type { MemoryDriverOptions } from './driver/memory.ts'
export { memoryDriver } from './driver/memory.ts'
export type { OpenHooks } from './platform/open.ts'
export { open } from './platform/open.ts'
export type { SignalOptions } from './platform/signals.ts'
export { handleSignals } from './platform/signals.ts'
export type { Durability, EngineMode } from './runtime/option-table.ts'
export type { OpenOptions } from './runtime/options.ts'
export type { DrainOptions, Troupe } from './runtime/troupe.ts'
