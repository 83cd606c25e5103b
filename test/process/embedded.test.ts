import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { NodeId } from '../../src/base/identity.ts'
import { type ClusterStatus, defineQueue, open } from '../../src/index.ts'
import { createShardMap } from '../../src/sharding/shard-map.ts'
import { endAll, freePorts, OsProcess, root, troupe, until } from './os-process.ts'

const NODES = ['n1', 'n2', 'n3'] as NodeId[]

/** Within the package, so that the programs find `troupe` by its name. */
const scratch = join(root, 'temp', 'process')
let directory: string
beforeEach(() => {
  mkdirSync(scratch, { recursive: true })
  directory = mkdtempSync(join(scratch, 'embedded-'))
})
afterEach(async () => {
  await endAll()
  rmSync(directory, { recursive: true, force: true })
})

function program(name: string, source: string): string {
  const path = join(directory, `${name}.mjs`)
  writeFileSync(path, source)
  return path
}

/** A user's file. It writes all the time, says how long each write took, and a message makes it compute for so many milliseconds. */
const APPLICATION = `
import { setTimeout as sleep } from 'node:timers/promises'
import { defineMap, defineQueue, handleSignals, open } from 'troupe'

const name = process.env.NAME
const visits = defineMap('visits')
const troupe = await open()
handleSignals(troupe)
await troupe.map(visits).update(name, (count = 0) => count + 1)
console.log('open', name)
troupe.queue(defineQueue('computing-' + name)).work(({ value }) => {
  console.log('computes')
  const end = performance.now() + value
  while (performance.now() < end);
  console.log('has computed')
})
for (let number = 0; ; number++) {
  const began = performance.now()
  await troupe.map(visits).set(name + number, number)
  console.log('wrote in', Math.round(performance.now() - began))
  await sleep(10)
}
`

/** What an application has said of each of its writes so far. */
function writeTimes({ stdout }: OsProcess): number[] {
  return [...stdout.matchAll(/^wrote in (\d+)$/gm)].map(([, ms]) => Number(ms))
}

/** The same file, three times; only the environment says that it is a cluster. */
async function startThree(): Promise<{ readonly addresses: string[]; readonly processes: OsProcess[] }> {
  const file = program('application', APPLICATION)
  const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`)
  const processes = addresses.map((address, at) => {
    const name = `n${at + 1}`
    return new OsProcess(process.execPath, [file], {
      NAME: name,
      TROUPE_NODE: name,
      TROUPE_LISTEN: address,
      TROUPE_JOIN: addresses.join(','),
      TROUPE_DATA_DIR: join(directory, name),
    })
  })
  await Promise.all(processes.map((started, at) => started.says(`open n${at + 1}`)))
  return { addresses, processes }
}

test('one file is a node, a map and a queue with its worker, with no other process, and ends by itself', async () => {
  const file = program(
    'single',
    `import { defineMap, defineQueue, open } from 'troupe'
const troupe = await open()
const map = troupe.map(defineMap('m'))
await map.set('k', { n: 1 })
const queue = troupe.queue(defineQueue('q'))
queue.work(({ value }, context) => context.result(value + 1))
console.log(await queue.request(1))
console.log(JSON.stringify((await map.get('k')).value))
await troupe.close()`,
  )
  const began = performance.now()
  expect(await new OsProcess(process.execPath, [file]).ended).toMatchObject({
    code: 0,
    stdout: '2\n{"n":1}\n',
    stderr: '',
  })
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('the same file is a cluster of three by environment variables only, and each node sees three up', async () => {
  const { addresses } = await startThree()
  for (const address of addresses) {
    const states = async () => {
      const { code, stdout } = await troupe(['members', '--json', '--connect', address, '--timeout', '2s'])
      return code === 0 ? JSON.parse(stdout).members.map(({ state }: { state: string }) => state) : []
    }
    await expect.poll(states, { timeout: 20_000 }).toEqual(['up', 'up', 'up'])
  }
})

test('a handler that computes for five seconds costs its node no leadership, and those on other nodes go on', async () => {
  const { addresses, processes } = await startThree()
  const [busy, ...others] = processes
  await using client = await open({ connect: addresses.slice(1) })
  // Offices are with those who should have them, so that none is handed over meanwhile.
  let before = await client.status()
  await until(async () => {
    before = await client.status()
    const { groups } = createShardMap(before.groups.length - 1, NODES)
    return groups.length > 0 && groups.every(({ leader }, at) => before.groups[at + 1]?.leader === leader)
  }, 40_000)
  const terms = ({ groups }: ClusterStatus) => groups.map(({ group, leader, term }) => [group, leader, term])
  expect(before.groups.some((group) => group.leader === 'n1')).toBe(true)
  const written = others.map((other) => writeTimes(other).length)
  const writtenByBusy = writeTimes(busy as OsProcess).length
  await client.queue(defineQueue<number>('computing-n1')).send(5000)
  await busy?.says('computes')
  let looks = 0
  while (!busy?.stdout.includes('has computed')) {
    const now = await client.status()
    expect(terms(now)).toEqual(terms(before))
    expect(now.members.map(({ state }) => state)).toEqual(['up', 'up', 'up'])
    looks++
    await sleep(100)
  }
  expect(looks).toBeGreaterThan(3)
  for (const [at, other] of others.entries()) {
    // Also of the shards that the busy one leads; tests share two cores, one of which computes.
    const times = writeTimes(other).slice(written[at])
    expect(times.length).toBeGreaterThan(5)
    expect(Math.max(...times)).toBeLessThan(4000)
  }
  expect(writeTimes(busy as OsProcess).length - writtenByBusy).toBeLessThan(writeTimes(others[0] as OsProcess).length)
})
