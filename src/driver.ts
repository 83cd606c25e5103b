/** `troupe/driver`: what the author of a driver needs: the contract, a readable specification of it, and its conformance suite. */

export type { ErrorCode, ErrorDetails, Outcome } from './base/error.ts'
export { isTroupeError, TroupeError } from './base/error.ts'
export type { Millis } from './base/time.ts'
export type { ConformanceCase, ConformanceContext } from './driver/conformance/case.ts'
export { keyValueConformance } from './driver/conformance/key-value.ts'
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
