/** A refusal tells a requester that its request was certainly not executed, and why. */

import { ByteWriter } from '../base/bytes.ts'
import type { ErrorCode } from '../base/error.ts'
import type { NodeId } from '../base/identity.ts'

/** The bytes of a `REPLY.refused`. */
export function refusal(code: ErrorCode, message: string): Uint8Array {
  const writer = new ByteWriter()
  writer.text(code)
  writer.text(message)
  return writer.take()
}

/** The bytes of a `REPLY.notLeader`. */
export function leaderHint(leader: NodeId | undefined): Uint8Array {
  const writer = new ByteWriter(64)
  writer.text(leader ?? '')
  return writer.take()
}
