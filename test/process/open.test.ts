import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { defineMap } from '../../src/data/map.ts'
import { open } from '../../src/platform/open.ts'
import { startThreadedEngine } from '../../src/platform/threaded-engine.ts'
import { parseOptions } from '../../src/runtime/options.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const entry = new URL('../../dist/index.js', import.meta.url).href

interface Run {
  readonly process: ChildProcess
  /** The next line that the program prints. */
  readonly line: () => Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>
}

/** Runs a program that has the whole package in scope. */
function run(program: string, env: NodeJS.ProcessEnv = {}): Run {
  const source = `import * as troupe from '${entry}'; const { open, defineMap, handleSignals } = troupe; ${program}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  cleanups.push(() => child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, errors }))
  const line = async (): Promise<string> => {
    while (!output.includes('\n')) {
      await Promise.race([
        once(child.stdout ?? child, 'data'),
        ended.then((end) => Promise.reject(new Error(end.errors))),
      ])
    }
    const at = output.indexOf('\n')
    const next = output.slice(0, at)
    output = output.slice(at + 1)
    return next
  }
  return { process: child, line, ended }
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-open-'))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

describe('a process', () => {
  test.each(['thread', 'inline'])('ends by itself after close (engine: %s)', async (engine) => {
    const program = `
      const node = await open({ engine: '${engine}', listen: '127.0.0.1:0' })
      const { members } = await node.status()
      const client = await open({ connect: [members[0].address] })
      await client.map(defineMap('m')).set('k', 1)
      await client.close()
      await node.close()
      console.log('closed')`
    const { line, ended } = run(program)
    expect(await line()).toBe('closed')
    expect(await ended).toEqual({ code: 0, errors: '' })
  })

  test('that ends many things by one signal is not warned of a leak', async () => {
    const program = `
      const node = await open()
      const end = new AbortController()
      const { signal } = end
      const jobs = node.queue(troupe.defineQueue('jobs'))
      const follow = async (items) => { for await (const item of items); }
      const waits = Array.from({ length: 20 }, (_, at) => [
        jobs.send(at, { signal }),
        jobs.work(() => undefined, { signal }).ended,
        node.queue(troupe.defineQueue('idle')).request(1, { signal }),
        follow(jobs.receive({ signal })),
        follow(node.map(defineMap('m')).watch({ signal })),
        follow(node.topic(troupe.defineTopic('t')).subscribe({ signal })),
        follow(node.observe('l', { signal })),
        node.lock('l', { signal }),
      ]).flat()
      setTimeout(() => end.abort(), 500)
      await Promise.allSettled(waits)
      await node.close()
      console.log('closed')`
    const { line, ended } = run(program)
    expect(await line()).toBe('closed')
    expect(await ended).toEqual({ code: 0, errors: '' })
  })

  test('that computes for seconds does not stop its engine', async () => {
    const program = `
      const node = await open({ listen: '127.0.0.1:0' })
      const { members } = await node.status()
      console.log(members[0].address)
      await new Promise((resolve) => setTimeout(resolve, 200))
      console.log('busy')
      for (const until = Date.now() + 3000; Date.now() < until; );
      console.log('idle')
      await node.close()`
    const { line } = run(program)
    const client = await open({ connect: [await line()] })
    expect(await line()).toBe('busy')
    const began = performance.now()
    for (let at = 0; at < 50; at++) await client.map(defineMap('m')).set('k', at)
    expect(performance.now() - began).toBeLessThan(1_500)
    expect(await line()).toBe('idle')
    await client.close()
  })

  test('that is asked to end drains, closes, and exits with 0', async () => {
    const program = `
      const node = await open()
      handleSignals(node)
      node.signal.addEventListener('abort', () => console.log('draining'))
      await node.map(defineMap('m')).set('k', 1)
      console.log('ready')`
    const { process: child, line, ended } = run(program)
    expect(await line()).toBe('ready')
    child.kill('SIGTERM')
    expect(await line()).toBe('draining')
    expect(await ended).toEqual({ code: 0, errors: '' })
  })

  test('that is asked to end lets handlers finish and writes be answered', async () => {
    const program = `
      const node = await open()
      handleSignals(node)
      const jobs = node.queue(troupe.defineQueue('jobs'))
      jobs.work(async ({ value }, { signal }) => {
        console.log('begun')
        await new Promise((resolve) => node.signal.addEventListener('abort', resolve))
        await node.map(defineMap('m')).set('late', value)
        console.log(signal.aborted ? 'aborted' : 'finished')
      })
      await jobs.send('a')
      node.signal.addEventListener('abort', async () => {
        const writes = Array.from({ length: 100 }, (_, at) => node.map(defineMap('m')).set(String(at), at))
        const ends = await Promise.allSettled(writes)
        console.log(ends.filter(({ status }) => status === 'fulfilled').length)
      })`
    const { process: child, line, ended } = run(program)
    expect(await line()).toBe('begun')
    child.kill('SIGTERM')
    expect([await line(), await line()].sort()).toEqual(['100', 'finished'])
    expect(await ended).toEqual({ code: 0, errors: '' })
  })

  test('that is asked twice exits at once', async () => {
    const program = `
      const stuck = { ...troupe.memoryDriver(), close: () => new Promise(() => {}) }
      const node = await open({ driver: stuck })
      handleSignals(node)
      node.signal.addEventListener('abort', () => console.log('draining'))
      setInterval(() => {}, 1000)
      console.log('ready')`
    const { process: child, line, ended } = run(program)
    expect(await line()).toBe('ready')
    child.kill('SIGINT')
    expect(await line()).toBe('draining')
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 143, errors: '' })
  })
})

/** The log's files turn into one that refuses every write, by default as a broken disk would. */
const breakLog = (into = 'process.execPath', flags = 'r'): string => `
  const { closeSync, fstatSync, openSync, readdirSync, statSync } = await import('node:fs')
  const directory = process.env.DIRECTORY
  const logs = readdirSync(directory).filter((name) => name.startsWith('log-'))
  const nodes = new Set(logs.map((name) => statSync(directory + '/' + name).ino))
  for (let descriptor = 3; descriptor < 500; descriptor++) {
    try {
      if (!nodes.has(fstatSync(descriptor).ino)) continue
    } catch {
      continue
    }
    closeSync(descriptor)
    openSync(${into}, '${flags}')
  }`

describe('a failed disk', () => {
  const start = (engine: string, hooks: string): Run =>
    run(
      `const node = await open({ engine: '${engine}', dataDir: process.env.DIRECTORY }, ${hooks})
      node.signal.addEventListener('abort', () => console.log('aborted with', node.signal.reason.code))
      const map = node.map(defineMap('m'))
      await map.set('k', 1)
      ${breakLog()}
      console.log(await map.set('k', 2).then(() => 'written', (error) => error.code))
      await node.close()`,
      { DIRECTORY: temporaryDirectory() },
    )

  test.each(['thread', 'inline'])('ends the process with code 74 and says why (engine: %s)', async (engine) => {
    const { code, errors } = await start(engine, '{}').ended
    expect(code).toBe(74)
    expect(errors).toMatch(/^troupe: the node has stopped: DISK_FAILED: .*log-/)
  })

  test('with a hook leaves the process alone, and its calls fail', async () => {
    const running = start('thread', '{ onFatal: (error, code) => console.log(error.code, code) }')
    const lines = [await running.line(), await running.line(), await running.line()]
    expect(lines.toSorted()).toEqual(['DISK_FAILED 74', 'OUTCOME_UNKNOWN', 'aborted with DISK_FAILED'])
    expect(await running.ended).toEqual({ code: 0, errors: '' })
  })
})

test.each(['thread', 'inline'])(
  'a full disk ends no process: calls say what to do, and with room it opens again with all that was acknowledged (engine: %s)',
  async (engine) => {
    const running = run(
      `const options = { engine: '${engine}', dataDir: process.env.DIRECTORY }
    const node = await open(options)
    node.signal.addEventListener('abort', () => console.log('aborted with', node.signal.reason.code))
    const map = node.map(defineMap('m'))
    await map.set('k', 1)
    ${breakLog("'/dev/full'", 'w')}
    const { code, cause } = await map.set('k', 2).catch((error) => error)
    console.log(code, code === 'OUTCOME_UNKNOWN' ? cause.code : '')
    console.log((await map.get('k').catch((error) => error)).message)
    await node.close()
    const again = await open(options)
    console.log('k is', (await again.map(defineMap('m')).get('k')).value)
    await again.close()`,
      { DIRECTORY: temporaryDirectory() },
    )
    expect(await running.line()).toBe('aborted with DISK_FAILED')
    expect(await running.line()).toBe('OUTCOME_UNKNOWN DISK_FAILED')
    expect(await running.line()).toMatch(/^the disk has no room for log-.*ENOSPC.*Make room, then start the node again/)
    expect(await running.line()).toMatch(/^k is [12]$/)
    const { code, errors } = await running.ended
    expect(code).toBe(0)
    expect(errors).toMatch(/^troupe: the node has stopped: DISK_FAILED: the disk has no room/)
  },
)

describe('a threaded engine', () => {
  test('that cannot start says why, and ends its thread', async () => {
    const dataDir = temporaryDirectory()
    const settings = parseOptions({ dataDir })
    const { driver: _driver, ...cloneable } = settings
    const engine = await startThreadedEngine(cloneable)
    await expect(startThreadedEngine(cloneable)).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' })
    await engine.close()
    const again = await startThreadedEngine(cloneable)
    expect(again.node).toBe(engine.node)
    await again.close()
  })
})
