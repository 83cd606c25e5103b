/** Leases, locks and transactions for the tests of the machine. */

import { decodeGetReply, NO_SESSION } from '../../../../src/machine/command.ts'
import {
  type AcquireCommand,
  attachPart,
  decodeLockState,
  decodeLocks,
  encodeAcquire,
  encodeGrant,
  encodeLeaseExpire,
  encodeLetGo,
  encodeLockQuery,
  encodeLocks,
  encodeRevoke,
  encodeVerify,
  LEASE_COMMAND,
  type LockState,
} from '../../../../src/machine/lease/command.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { encodeTransaction, type Part } from '../../../../src/machine/transaction.ts'
import { anyone, bytes } from '../operations.ts'

export const granting = (lease: number, envelope = anyone, ttlMs = 10_000) =>
  bytes((writer) => encodeGrant(writer, envelope, lease, ttlMs))
export const revoking = (lease: number) => bytes((writer) => encodeRevoke(writer, anyone, lease))
export const expiring = (lease: number) => bytes((writer) => encodeLeaseExpire(writer, anyone, lease))
export const acquiring = (lock: string, lease: number, more: Partial<AcquireCommand> = {}, envelope = anyone) =>
  bytes((writer) => encodeAcquire(writer, envelope, { ...mutex(lock, lease), ...more }))
export const lettingGo = (lock: string, lease: number, to = 0) =>
  bytes((writer) => encodeLetGo(writer, anyone, { lock, lease, to }))
export const together = (parts: readonly Part[], envelope = anyone) =>
  bytes((writer) => encodeTransaction(writer, envelope, parts))

const mutex = (lock: string, lease: number): AcquireCommand => ({
  lock,
  lease,
  permits: 1,
  of: 1,
  wait: true,
  delayMs: 0,
  value: Uint8Array.of(lease),
})

/** A command as a part: without its head. */
export function part(command: Uint8Array): Part {
  const head =
    bytes((writer) => encodeRevoke(writer, { session: NO_SESSION, sequence: 1, acknowledged: 1 }, 1)).length - 8
  return { kind: command[0] ?? 0, encode: (writer) => writer.raw(command.subarray(head)) }
}

export const revokePart = (lease: number): Part => ({
  kind: LEASE_COMMAND.revoke,
  encode: (writer) => writer.u53(lease),
})

export const attaching = (key: string, lease: number) => attachPart('m', key, lease)

/** Status, revision of the last change, state. */
export const lockQuery = (shard: Shard, lock: string) =>
  shard.query(bytes((writer) => encodeLockQuery(writer, lock))).slice()

export function lockState(shard: Shard, lock: string): LockState | undefined {
  const { status, value } = decodeGetReply(lockQuery(shard, lock))
  return status === 'ok' ? decodeLockState(value) : undefined
}

export const holders = (shard: Shard, lock: string) => lockState(shard, lock)?.holders.map(({ lease }) => lease) ?? []
export const waiters = (shard: Shard, lock: string) => lockState(shard, lock)?.waiters.map(({ lease }) => lease) ?? []
export const tokenOf = (shard: Shard, lock: string) => lockState(shard, lock)?.holders.at(-1)?.number ?? 0

export function verify(shard: Shard, lock: string, token: number): { status: string; revision: number } {
  const { status, revision } = decodeGetReply(shard.query(bytes((writer) => encodeVerify(writer, lock, token))))
  return { status, revision }
}

export const locks = (shard: Shard, after = '', limit = 100) =>
  decodeLocks(shard.query(bytes((writer) => encodeLocks(writer, after, limit))))

export function restored(shard: Shard): Shard {
  const copy = new Shard()
  const frozen = shard.freeze()
  copy.restore(frozen.chunks())
  frozen.release()
  return copy
}
