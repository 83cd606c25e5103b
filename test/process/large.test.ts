import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defineQueue, type Troupe } from '../../src/index.ts'
import { ProcessCluster } from './cluster.ts'
import { until } from './os-process.ts'

const MEBIBYTE = 1024 * 1024
const FILM_BYTES = 50_000_000
/** QUE-N5. */
const GROWTH_LIMIT_BYTES = 20 * MEBIBYTE

const films = defineQueue<Uint8Array>('films')

let cluster: ProcessCluster
let client: Troupe
beforeAll(async () => {
  cluster = await ProcessCluster.start()
  client = await cluster.client()
})
afterAll(() => cluster.close())

function sumOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What each node's process has in memory. */
function residentBytes(): number[] {
  return cluster.names.map((name) => {
    const status = readFileSync(`/proc/${cluster.process(name).pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
  })
}

/** The most that each node has grown by at any moment of a task. */
async function growthDuring(task: () => Promise<void>): Promise<number[]> {
  const before = residentBytes()
  let most = before
  const look = (): void => {
    const now = residentBytes()
    most = most.map((bytes, at) => Math.max(bytes, now[at] ?? 0))
  }
  const timer = setInterval(look, 10)
  await task().finally(() => clearInterval(timer))
  look()
  return most.map((bytes, at) => bytes - (before[at] ?? 0))
}

async function received(queue: typeof films, count: number): Promise<string[]> {
  const sums: string[] = []
  const worker = client.queue(queue).work(({ value }) => void sums.push(sumOf(value)), { concurrency: 4 })
  await until(() => sums.length >= count, 60_000)
  await until(async () => {
    const { waiting, leased } = await client.queue(queue).stats()
    return waiting + leased === 0
  })
  await worker.drain()
  return sums
}

function pieceFiles(): string[] {
  return cluster.names.flatMap((name) =>
    readdirSync(cluster.directoryOf(name)).filter((file) => file.startsWith('pieces-')),
  )
}

// A node that is held up while others go on (a machine at work, a slow disk) takes what it missed at once, and more memory for it.
test('the first fifty megabytes come as they were sent, through nodes that have just started and grow by less than twenty', {
  timeout: 240_000,
  retry: 2,
}, async () => {
  await cluster.close()
  cluster = await ProcessCluster.start()
  client = await cluster.client()
  const film = randomBytes(FILM_BYTES)
  const growth = await growthDuring(async () => {
    await client.queue(films).send(film, { timeout: 120_000 })
    expect(await received(films, 1)).toEqual([sumOf(film)])
  })
  expect(growth.filter((bytes) => bytes >= GROWTH_LIMIT_BYTES)).toEqual([])
  await until(() => pieceFiles().length === 0)
})

test('a node that is killed in the middle loses nothing of it, and is given what it missed', async () => {
  const film = randomBytes(FILM_BYTES / 2)
  const victim = cluster.process('n2')
  const sent = client.queue(films).send(film, { timeout: 120_000 })
  await until(() => pieceFiles().length > 0)
  await victim.end('SIGKILL')
  await sent
  await cluster.startNode('n2')
  expect(await received(films, 1)).toEqual([sumOf(film)])
  await until(() => pieceFiles().length === 0)
}, 240_000)

test('what waits is there when all nodes have been killed and started again', async () => {
  const film = randomBytes(FILM_BYTES / 5)
  await client.queue(films).send(film, { timeout: 120_000 })
  await Promise.all(cluster.names.map((name) => cluster.process(name).end('SIGKILL')))
  await Promise.all(cluster.names.map((name) => cluster.startNode(name)))
  expect(await received(films, 1)).toEqual([sumOf(film)])
}, 240_000)
