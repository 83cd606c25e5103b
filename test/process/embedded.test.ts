import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { endAll, freePorts, OsProcess, root, troupe, until } from './os-process.ts'

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

/** A user's file. With `block` on its standard input it computes for five seconds; it says what it reads. */
const APPLICATION = `
import { defineMap, handleSignals, open } from 'troupe'

const visits = defineMap('visits')
const troupe = await open()
handleSignals(troupe)
await troupe.map(visits).update(process.env.NAME, (count = 0) => count + 1)
console.log('open', process.env.NAME)
if (process.env.BLOCK) {
  const end = performance.now() + Number(process.env.BLOCK)
  while (performance.now() < end);
  console.log('unblocked')
}
`

interface Status {
  readonly members: readonly { readonly node: string; readonly state: string }[]
  readonly groups: readonly { readonly group: number; readonly term: number; readonly leader?: string }[]
}

async function status(address: string): Promise<Status | undefined> {
  const { code, stdout } = await troupe(['status', '--json', '--connect', address, '--timeout', '2s'])
  return code === 0 ? JSON.parse(stdout) : undefined
}

/** The same file, three times; only the environment says that it is a cluster. */
async function startThree(more: (name: string) => Record<string, string> = () => ({})): Promise<string[]> {
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
      ...more(name),
    })
  })
  await Promise.all(processes.map((started, at) => started.says(`open n${at + 1}`)))
  return addresses
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
  for (const address of await startThree()) {
    const states = async () => (await status(address))?.members.map((member) => member.state)
    await expect.poll(states, { timeout: 20_000 }).toEqual(['up', 'up', 'up'])
  }
})

test('an application that computes for five seconds costs its node no leadership', async () => {
  const addresses = await startThree((name) => (name === 'n1' ? { BLOCK: '5000' } : {}))
  const blockedAt = performance.now()
  let before: Status | undefined
  await until(async () => {
    before = await status(addresses[1] ?? '')
    return before?.groups.every((group) => group.leader !== undefined) === true
  })
  const terms = (found: Status | undefined) => found?.groups.map(({ group, leader, term }) => [group, leader, term])
  expect(before?.groups.some((group) => group.leader === 'n1')).toBe(true)
  while (performance.now() - blockedAt < 5_000) {
    const now = await status(addresses[1] ?? '')
    expect(terms(now)).toEqual(terms(before))
    expect(now?.members.every((member) => member.state === 'up')).toBe(true)
  }
})
