/** A failure ends a command with an exit code and a text that says what to do. */

import type { ErrorCode } from '../base/error.ts'
import { ERROR_CODES, isTroupeError, type TroupeError } from '../base/error.ts'
import { exitCodeOf } from '../platform/engine.ts'
import { UsageError } from './command-line.ts'
import { json } from './text.ts'

/** Exit codes, beside those of a node that ends by itself. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

const USAGE_CODES = ['INVALID_ARGUMENT', 'ADDRESS_INVALID', 'INSECURE'] as const
/** Ended by the node or the disk: the exit code is that of a node. */
const NODE_CODES = ['DISK_FAILED', 'DATA_DAMAGED', 'INTERNAL'] as const

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
    return { exitCode: exitOf(error), code, message, remedy: remedyOf(code, command), details }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { exitCode: exitCodeOf(error), code: 'INTERNAL', message, remedy: ERROR_CODES.INTERNAL.meaning }
}

function exitOf(error: TroupeError): number {
  if (isTroupeError(error, ...USAGE_CODES)) return EXIT.usage
  return isTroupeError(error, ...NODE_CODES) ? exitCodeOf(error) : EXIT.failed
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
