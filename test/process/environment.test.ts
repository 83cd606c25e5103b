import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { endAll, freePorts, OsProcess, root } from './os-process.ts'

/** What a user might write: nothing in it tells a lone node from a member of three or a client. */
const APPLICATION = `
import { defineMap, handleSignals, open } from 'troupe'
const troupe = await open()
handleSignals(troupe)
const starts = troupe.map(defineMap('starts'))
await starts.update('total', (total = 0) => total + 1, { timeout: 20_000 })
for await (const change of starts.watch({ from: 0n, signal: troupe.signal })) console.log('start number', change.value)
`

const directory = mkdtempSync(join(tmpdir(), 'troupe-environment-'))
const application = join(root, 'temp', 'environment', 'application.mjs')
mkdirSync(join(application, '..'), { recursive: true })
// Within the package, so that it finds `troupe` by its name.
writeFileSync(application, APPLICATION)

afterEach(endAll)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function start(environment: Readonly<Record<string, string>>): OsProcess {
  return new OsProcess(process.execPath, [application], environment)
}

test('one file is a lone node, three nodes of one cluster, or their client, by its environment alone', async () => {
  const alone = start({})
  await alone.says('start number 1')

  const ports = await freePorts(3)
  const members = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const nodes = ports.map((port) => {
    return start({
      TROUPE_LISTEN: `127.0.0.1:${port}`,
      TROUPE_JOIN: members,
      TROUPE_DATA_DIR: join(directory, `${port}`),
    })
  })
  await Promise.all(nodes.map((node) => node.says('start number 3')))

  const client = start({ TROUPE_CONNECT: members })
  await Promise.all([client, ...nodes].map((node) => node.says('start number 4')))
  expect(alone.stdout).toBe('start number 1\n')

  // Asked to end, its loop ends, too, and throws nothing.
  expect(await alone.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
})

test('a variable that nobody knows ends the start with its nearest known name', async () => {
  const { code, stderr } = await start({ TROUPE_DATADIR: directory }).ended
  expect(code).toBe(1)
  expect(stderr).toContain("did you mean 'TROUPE_DATA_DIR'?")
})
