/** A golden file is committed text that a test must reproduce; `UPDATE=1 npx vitest run test/golden` writes what it found instead. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** The committed text of a file, named from the root of the repository; empty when there is none yet. */
export function golden(path: string, found: string): string {
  const file = join(root, path)
  if (process.env.UPDATE === '1') writeFileSync(file, found)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** A table in Markdown; bars within cells are escaped. */
export function markdownTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}
