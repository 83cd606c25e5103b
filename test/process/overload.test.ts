import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { endAll, OsProcess, root, until } from './os-process.ts'

/** Within the package, so that the program finds `troupe` by its name. */
const scratch = join(root, 'temp', 'process')
let directory: string
beforeAll(() => {
  mkdirSync(scratch, { recursive: true })
  directory = mkdtempSync(join(scratch, 'overload-'))
})
afterAll(async () => {
  await endAll()
  rmSync(directory, { recursive: true, force: true })
})

/** `npm run kills -- --overload --seconds N` sets it. */
const SECONDS = Number(process.env.OVERLOAD_SECONDS ?? 20)
const PATIENCE_MS = SECONDS * 1000 + 60_000
const LIMIT = 2000
const MEGABYTE = 1_000_000
/**
 * The queue takes 2 MB, 65,536 calls under way with their promises some hundred; the rest is the log of the last
 * entries and Node itself.
 */
const CAP_MEGABYTES = 800

/**
 * Sends as fast as it can to a queue that it works off far more slowly, now and then without waiting for answers; says
 * each second how it is.
 */
const APPLICATION = `
import { defineQueue, open } from 'troupe'

const jobs = defineQueue('jobs', { single: true, limit: ${LIMIT} })
const troupe = await open({ dataDir: process.env.DIRECTORY })
const queue = troupe.queue(jobs)
const codes = {}
const count = (code) => { codes[code] = (codes[code] ?? 0) + 1 }
let isOver = false
let sent = 0
const payload = new Uint8Array(1024)

async function produce() {
  while (!isOver) await queue.send(payload).then(() => { sent++ }, (error) => count(error.code ?? String(error)))
}
// Sends until it is told that too much is under way already.
async function flood() {
  await queue.stats()
  while (!isOver) {
    let isRefused = false
    const answers = []
    while (!isRefused) {
      answers.push(queue.send(payload).then(() => { sent++ }, (error) => {
        isRefused ||= error.code === 'OVERLOADED'
        count(error.code ?? String(error))
      }))
      // Answers need a turn of the event loop to come, a refusal does not.
      if (answers.length % 1000 === 0) for (let turn = 0; turn < 10; turn++) await undefined
    }
    await Promise.all(answers)
    await new Promise((resolve) => setTimeout(resolve, 4000))
  }
}
const producers = [...Array.from({ length: 64 }, produce), flood()]
let worked = 0
let most = 0
queue.work(async () => {
  await new Promise((resolve) => setTimeout(resolve, 40))
  worked++
}, { concurrency: 8 })
const end = performance.now() + ${SECONDS * 1000}
while (performance.now() < end) {
  await new Promise((resolve) => setTimeout(resolve, 1000))
  globalThis.gc?.()
  // Whoever asks may be refused, too, or wait for the end of the flood.
  queue.stats().then(({ waiting, leased }) => { most = Math.max(most, waiting + leased) }, (error) => count(error.code))
  console.log(JSON.stringify({ rss: process.memoryUsage().rss, sent, worked, most, codes }))
}
isOver = true
await Promise.all(producers)
await troupe.close()
console.log('over')
`

interface Report {
  readonly rss: number
  readonly sent: number
  readonly worked: number
  /** Messages that were in the queue at a time. */
  readonly most: number
  readonly codes: Readonly<Record<string, number>>
}

// X-M7 asks for a minute; a third of it is long enough for the log to fill up to its limit.
test(
  `senders that are ten times faster than the workers for ${SECONDS} s are told FULL, who does not wait OVERLOADED, and the memory stays under its cap`,
  async () => {
    const file = join(directory, 'application.mjs')
    writeFileSync(file, APPLICATION)
    const application = new OsProcess(process.execPath, ['--expose-gc', file], { DIRECTORY: join(directory, 'data') })
    await until(() => application.stdout.includes('over'), PATIENCE_MS)
    const reports = application.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): Report => JSON.parse(line))
    expect(reports.length).toBeGreaterThan(2)
    const rss = reports.map((report) => report.rss / MEGABYTE)
    const last = reports.at(-1)
    expect(Object.keys(last?.codes ?? {}).sort()).toEqual(['FULL', 'OVERLOADED'])
    expect(last?.codes.FULL ?? 0).toBeGreaterThan(10 * (last?.worked ?? 0))
    expect(last?.most).toBe(LIMIT)
    expect(Math.max(...rss)).toBeLessThan(CAP_MEGABYTES)
    console.log(JSON.stringify({ rssMegabytes: rss.map(Math.round), ...last }))
    const half = Math.ceil(rss.length / 2)
    expect(Math.max(...rss.slice(half))).toBeLessThan(Math.max(...rss.slice(0, half)) + 100)
  },
  PATIENCE_MS + 10_000,
)
