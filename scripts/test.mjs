/** The test run: vitest with the given filters, and a last line that says how many tests passed and failed. */

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const scratch = mkdtempSync(join(tmpdir(), 'troupe-test-'))
const results = join(scratch, 'results.json')

const vitest = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${results}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
)
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => vitest.kill(signal))

vitest.on('close', (code) => {
  const { passed, failed } = count(code === 0)
  rmSync(scratch, { recursive: true, force: true })
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
})

/**
 * Counts tests; a file that cannot be loaded, an error outside any test, and a run without tests each count as one
 * failure.
 * @param {boolean} clean whether vitest itself found nothing wrong
 */
function count(clean) {
  const report = readReport()
  /** @type {{ status: string, assertionResults: { status: string }[] }[]} */
  const files = report?.testResults ?? []
  const broken = files.filter((file) => file.status === 'failed' && !file.assertionResults.some(hasFailed)).length
  const passed = report?.numPassedTests ?? 0
  const failed = (report?.numFailedTests ?? 0) + broken
  return { passed, failed: failed === 0 && (!clean || passed === 0) ? 1 : failed }
}

/** @param {{ status: string }} test */
function hasFailed(test) {
  return test.status === 'failed'
}

function readReport() {
  try {
    return JSON.parse(readFileSync(results, 'utf8'))
  } catch {
    // vitest died before it could report; its own output says why.
    return undefined
  }
}
