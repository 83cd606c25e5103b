/** A disk error names the file or directory that the operating system refused, and what it said. */

import { isTroupeError, TroupeError } from '../base/error.ts'

export function diskFailed(file: string, error: unknown): TroupeError {
  if (isTroupeError(error)) return error
  return new TroupeError('DISK_FAILED', `the disk refuses ${file}: ${reasonOf(error)}`, {
    details: { file },
    cause: error,
  })
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
