import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { ProcessCluster } from '../process/cluster.ts'
import { endAll, freePorts, OsProcess, until } from '../process/os-process.ts'
import { compile } from './compile.ts'

const JOBS = ['acme', 'globex', 'initech'].flatMap((tenant) => [1, 2, 3].map((job) => `job ${job} of ${tenant}`)).sort()

const directory = mkdtempSync(join(tmpdir(), 'troupe-example-'))
const example = compile('09-cluster.ts')

afterEach(endAll)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('04-leader.ts serves its route by the leader alone on three nodes, too', { timeout: 60_000 }, async () => {
  const cluster = await ProcessCluster.start()
  try {
    const three = compile('04-leader.ts', (source) => source.replace("open({ listen: '127.0.0.1:0' })", 'open()'))
    const { stdout } = await new OsProcess(process.execPath, [three], { TROUPE_CONNECT: cluster.addresses.join(',') })
      .ended
    expect(stdout).toBe('asked ann: run 1 by ann\nasked bob: run 2 by ann\nasked bob: run 3 by bob\n')
  } finally {
    await cluster.close()
  }
})

function jobsDone(processes: readonly OsProcess[]): string[] {
  const lines = processes.flatMap(({ stdout }) => stdout.trim().split('\n'))
  return lines.flatMap((line) => line.split(' did ').slice(1)).sort()
}

test('09-cluster.ts does every job by itself, and ends well', { timeout: 60_000 }, async () => {
  const alone = new OsProcess(process.execPath, [example])
  await until(() => jobsDone([alone]).length === JOBS.length)
  expect(jobsDone([alone])).toEqual(JOBS)
  await alone.says('alone is ready')
  expect(await alone.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
})

test('09-cluster.ts run three times is one cluster, which does every job once', { timeout: 60_000 }, async () => {
  const ports = await freePorts(3)
  const join3 = ports.map((port) => `127.0.0.1:${port}`).join(',')
  const nodes = ports.map((port, at) => {
    const place = { TROUPE_NODE: `n${at + 1}`, TROUPE_LISTEN: `127.0.0.1:${port}`, TROUPE_JOIN: join3 }
    return new OsProcess(process.execPath, [example], { ...place, TROUPE_DATA_DIR: join(directory, `n${at + 1}`) })
  })
  await Promise.all(nodes.map((node, at) => node.says(`n${at + 1} is ready`)))
  await until(() => jobsDone(nodes).length >= JOBS.length)
  expect(jobsDone(nodes)).toEqual(JOBS)
  for (const node of nodes) expect(await node.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
})
