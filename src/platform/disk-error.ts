/** A disk error names the file or directory that the operating system refused, and what it said. */

import { isTroupeError, TroupeError } from '../base/error.ts'

/** What the system says when there is no room: of the disk, or of what this user may have. */
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT'])

export function diskFailed(file: string, error: unknown): TroupeError {
  if (isTroupeError(error)) return error
  if (error instanceof Error && 'code' in error && FULL.has(error.code)) return diskFull(file, error)
  return new TroupeError('DISK_FAILED', `the disk refuses ${file}: ${reasonOf(error)}`, {
    details: { file },
    cause: error,
  })
}

/** Whether the node has stopped because there was no room. */
export function isDiskFull(error: unknown): boolean {
  return isTroupeError(error, 'DISK_FAILED') && error.details.isFull === true
}

function diskFull(file: string, error: Error): TroupeError {
  return new TroupeError(
    'DISK_FAILED',
    `the disk has no room for ${file} (${error.message}). Make room, then start the node again: it goes on with all that was acknowledged.`,
    { details: { file, isFull: true }, cause: error },
  )
}

export function directoryUnusable(directory: string, error: unknown): TroupeError {
  return new TroupeError(
    'DIRECTORY_UNUSABLE',
    `the data directory ${directory} cannot be used: ${reasonOf(error)}. Correct \`dataDir\` or the directory's permissions.`,
    { details: { directory }, cause: error },
  )
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
