import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { endAll, main, OsProcess, root, troupe, until } from './os-process.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-dev-'))
})
afterEach(async () => {
  await endAll()
  // A node that ends may still put a file there.
  rmSync(directory, { recursive: true, force: true, maxRetries: 20 })
})

interface DevNode {
  readonly node: string
  readonly address: string
  readonly pid: number
}

/** Starts `troupe dev` and waits until it is ready. */
async function startDev(): Promise<{ readonly dev: OsProcess; readonly nodes: readonly DevNode[] }> {
  const dev = new OsProcess(process.execPath, [main, 'dev', '--json', '--data-dir', join(directory, 'data')])
  await dev.says('"event":"ready"', 30_000)
  return { dev, nodes: events(dev, 'ready')[0]?.nodes ?? [] }
}

interface DevEvent {
  readonly event: string
  readonly node: string
  readonly pid: number
  readonly nodes: readonly DevNode[]
}

function events(dev: OsProcess, name: string): readonly DevEvent[] {
  const all = dev.stdout.split('\n').filter((line) => line.startsWith('{'))
  return all.map((line): DevEvent => JSON.parse(line)).filter(({ event }) => event === name)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('a write from a second terminal is read back after kill -9 of its leader, and the leader comes back', async () => {
  const { dev, nodes } = await startDev()
  const connect = ['--connect', nodes.map((node) => node.address).join(',')]
  expect(await troupe(['map', 'set', 'greetings', 'hello', 'Hi', ...connect])).toMatchObject({ code: 0 })

  const { leader } = JSON.parse((await troupe(['where', 'hello', '--map', 'greetings', '--json', ...connect])).stdout)
  const victim = nodes.find(({ node }) => node === leader)
  process.kill(victim?.pid ?? 0, 'SIGKILL')
  const began = performance.now()
  expect(await troupe(['map', 'get', 'greetings', 'hello', ...connect])).toMatchObject({ code: 0, stdout: 'Hi\n' })
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(await troupe(['map', 'set', 'greetings', 'hello', 'again', ...connect])).toMatchObject({ code: 0 })

  await until(() => events(dev, 'restarted').length === 1)
  expect(events(dev, 'ended')[0]).toMatchObject({ node: leader, pid: victim?.pid })
  expect(events(dev, 'restarted')[0]?.node).toBe(leader)
  await until(async () => {
    const { members } = JSON.parse((await troupe(['members', '--json', ...connect])).stdout)
    return members.every((member: { readonly state: string }) => member.state === 'up')
  })
})

test('Ctrl-C ends every node, and the data is there the next time', async () => {
  const first = await startDev()
  const connect = ['--connect', first.nodes.map((node) => node.address).join(',')]
  await troupe(['map', 'set', 'm', 'k', 'kept', ...connect])
  expect(await first.dev.end('SIGINT')).toMatchObject({ code: 0, stderr: '' })
  expect(first.nodes.filter(({ pid }) => isAlive(pid))).toEqual([])

  const second = await startDev()
  expect(second.nodes.map((node) => node.address)).toEqual(first.nodes.map((node) => node.address))
  expect(await troupe(['map', 'get', 'm', 'k', ...connect])).toMatchObject({ code: 0, stdout: 'kept\n' })
  await second.dev.end('SIGTERM')
})

/** Files that a running node has, and none that has ended well. */
function locks(): string[] {
  const files = readdirSync(join(directory, 'data'), { recursive: true, encoding: 'utf8' })
  return files.filter((file) => basename(file).startsWith('lock'))
}

test.each(['SIGKILL', 'SIGHUP'] as const)('nodes whose dev is ended by %s end, and leave no lock', async (signal) => {
  const { dev, nodes } = await startDev()
  expect(locks()).toHaveLength(3)
  await dev.end(signal)
  await expect.poll(() => nodes.filter(({ pid }) => isAlive(pid)), { timeout: 30_000 }).toEqual([])
  expect(locks()).toEqual([])
})

test.each(['SIGTERM', 'SIGKILL', 'SIGHUP'] as const)(
  'an npm start whose npm alone is ended by %s ends, and leaves no lock',
  async (signal) => {
    const npm = new OsProcess('npm', ['start', '--', '--data-dir', join(directory, 'data')], {}, { terminal: true })
    await npm.says('Try in a second terminal', 60_000)
    const pids = [...npm.stdout.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid))
    expect(pids.length).toBe(3)
    process.kill(npm.pid, signal)
    await expect.poll(() => pids.filter(isAlive), { timeout: 30_000 }).toEqual([])
    // What holds npm's output has ended, too.
    await npm.ended
    expect(locks()).toEqual([])
  },
  100_000,
)

test('a node that loses its terminal drains, and leaves no lock', async () => {
  const words = ['start', '--listen', '127.0.0.1:0', '--data-dir', join(directory, 'data')]
  const node = new OsProcess(process.execPath, [main, ...words])
  await node.says('listens on')
  expect(locks()).toHaveLength(1)
  expect(await node.end('SIGHUP')).toMatchObject({ code: 0 })
  expect(locks()).toEqual([])
})

test('a second dev in the same directory says that one is running', async () => {
  await startDev()
  const second = await troupe(['dev', '--data-dir', join(directory, 'data')])
  expect(second.code).toBe(1)
  expect(second.stderr).toContain('ADDRESS_IN_USE')
  expect(second.stderr).toContain('already running')
})

test('npm start is troupe dev, and says what to try, in words that work', { timeout: 90_000 }, async () => {
  // A copy, so that the data of a developer's own cluster is left alone.
  const copy = join(directory, 'checkout')
  for (const part of ['dist', 'src', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json']) {
    cpSync(join(root, part), join(copy, part), { recursive: true, preserveTimestamps: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const npm = new OsProcess('npm', ['start', '--prefix', copy], {}, { terminal: true })
  await npm.says('Try in a second terminal', 60_000)
  const line = (word: string): string[] => {
    const found = npm.stdout.split('\n').find((text) => text.includes(word)) ?? ''
    return found.trim().split(/ {2,}/)[0]?.split(' ') ?? []
  }
  for (const [word, output] of [
    ['map set', /^revision \d+\n$/],
    ['map get', /^Hi\n$/],
    ['where', /leader +n\d at 127/],
    ['status', /3 of 3 nodes up/],
  ] as const) {
    const [command = '', ...words] = line(word)
    expect(command).toBe('node')
    const tried = await new OsProcess(
      process.execPath,
      words.map((text) => text.replace(/^dist/, join(copy, 'dist'))),
    ).ended
    expect(tried.stdout).toMatch(output)
  }
  expect(readFileSync(join(copy, '.troupe/ports.json'), 'utf8')).toContain('[')
  const pids = [...npm.stdout.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid))
  expect(pids.length).toBe(3)
  await npm.end('SIGINT')
  expect(pids.filter(isAlive)).toEqual([])
})
