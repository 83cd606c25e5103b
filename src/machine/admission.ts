/** Admission tells commands that clients may send from those that only engines do. */

import { ByteReader } from '../base/bytes.ts'
import { isTroupeError } from '../base/error.ts'
import { COMMAND, COMMAND_HEAD_BYTES } from './command.ts'
import { LEASE_COMMAND } from './lease/command.ts'
import { QUEUE_COMMAND } from './queue/command.ts'
import { SCHEDULE_COMMAND } from './schedule/command.ts'
import { forEachPart } from './transaction.ts'

/** `[target shard u32]` */
const TARGET_BYTES = 4

const ENGINES: ReadonlySet<number> = new Set([
  COMMAND.refuse,
  COMMAND.relay,
  COMMAND.relayed,
  QUEUE_COMMAND.lapse,
  LEASE_COMMAND.leaseExpire,
  SCHEDULE_COMMAND.schedulePlan,
])

/** The kind in a client's command that only an engine may send, also as a part and in an emit; undefined when there is none. */
export function engineKind(command: Uint8Array): number | undefined {
  const kind = command[0] ?? 0
  if (kind !== COMMAND.transaction) return ENGINES.has(kind) ? kind : undefined
  try {
    return engineKindOfParts(command)
  } catch (error) {
    // Whoever executes it says so: it has no parts to look at.
    if (isTroupeError(error, 'DATA_DAMAGED')) return undefined
    throw error
  }
}

function engineKindOfParts(command: Uint8Array): number | undefined {
  const reader = new ByteReader(command, COMMAND_HEAD_BYTES)
  let found: number | undefined
  forEachPart(reader, command.length, (part) => {
    const inner = part === COMMAND.emit ? (command[reader.at + TARGET_BYTES] ?? 0) : part
    if (ENGINES.has(inner)) found ??= inner
  })
  return found
}
