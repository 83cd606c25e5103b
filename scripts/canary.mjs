/**
 * Plants each bug of test/canary in a copy of dist, and demands that the simulation finds it, or the suite that it
 * names; first of all, that they find nothing in the unaltered copy.
 *
 *   npm run canary                       all of them
 *   npm run canary -- vote term          those whose name holds one of the words
 */

import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CANARIES } from '../test/canary/canaries.mjs'

/**
 * @typedef {object} Canary
 * @property {string} name
 * @property {string} file
 * @property {string} find
 * @property {string} replace
 * @property {number} [seeds]
 * @property {string[]} [options]
 * @property {string} [suite]
 */

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const words = process.argv.slice(2)
const HEALTHY_SEEDS = 60
const VITEST = join(root, 'node_modules/vitest/vitest.mjs')

/** @type {readonly Canary[]} */
const chosen = CANARIES.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
const scratch = mkdtempSync(join(tmpdir(), 'troupe-canary-'))
symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'))
writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }\n')
// Taken once: whoever builds meanwhile changes nothing here.
cpSync(join(root, 'dist'), join(scratch, 'dist'), { recursive: true })
let failures = 0
try {
  await release(undefined, 0)
  const waiting = [...chosen.entries()]
  const jobs = Array.from({ length: availableParallelism() }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await release(next[1], next[0] + 1)
  })
  await Promise.all(jobs)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
console.log(`${chosen.length + 1 - failures} of ${chosen.length + 1} as they should be`)
process.exitCode = failures === 0 ? 0 : 1

/**
 * @param {Canary | undefined} canary undefined for the healthy tree
 * @param {number} number
 */
async function release(canary, number) {
  const dist = join(scratch, `dist-${number}`)
  cpSync(join(scratch, 'dist'), dist, { recursive: true })
  if (canary !== undefined) plant(dist, canary)
  const started = performance.now()
  const { isFound, where, reason, output } = await (canary === undefined ? examine(dist) : search(dist, canary))
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const isRight = isFound === (canary !== undefined)
  if (!isRight) failures++
  const verdict = canary === undefined ? (isRight ? 'passes' : 'FAILS') : isRight ? `found ${where}` : 'NOT FOUND'
  console.log(`${verdict.padEnd(18)} ${canary?.name ?? 'no bug planted'} (${seconds} s) ${reason}`)
  if (!isRight && canary === undefined) console.log(output)
  rmSync(dist, { recursive: true, force: true })
}

/**
 * @typedef {object} Finding
 * @property {boolean} isFound
 * @property {string} where
 * @property {string} reason
 * @property {string} output
 */

/**
 * @param {string} dist
 * @returns {Promise<Finding>} of the simulation, or else of any suite that a canary names
 */
async function examine(dist) {
  const found = await simulate(dist, HEALTHY_SEEDS, ['--jobs', `${availableParallelism()}`])
  const suites = chosen.flatMap(({ suite }) => (suite === undefined ? [] : [suite]))
  return found.isFound || suites.length === 0 ? found : test(dist, [...new Set(suites)])
}

/**
 * @param {string} dist
 * @param {Canary} canary
 */
function search(dist, { suite, seeds = 0, options = [] }) {
  return suite === undefined
    ? simulate(dist, seeds, ['--jobs', '1', ...workloadOf(options), ...options])
    : test(dist, [suite])
}

/**
 * @param {string} dist
 * @param {Canary} canary
 */
function plant(dist, canary) {
  const file = join(dist, canary.file)
  const before = readFileSync(file, 'utf8')
  const places = before.split(canary.find).length - 1
  if (places !== 1)
    throw new Error(`canary '${canary.name}': '${canary.find}' occurs ${places} times in ${canary.file}`)
  writeFileSync(
    file,
    before.replace(canary.find, () => canary.replace),
  )
}

/**
 * A canary says by its options which workload must find it; a healthy tree passes all of them, in turn.
 * @param {string[]} options
 */
function workloadOf(options) {
  return options.includes('--workload') ? [] : ['--workload', 'map']
}

/**
 * @param {string} dist
 * @param {number} seeds
 * @param {string[]} options
 * @returns {Promise<Finding>}
 */
async function simulate(dist, seeds, options) {
  const script = join(root, 'scripts/sim.mjs')
  const { code, output } = await run([script, '--seeds', `${seeds}`, '--dist', dist, '--first-failure', ...options])
  const seed = /^seed (\d+) FAILED/m.exec(output)?.[1]
  const reason = /FAILED:[\s\S]*?\n {2}\{.*\n {2}(.*)/.exec(output)?.[1]?.slice(0, 110) ?? ''
  return { isFound: code === 1, where: `at seed ${seed} of ${seeds}`, reason, output }
}

/**
 * @param {string} dist
 * @param {string[]} suites
 * @returns {Promise<Finding>}
 */
async function test(dist, suites) {
  const config = join(root, 'test/canary/vitest.config.mjs')
  const { code, output } = await run([VITEST, 'run', '--config', config, ...suites], { CANARY_DIST: dist })
  // Suites that could not run at all have found nothing.
  const failed = /^ *FAIL +\S+ > (.*)/m.exec(output)?.[1]
  return { isFound: code !== 0 && failed !== undefined, where: 'by its suite', reason: failed ?? '', output }
}

/**
 * @param {string[]} words
 * @param {Record<string, string>} [environment]
 * @returns {Promise<{ code: number | null, output: string }>}
 */
function run(words, environment) {
  const env = { ...process.env, NO_COLOR: '1', ...environment }
  const child = spawn(process.execPath, words, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })))
}
