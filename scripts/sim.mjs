/**
 * Simulates seeds, and prints for each that fails the one command that replays it.
 *
 *   npm run sim -- --seeds 500                           seeds 1 to 500, on all cores
 *   npm run sim -- --workload queue --seed 7 --trace     one seed, with a line for each thing that happens
 *
 * The workloads are map, queue, lifetime, topic, lock, share, schedule, transaction, deletion, watch and drain; without
 * --workload the seeds take them in turn. Besides: --from N
 * (first seed), --nodes N, --shards N, --clients N, --seconds N, --faults a,b, --history FILE,
 * --first-failure (stop at it), --dist FOLDER (what to run instead of dist). Exit code 1 when a seed failed.
 */

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { readOptions } from './usage.mjs'

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
  workload: { type: 'string' },
  history: { type: 'string' },
  jobs: { type: 'string', default: String(availableParallelism()) },
  'first-failure': { type: 'boolean', default: false },
  dist: { type: 'string', default: join(root, 'dist') },
})

if (isMainThread) await main()
else work()

/** @typedef {{ dist: string, choice: object, trace: boolean, history: string | undefined }} WorkData */

async function main() {
  const values = readOptions(import.meta.url, OPTIONS)
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
  const { WORKLOADS } = await simulation(values.dist)
  const workloads = ['map', ...WORKLOADS]
  if (values.workload !== undefined && !workloads.includes(values.workload)) {
    fail(`a workload is one of ${workloads.join(', ')}`)
  }
  /** @param {number} seed */
  const workloadOf = (seed) => values.workload ?? workloads[seed % workloads.length]
  const data = { dist: values.dist, choice, trace: values.trace, history: values.history }
  const options = { jobs: single ? 1 : Number(values.jobs), stop: values['first-failure'] }
  const tasks = seeds.map((seed) => ({ seed, workload: workloadOf(seed) }))
  const results = await runAll(tasks, data, options, (result) => {
    if (!result.ok || single) tell(result, replay(values, result))
  })
  summarize(results, (performance.now() - started) / 1000, single)
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
}

/** @param {string} dist */
function simulation(dist) {
  return import(pathToFileURL(join(resolve(dist), 'simulation.js')).href)
}

/**
 * @param {{ seed: number, workload: string }[]} tasks
 * @param {WorkData} data
 * @param {{ jobs: number, stop: boolean }} options
 * @param {(result: any) => void} done
 * @returns {Promise<any[]>}
 */
async function runAll(tasks, data, options, done) {
  /** @type {any[]} */
  const results = []
  const waiting = [...tasks]
  if (data.trace) {
    // Here, because the output of a thread that ends is cut off.
    for (const task of tasks) results.push(await runOne(task, data))
    for (const result of results) done(result)
    return results
  }
  const jobs = Array.from({ length: Math.min(options.jobs, tasks.length) }, async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: data })
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      const result = await ask(worker, task)
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
 * @param {{ seed: number, workload: string }} task
 */
function ask(worker, task) {
  return new Promise((answer, reject) => {
    worker.removeAllListeners()
    worker.once('message', answer)
    worker.once('error', reject)
    worker.postMessage(task)
  })
}

function work() {
  parentPort?.on('message', (task) => void runOne(task, workerData).then((result) => parentPort?.postMessage(result)))
}

/**
 * @param {{ seed: number, workload: string }} task
 * @param {WorkData} data
 */
async function runOne({ seed, workload }, data) {
  const { simulate, simulateWorkload } = await simulation(data.dist)
  const print = data.trace ? (/** @type {string} */ line) => console.log(line) : undefined
  const options = { ...data.choice, seed, ...(print === undefined ? {} : { print }) }
  const result = await (workload === 'map' ? simulate(options) : simulateWorkload({ ...options, workload }))
  const lines = workload === 'map' ? result.history.operations : result.history
  if (data.history !== undefined) writeFileSync(data.history, text(workload, result.history))
  const { ok, failure, scenario, traceHash, virtualMs, events, faults, coverage } = result
  const told = { ok, failure, scenario, traceHash, virtualMs, events, faults, coverage }
  return { seed, workload, operations: lines.length, ...told }
}

/**
 * @param {string} workload
 * @param {any} history
 */
function text(workload, history) {
  if (workload === 'map') return history.toJsonLines()
  /** @type {(_: string, value: unknown) => unknown} */
  const plain = (_, value) => (typeof value === 'bigint' ? String(value) : value)
  return history.map((/** @type {object} */ event) => `${JSON.stringify(event, plain)}\n`).join('')
}

/**
 * @param {any} result
 * @param {string} command
 */
function tell(result, command) {
  const { seed, workload, ok, failure, scenario, traceHash, virtualMs, events, faults, operations } = result
  const seconds = (virtualMs / 1000).toFixed(1)
  const counts = `${operations} operations, ${faults} faults, ${events} events`
  console.log(`seed ${seed} ${ok ? 'passed' : 'FAILED'}: ${workload}, ${counts}`)
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
  if (failed.length > 0) console.log(`failed: ${failed.map(({ seed, workload }) => `${workload} ${seed}`).join(', ')}`)
}

/**
 * @param {Record<string, unknown>} values
 * @param {{ seed: number, workload: string }} task
 */
function replay(values, { seed, workload }) {
  const chosen = ['nodes', 'shards', 'clients', 'seconds', 'faults'].filter((name) => values[name] !== undefined)
  return [
    'npm run sim --',
    `--workload ${workload} --seed ${seed}`,
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
