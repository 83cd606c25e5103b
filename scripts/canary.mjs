/**
 * Plants each bug of test/canary in a copy of dist, and demands that the simulation finds it; first of all, that it finds
 * nothing in the unaltered copy.
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

/** @typedef {{ name: string, file: string, find: string, replace: string, seeds: number, options?: string[] }} Canary */

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const words = process.argv.slice(2)
const HEALTHY_SEEDS = 60

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
  const seeds = canary?.seeds ?? HEALTHY_SEEDS
  const started = performance.now()
  const { code, output } = await simulate(dist, seeds, canary?.options ?? [])
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const isRight = canary === undefined ? code === 0 : code === 1
  if (!isRight) failures++
  const found = /^seed (\d+) FAILED/m.exec(output)?.[1]
  const reason = /FAILED:[\s\S]*?\n {2}\{.*\n {2}(.*)/.exec(output)?.[1]?.slice(0, 110) ?? ''
  const verdict =
    canary === undefined ? (isRight ? 'passes' : 'FAILS') : isRight ? `found at seed ${found}` : 'NOT FOUND'
  console.log(`${verdict.padEnd(18)} ${canary?.name ?? 'no bug planted'} (${seconds} s, ${seeds} seeds) ${reason}`)
  if (!isRight && canary === undefined) console.log(output)
  rmSync(dist, { recursive: true, force: true })
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
 * @param {string} dist
 * @param {number} seeds
 * @param {string[]} options
 * @returns {Promise<{ code: number | null, output: string }>}
 */
function simulate(dist, seeds, options) {
  const jobs = dist.endsWith('-0') ? availableParallelism() : 1
  // A canary says by its options which workload must find it; a healthy tree passes all of them, in turn.
  const workload = dist.endsWith('-0') || options.includes('--workload') ? [] : ['--workload', 'map']
  const args = [...workload, '--seeds', `${seeds}`, '--dist', dist, '--jobs', `${jobs}`, '--first-failure', ...options]
  const child = spawn(process.execPath, [join(root, 'scripts/sim.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })))
}
