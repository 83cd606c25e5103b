/** Leases, locks and fences as the sections of a snapshot. */

import { type ByteReader, ByteWriter, malformed } from '../../base/bytes.ts'
import { KEY_LIMIT_BYTES, LOCK_VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectVersion } from '../version.ts'
import type { Claim, Lock } from './lock.ts'

const VERSION = 2
/** A section is closed beyond this, so that with one record more, of three texts at most, it is below 60,000 bytes. */
const FULL_BYTES = 44_000

/** What a record holds; its first byte. Leases come before what is theirs, and locks before their claims. */
const RECORD = { lease: 1, attached: 2, lock: 3, holder: 4, waiter: 5, fence: 6 } as const

export interface AttachedKey {
  readonly map: string
  readonly key: string
  /** Of the attaching: whoever writes the key later makes it their own. */
  readonly revision: number
}

export interface LeaseState {
  readonly leases: Iterable<{
    readonly id: number
    readonly ttlMs: number
    readonly keys: ReadonlyMap<string, AttachedKey>
  }>
  readonly locks: Iterable<Lock>
  readonly fences: Iterable<readonly [string, { readonly token: number; readonly touched: LeaderMicros }]>
}

/** Receives the records of a section in their order. */
export interface LeaseSink {
  lease(id: number, ttlMs: number): void
  attached(lease: number, key: AttachedKey): void
  lock(lock: Pick<Lock, 'name' | 'of' | 'shutUntil' | 'revision'>): void
  claim(lock: string, claim: Claim, held: boolean): void
  fence(name: string, token: number, touched: LeaderMicros): void
}

export function encodeLeases(state: LeaseState): readonly Uint8Array[] {
  const sections: Uint8Array[] = []
  const writer = new ByteWriter()
  for (const encode of records(state)) {
    if (writer.length > FULL_BYTES) sections.push(writer.copy())
    if (writer.length === 0) writer.u8(VERSION)
    encode(writer)
  }
  if (writer.length > 0) sections.push(writer.copy())
  return sections
}

function* records({ leases, locks, fences }: LeaseState): Generator<(writer: ByteWriter) => void> {
  for (const { id, ttlMs, keys } of leases) {
    yield (writer) => {
      writer.u8(RECORD.lease)
      writer.u53(id)
      writer.u53(ttlMs)
    }
    for (const { map, key, revision } of keys.values()) {
      yield (writer) => {
        writer.u8(RECORD.attached)
        writer.u53(id)
        writer.text(map)
        writer.text(key)
        writer.u53(revision)
      }
    }
  }
  for (const lock of locks) {
    yield (writer) => encodeLock(writer, lock)
    for (const claim of lock.holders) yield (writer) => encodeClaim(writer, RECORD.holder, lock.name, claim)
    for (const claim of lock.waiters) yield (writer) => encodeClaim(writer, RECORD.waiter, lock.name, claim)
  }
  for (const [name, { token, touched }] of fences) {
    yield (writer) => {
      writer.u8(RECORD.fence)
      writer.text(name)
      writer.u53(token)
      writer.u53(touched)
    }
  }
}

function encodeLock(writer: ByteWriter, lock: Lock): void {
  writer.u8(RECORD.lock)
  writer.text(lock.name)
  writer.u32(lock.of)
  writer.u53(lock.shutUntil)
  writer.u53(lock.revision)
}

function encodeClaim(writer: ByteWriter, record: number, lock: string, claim: Claim): void {
  writer.u8(record)
  writer.text(lock)
  writer.u53(claim.lease)
  writer.u53(claim.number)
  writer.u32(claim.permits)
  writer.u53(claim.delayMs)
  writer.blob(claim.value)
}

/** Throws `malformed` for a section that is none. */
export function readLeases(reader: ByteReader, sink: LeaseSink): void {
  expectVersion('leases', reader.u8(), VERSION)
  while (reader.remaining > 0) {
    const record = reader.u8()
    if (record === RECORD.lease) sink.lease(reader.u53(), reader.u53())
    else if (record === RECORD.attached) {
      const lease = reader.u53()
      const [map, key] = [reader.text(KEY_LIMIT_BYTES), reader.text(KEY_LIMIT_BYTES)]
      sink.attached(lease, { map, key, revision: reader.u53() })
    } else if (record === RECORD.lock) sink.lock(readLock(reader))
    else if (record === RECORD.holder) sink.claim(reader.text(KEY_LIMIT_BYTES), readClaim(reader), true)
    else if (record === RECORD.waiter) sink.claim(reader.text(KEY_LIMIT_BYTES), readClaim(reader), false)
    else if (record === RECORD.fence) sink.fence(reader.text(KEY_LIMIT_BYTES), reader.u53(), reader.u53())
    else throw malformed(`leases have no records of kind ${record}`)
  }
}

function readLock(reader: ByteReader): Pick<Lock, 'name' | 'of' | 'shutUntil' | 'revision'> {
  return {
    name: reader.text(KEY_LIMIT_BYTES),
    of: reader.u32(),
    shutUntil: reader.u53(),
    revision: reader.u53(),
  }
}

function readClaim(reader: ByteReader): Claim {
  return {
    lease: reader.u53(),
    number: reader.u53(),
    permits: reader.u32(),
    delayMs: reader.u53(),
    value: reader.blob(LOCK_VALUE_LIMIT_BYTES).slice(),
  }
}
