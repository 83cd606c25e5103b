/** A client is a process of its own that measures one system: cells come in as messages, rows go out. */

import { built } from './built.mjs'
import { repeat } from './inbox.mjs'

/** More than it takes, although a probe comes before the compilers have seen the code. */
const ABUNDANCE = 3

const [system, connection] = process.argv.slice(2)
/** @type {import('./system.d.ts').System} */
const measured = await import(new URL(`./${system}.mjs`, import.meta.url).href)
const { measure } = await built('cli/measure')
const client = await measured.connect(JSON.parse(String(connection)))

/**
 * Says when measuring begins, what came out, and when all is cleared away.
 * @param {import('./system.d.ts').Cell} cell
 */
async function answer(cell) {
  const run = await client.begin(cell)
  try {
    const filled = await supply(run, cell)
    process.send?.('measuring')
    process.send?.(await rowOf(run.fill === undefined ? run : finite(run, filled), cell))
  } finally {
    await run.end?.()
  }
}

/**
 * @param {import('./system.d.ts').Run} run
 * @param {import('./system.d.ts').Cell} cell
 */
async function rowOf({ operation, batch = 1 }, cell) {
  const warmupSeconds = Math.min(1, cell.seconds)
  const workers = Math.ceil(cell.inflight / batch)
  const row = await measure({ system: measured.name, ...cell, warmupSeconds, inflight: workers, operation })
  return { ...row, inflight: cell.inflight, opsPerSecond: row.opsPerSecond * batch }
}

/**
 * Puts there what will be consumed, and more: how fast it goes is tried before. Resolves with how much is there.
 * @param {import('./system.d.ts').Run} run
 * @param {import('./system.d.ts').Cell} cell
 */
async function supply(run, { inflight, seconds }) {
  const probe = Math.ceil(Math.min(20_000, 200 * inflight) * Math.min(1, seconds))
  if (run.fill === undefined) return Number.POSITIVE_INFINITY
  await run.fill(probe * ABUNDANCE)
  let sequence = 0
  const consume = () => repeat(probe, () => run.operation(0, sequence++), inflight)
  // The first time is slower: nothing is compiled yet.
  await consume()
  const begin = performance.now()
  await consume()
  const perSecond = (1000 * probe) / (performance.now() - begin)
  // One second more: measuring begins with a second that is not counted.
  const more = Math.ceil(perSecond * (seconds + 1) * ABUNDANCE)
  await run.fill(more)
  return more + probe * (ABUNDANCE - 2)
}

/**
 * A run that says so when it has consumed what there was: a cell that ran dry has measured nothing.
 * @param {import('./system.d.ts').Run} run
 * @param {number} filled
 * @returns {import('./system.d.ts').Run}
 */
function finite({ operation }, filled) {
  let taken = 0
  return {
    operation: async (worker, sequence) => {
      if (++taken > filled) throw new Error(`it ran dry: ${filled} were there, as its probe had asked for`)
      await operation(worker, sequence)
    },
  }
}

process.on('message', (/** @type {import('./system.d.ts').Cell} */ cell) => {
  answer(cell).then(
    () => process.send?.('ready'),
    (error) => process.send?.({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
// A profile is written when a process ends by itself.
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
