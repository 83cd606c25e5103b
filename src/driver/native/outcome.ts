/** An outcome is what became of a write whose caller never learned it; asking settles it for ever. */

import { invalidArgument } from '../../base/argument.ts'
import type { ByteWriter } from '../../base/bytes.ts'
import type { SessionId } from '../../base/identity.ts'
import { decodeCommandReply, encodeResolve, NO_SESSION, RESOLUTIONS } from '../../machine/command.ts'
import { OPERATION } from '../../wire/request.ts'
import type { CallOptions, OperationOutcome } from '../contract.ts'
import { refusal } from './map/record.ts'
import { Operation, type Verb } from './route/operation.ts'
import type { Router } from './route/router.ts'

/** Asking twice is harmless, so it needs no session of its own. */
const ENVELOPE = { session: NO_SESSION, sequence: 0, acknowledged: 0 }

/** Its operation is named by the session and sequence of the write that is asked about. */
const RESOLVE: Verb<OperationOutcome> = {
  operation: OPERATION.command,
  isWrite: false,
  encode(writer: ByteWriter, operation: Operation<OperationOutcome>): void {
    encodeResolve(writer, ENVELOPE, operation)
  },
  decode(bytes: Uint8Array): OperationOutcome {
    const { status, revision } = decodeCommandReply(bytes)
    if (status === 'expired') return 'unknown'
    if (status !== 'ok') throw refusal(status, revision)
    return RESOLUTIONS[revision] ?? 'unknown'
  },
}

const OPERATION_ID = /^(\d{1,10})\.(\d{1,16})\.(\d{1,16})$/

export function askOutcome(router: Router, operationId: string, options: CallOptions): Promise<OperationOutcome> {
  const parts = OPERATION_ID.exec(operationId)?.slice(1).map(Number)
  const [group, session, sequence] = parts ?? [0, 0, 0]
  const operation = new Operation(RESOLVE, { group: group ?? 0 })
  operation.session = (session ?? 0) as SessionId
  operation.sequence = sequence ?? 0
  if (
    options.signal?.aborted !== true &&
    !router.isClosed &&
    !(isCount(operation.session) && isCount(operation.sequence))
  ) {
    return Promise.reject(invalidArgument(`'${operationId.slice(0, 64)}' is no id of an operation`))
  }
  return router.submit(operation, options)
}

function isCount(number: number): boolean {
  return number > 0 && Number.isSafeInteger(number)
}
