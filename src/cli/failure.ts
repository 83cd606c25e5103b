/** A failure ends a command with an exit code and a text that says what to do. */

import type { ErrorCode } from '../base/error.ts'
import { ERROR_CODES, isTroupeError } from '../base/error.ts'
import { UsageError } from './command-line.ts'
import { json } from './text.ts'

/** Exit codes; 70 and 74 are `EX_SOFTWARE` and `EX_IOERR` of sysexits.h. */
export const EXIT = { done: 0, failed: 1, usage: 2, internal: 70, disk: 74 } as const

const EXIT_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  INVALID_ARGUMENT: EXIT.usage,
  ADDRESS_INVALID: EXIT.usage,
  INSECURE: EXIT.usage,
  DISK_FAILED: EXIT.disk,
  DATA_DAMAGED: EXIT.disk,
  INTERNAL: EXIT.internal,
}

export interface Failure {
  readonly exitCode: number
  /** For standard error. */
  readonly text: string
}

/** @param command the words of the command that failed, as far as they are known */
export function describeFailure(error: unknown, asJson: boolean, command?: string): Failure {
  const facts = factsOf(error, command)
  const { exitCode, ...shown } = facts
  if (asJson) return { exitCode, text: json({ error: shown }) }
  const operation = typeof facts.details?.operationId === 'string' ? `\n  operation: ${facts.details.operationId}` : ''
  return { exitCode, text: `troupe: ${facts.code}: ${facts.message}\n  ${facts.remedy}${operation}` }
}

interface Facts {
  readonly exitCode: number
  readonly code: string
  readonly message: string
  readonly remedy: string
  readonly details?: Readonly<Record<string, unknown>>
}

function factsOf(error: unknown, command: string | undefined): Facts {
  if (error instanceof UsageError) {
    return { exitCode: EXIT.usage, code: 'USAGE', message: error.message, remedy: seeHelp(error.command) }
  }
  if (isTroupeError(error)) {
    const { code, message, details } = error
    return { exitCode: EXIT_OF[code] ?? EXIT.failed, code, message, remedy: remedyOf(code, command), details }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { exitCode: EXIT.internal, code: 'INTERNAL', message, remedy: ERROR_CODES.INTERNAL.meaning }
}

function remedyOf(code: ErrorCode, command: string | undefined): string {
  if (code === 'INVALID_ARGUMENT') return seeHelp(command)
  if (code === 'UNREACHABLE') {
    return `'troupe dev' starts three nodes on this machine; --connect or TROUPE_CONNECT says where others are.`
  }
  return ERROR_CODES[code].meaning
}

function seeHelp(command: string | undefined): string {
  return `See 'troupe ${command === undefined ? '' : `${command} `}--help'.`
}
