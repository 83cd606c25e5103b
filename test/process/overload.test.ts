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

const SECONDS = 20
const LIMIT = 2000
const MEGABYTE = 1_000_000

/** Sends as fast as it can to a queue that it works off far more slowly; says each second how it is. */
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
const producers = Array.from({ length: 64 }, produce)
let worked = 0
queue.work(async () => {
  await new Promise((resolve) => setTimeout(resolve, 40))
  worked++
}, { concurrency: 8 })
for (let second = 1; second <= ${SECONDS}; second++) {
  await new Promise((resolve) => setTimeout(resolve, 1000))
  globalThis.gc?.()
  const { waiting, leased } = await queue.stats()
  console.log(JSON.stringify({ second, rss: process.memoryUsage().rss, sent, worked, waiting: waiting + leased, codes }))
}
isOver = true
await Promise.all(producers)
await troupe.close()
console.log('over')
`

interface Report {
  readonly second: number
  readonly rss: number
  readonly sent: number
  readonly worked: number
  readonly waiting: number
  readonly codes: Readonly<Record<string, number>>
}

test('senders that are ten times faster than the workers are told FULL, and the memory stays as it is', async () => {
  const file = join(directory, 'application.mjs')
  writeFileSync(file, APPLICATION)
  const application = new OsProcess(process.execPath, ['--expose-gc', file], { DIRECTORY: join(directory, 'data') })
  await until(() => application.stdout.includes('over'), (SECONDS + 30) * 1000)
  const reports = application.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line): Report => JSON.parse(line))
  expect(reports).toHaveLength(SECONDS)
  const rss = reports.map((report) => report.rss / MEGABYTE)
  const last = reports.at(-1)
  expect(Object.keys(last?.codes ?? {})).toEqual(['FULL'])
  expect(last?.codes.FULL ?? 0).toBeGreaterThan(10 * (last?.worked ?? 0))
  for (const { waiting } of reports) expect(waiting).toBeLessThanOrEqual(LIMIT)
  // What is measured includes the log of the last entries, which has a limit of its own and fills up first.
  expect(Math.max(...rss)).toBeLessThan(400)
  expect(Math.max(...rss.slice(-5)) - Math.min(...rss.slice(-5))).toBeLessThan(100)
})
