/** A directory is made with all that is missing above it, for its owner alone. */

import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Not by the platform's own `recursive`, which never returns where the system takes no directories (below /proc, say). */
export function makeDirectory(path: string): void {
  if (isDirectory(path)) return
  if (dirname(path) !== path) makeDirectory(dirname(path))
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!isDirectory(path)) throw error
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
