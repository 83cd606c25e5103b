/** A record is one key with its value: how the native driver asks for it, sets it and deletes it. */

import type { ByteWriter } from '../../../base/bytes.ts'
import { TroupeError } from '../../../base/error.ts'
import {
  decodeCommandReply,
  decodeGetReply,
  encodeDelete,
  encodeGet,
  encodeSet,
  type Status,
} from '../../../machine/command.ts'
import { OPERATION } from '../../../wire/request.ts'
import type { Absent, StoredValue, Written } from '../../contract.ts'
import { NotYet, type Operation, type Verb } from '../route/operation.ts'
import { localAnswer } from './local.ts'

export const SET: Verb<Written> = {
  operation: OPERATION.command,
  isWrite: true,
  encode(writer: ByteWriter, operation: Operation<Written>): void {
    encodeSet(writer, operation, operation)
  },
  decode(bytes: Uint8Array, operation: Operation<Written>): Written {
    const { status, revision } = decodeCommandReply(bytes)
    if (status !== 'ok') throw refusal(status, revision)
    return { revision: BigInt(revision), receipt: operation.receipt }
  },
}

type Deleted = Written & { readonly existed: boolean }

export const DELETE: Verb<Deleted> = {
  operation: OPERATION.command,
  isWrite: true,
  encode(writer: ByteWriter, operation: Operation<Deleted>): void {
    encodeDelete(writer, operation, operation)
  },
  decode(bytes: Uint8Array, operation: Operation<Deleted>): Deleted {
    const { status, revision } = decodeCommandReply(bytes)
    if (status !== 'ok' && status !== 'absent') throw refusal(status, revision)
    return { existed: status === 'ok', revision: BigInt(revision), receipt: operation.receipt }
  },
}

export const GET: Verb<StoredValue | Absent> = {
  operation: OPERATION.query,
  isWrite: false,
  encode: encodeGet,
  decode(bytes: Uint8Array, operation: Operation<StoredValue | Absent>): StoredValue | Absent {
    const { status, revision, value } = decodeGetReply(bytes)
    if (status === 'absent') return { value: undefined, receipt: operation.receipt }
    if (status !== 'ok') throw refusal(status, revision)
    return { value, revision: BigInt(revision), receipt: operation.receipt }
  },
}

/** Answered by any replica; the age comes before the reply. */
export const LOCAL_GET: Verb<StoredValue | Absent> = {
  operation: OPERATION.localQuery,
  isWrite: false,
  encode(writer: ByteWriter, operation: Operation<StoredValue | Absent>): void {
    writer.f64(operation.maxAge)
    encodeGet(writer, operation)
  },
  decode(bytes: Uint8Array, operation: Operation<StoredValue | Absent>): StoredValue | Absent {
    const { reply, receipt } = localAnswer(bytes, operation.receipt)
    return { ...GET.decode(reply, operation), receipt }
  },
}

/** What a reply that is no answer is thrown as. */
export function refusal(status: Status, revision: number): unknown {
  switch (status) {
    case 'conflict':
      return new TroupeError('CONFLICT', conflictMessage(revision), { details: { revision: BigInt(revision) } })
    case 'fenced':
      return new TroupeError('FENCED', fenceMessage(revision), { details: { token: BigInt(revision) } })
    case 'full':
      return new TroupeError('FULL', 'there is no room for it')
    case 'expired':
      return new NotYet(true)
    case 'overloaded':
      return new NotYet(false)
    case 'cancelled':
      return new TroupeError('ABORTED', 'somebody asked for the outcome of this write before it came, and so ended it')
    case 'unsupported':
      return new TroupeError('UNSUPPORTED', 'the cluster is of a version that does not know this operation')
    default:
      return new TroupeError('INTERNAL', `the machine answered '${status}'`)
  }
}

function fenceMessage(token: number): string {
  return token === 0 ? 'what this relied on is no longer held' : `token ${token} has taken over`
}

function conflictMessage(revision: number): string {
  return revision === 0 ? 'the key is absent' : `the key is at revision ${revision}`
}
