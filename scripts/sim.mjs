/**
 * Simulates seeds, and prints for each that fails the one command that replays it.
 *
 *   npm run sim -- --seeds 500            seeds 1 to 500, on all cores
 *   npm run sim -- --seed 7 --trace       one seed, with a line for each thing that happens
 *
 * Besides: --from N (first seed), --nodes N, --shards N, --clients N, --seconds N, --faults a,b, --history FILE,
 * --first-failure (stop at it), --dist FOLDER (what to run instead of dist). Exit code 1 when a seed failed.
 */

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const OPTIONS = /** @type {const} */ ({
  seeds: { type: 'string', default: '20' },
  seed: { type: 'string' },
  from: { type: 'string', default: '1' },
  trace: { type: 'boolean', default: false },
  nodes: { type: 'string' },
  shards: { type: 'string' },
  clients: { type: 'string' },
  seconds: { type: 'string' },
  faults: { type: 'string' },
  history: { type: 'string' },
  jobs: { type: 'string', default: String(availableParallelism()) },
  'first-failure': { type: 'boolean', default: false },
  dist: { type: 'string', default: join(root, 'dist') },
})

if (isMainThread) await main()
else await work()

async function main() {
  const { values } = parseArgs({ options: OPTIONS })
  const choice = {
    ...number('nodes', values.nodes),
    ...number('shards', values.shards),
    ...number('clients', values.clients),
    ...number('virtualSeconds', values.seconds),
    ...(values.faults === undefined ? {} : { faults: values.faults.split(',').filter(Boolean) }),
  }
  const single = values.seed !== undefined
  const first = Number(values.seed ?? values.from)
  const count = single ? 1 : Number(values.seeds)
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) fail('seeds are whole numbers')
  const seeds = Array.from({ length: count }, (_, at) => first + at)
  const started = performance.now()
  const data = { dist: values.dist, choice, trace: values.trace, history: values.history }
  const options = { jobs: single ? 1 : Number(values.jobs), stop: values['first-failure'] }
  const results = await runAll(seeds, data, options, (result) => {
    if (!result.ok || single) tell(result, replay(values, result.seed))
  })
  summarize(results, (performance.now() - started) / 1000, single)
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
}

/**
 * @param {number[]} seeds
 * @param {object} data
 * @param {{ jobs: number, stop: boolean }} options
 * @param {(result: any) => void} done
 * @returns {Promise<any[]>}
 */
async function runAll(seeds, data, options, done) {
  /** @type {any[]} */
  const results = []
  const waiting = [...seeds]
  const jobs = Array.from({ length: Math.min(options.jobs, seeds.length) }, async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: data })
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const result = await ask(worker, seed)
      results.push(result)
      done(result)
      if (!result.ok && options.stop) waiting.length = 0
    }
    await worker.terminate()
  })
  await Promise.all(jobs)
  return results
}

/**
 * @param {Worker} worker
 * @param {number} seed
 */
function ask(worker, seed) {
  return new Promise((answer, reject) => {
    worker.removeAllListeners()
    worker.once('message', answer)
    worker.once('error', reject)
    worker.postMessage(seed)
  })
}

async function work() {
  const { simulate } = await import(pathToFileURL(join(resolve(workerData.dist), 'simulation.js')).href)
  /** @param {number} seed */
  const run = async (seed) => {
    const print = workerData.trace ? (/** @type {string} */ line) => console.log(line) : undefined
    const result = await simulate({ ...workerData.choice, seed, ...(print === undefined ? {} : { print }) })
    if (workerData.history !== undefined) writeFileSync(workerData.history, result.history.toJsonLines())
    const { ok, failure, scenario, traceHash, virtualMs, events, faults, coverage } = result
    const operations = result.history.operations.length
    parentPort?.postMessage({ seed, ok, failure, scenario, traceHash, virtualMs, events, faults, operations, coverage })
  }
  parentPort?.on('message', (seed) => void run(seed))
}

/**
 * @param {any} result
 * @param {string} command
 */
function tell(result, command) {
  const { seed, ok, failure, scenario, traceHash, virtualMs, events, faults, operations } = result
  const seconds = (virtualMs / 1000).toFixed(1)
  console.log(`seed ${seed} ${ok ? 'passed' : 'FAILED'}: ${operations} operations, ${faults} faults, ${events} events`)
  console.log(`  in ${seconds} virtual seconds, trace ${traceHash}`)
  console.log(`  ${JSON.stringify(scenario)}`)
  if (!ok) console.log(`  ${failure}\n  replay: ${command}`)
}

/**
 * @param {any[]} results
 * @param {number} seconds
 * @param {boolean} single
 */
function summarize(results, seconds, single) {
  const failed = results.filter(({ ok }) => !ok)
  const virtual = results.reduce((sum, { virtualMs }) => sum + virtualMs / 1000, 0)
  if (!single) {
    console.log('states reached:')
    for (const state of Object.keys(results[0]?.coverage ?? {})) {
      const count = results.reduce((sum, { coverage }) => sum + coverage[state], 0)
      console.log(`  ${String(count).padStart(8)} ${state}${count === 0 ? '  <- never' : ''}`)
    }
  }
  const speed = `${virtual.toFixed(0)} virtual seconds in ${seconds.toFixed(1)} s, ${(virtual / seconds).toFixed(0)} to 1`
  console.log(`${results.length - failed.length} seeds passed, ${failed.length} failed (${speed})`)
  if (failed.length > 0) console.log(`failed: ${failed.map(({ seed }) => seed).join(' ')}`)
}

/**
 * @param {Record<string, unknown>} values
 * @param {number} seed
 */
function replay(values, seed) {
  const chosen = ['nodes', 'shards', 'clients', 'seconds', 'faults'].filter((name) => values[name] !== undefined)
  return [
    'npm run sim --',
    `--seed ${seed}`,
    ...chosen.map((name) => `--${name} ${String(values[name])}`),
    '--trace',
  ].join(' ')
}

/**
 * @param {string} name
 * @param {string | undefined} text
 */
function number(name, text) {
  if (text === undefined) return {}
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) fail(`${name} is a whole number from 1, not ${text}`)
  return { [name]: value }
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message)
  process.exit(2)
}
