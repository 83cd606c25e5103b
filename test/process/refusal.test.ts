import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defineMap, open } from '../../src/index.ts'
import { endAll, freePorts, main, OsProcess, troupe } from './os-process.ts'

let directory: string
let address: string
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-refusal-'))
  address = `127.0.0.1:${(await freePorts(1))[0]}`
})
afterEach(async () => {
  await endAll()
  rmSync(directory, { recursive: true, force: true })
})

const SECRET = 'a secret of this cluster, 32 bytes and more'
const OTHER_SECRET = 'another secret, that is of the same length'

function startNode(words: readonly string[] = [], environment: Record<string, string> = {}): Promise<OsProcess> {
  return startAt(address, 'n1', words, environment)
}

async function startAt(
  listen: string,
  name: string,
  words: readonly string[],
  environment: Record<string, string> = {},
): Promise<OsProcess> {
  const place = ['--node', name, '--listen', listen, '--data-dir', join(directory, name), ...words]
  const node = new OsProcess(process.execPath, [main, 'start', ...place], environment)
  await node.says('listens on')
  return node
}

const get = ['map', 'get', 'm', 'k', '--timeout', '5s']
const set = ['map', 'set', 'm', 'k', 'v', '--timeout', '5s']

describe('a client is refused', () => {
  test('with another secret, or none, or one where none is set; and neither side learns the other', async () => {
    const guarded = await startNode([], { TROUPE_SECRET: SECRET })
    expect(await troupe([...set, '--connect', address], { TROUPE_SECRET: SECRET })).toMatchObject({ code: 0 })
    for (const environment of [{ TROUPE_SECRET: OTHER_SECRET }, {}]) {
      const refused = await troupe([...get, '--connect', address], environment)
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain('UNAUTHENTICATED')
      expect(refused.stderr).not.toContain('secret of this cluster')
    }
    expect(guarded.stdout + guarded.stderr).not.toContain(SECRET)
    await guarded.end('SIGTERM')
    await startNode()
    expect((await troupe([...get, '--connect', address], { TROUPE_SECRET: SECRET })).stderr).toContain(
      'UNAUTHENTICATED',
    )
  })

  test('when it means another cluster', async () => {
    await startNode(['--cluster', 'ours'])
    const refused = await troupe([...get, '--connect', address], { TROUPE_CLUSTER: 'theirs' })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('WRONG_CLUSTER')
  })

  test('by one of three nodes that has met no other, and again by one that has been started without the others', async () => {
    const others = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
    const join3 = ['--join', [address, ...others].join(',')]
    const codes = async (): Promise<unknown[]> => {
      await using client = await open({ connect: [address] })
      const [map, timeout] = [client.map(defineMap('m')), 2000]
      const calls = [map.get('k', { timeout }), map.set('k', 1, { timeout })]
      return (await Promise.allSettled<unknown>(calls)).map((end) => end.status === 'rejected' && end.reason.code)
    }
    const refused = ['NO_QUORUM', 'NO_QUORUM']
    const first = await startNode(join3)
    expect(await codes()).toEqual(refused)
    const nodes = await Promise.all(others.map((other, at) => startAt(other, `n${at + 2}`, join3)))
    const formed = await troupe(['map', 'set', 'm', 'k', 'v', '--timeout', '20s', '--connect', address])
    expect(formed).toMatchObject({ code: 0 })
    await Promise.all([first, ...nodes].map((node) => node.end('SIGKILL')))
    await startNode(join3)
    expect(await codes()).toEqual(refused)
  })

  test('by nobody: no node is there', async () => {
    const lonely = await troupe([...get, '--connect', address, '--json'])
    expect(lonely.code).toBe(1)
    expect(JSON.parse(lonely.stderr)).toMatchObject({
      error: { code: 'UNREACHABLE', details: { addresses: [address] } },
    })
  })
})

describe('a node refuses to start', () => {
  const start = (words: readonly string[]): ReturnType<typeof troupe> =>
    troupe(['start', '--listen', address, ...words])

  test('where somebody listens already', async () => {
    const [host, port] = address.split(':')
    const holder = createServer().listen(Number(port), host)
    const refused = await start(['--data-dir', join(directory, 'n1')])
    holder.close()
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('ADDRESS_IN_USE')
    expect(refused.stderr).toContain(address)
  })

  test('in a directory that another process uses', async () => {
    await startNode()
    const refused = await troupe(['start', '--listen', '127.0.0.1:0', '--data-dir', join(directory, 'n1')])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('DIRECTORY_IN_USE')
  })

  test('in a directory that cannot be made', async () => {
    writeFileSync(join(directory, 'file'), '')
    const refused = await start(['--data-dir', join(directory, 'file', 'n1')])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('DIRECTORY_UNUSABLE')
    expect(refused.stderr).toContain(join(directory, 'file'))
  })

  test('with the data of another cluster', async () => {
    const node = await startNode(['--cluster', 'ours'])
    await node.end('SIGTERM')
    const refused = await start(['--cluster', 'theirs', '--data-dir', join(directory, 'n1')])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('WRONG_CLUSTER')
  })

  test('with an option it does not understand, before anything is written', async () => {
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['--listen', 'here'], 'ADDRESS_INVALID'],
      [['--listen', '0.0.0.0:7400'], 'INSECURE'],
      [['--shards', '0'], 'INVALID_ARGUMENT'],
      [['--durability', 'some'], 'INVALID_ARGUMENT'],
      [['--join', '127.0.0.1:1'], 'INVALID_ARGUMENT'],
    ]
    for (const [words, code] of wrong) {
      const refused = await start(['--data-dir', join(directory, 'never'), ...words])
      expect(refused).toMatchObject({ code: 2, stdout: '' })
      expect(refused.stderr).toContain(code)
    }
    expect((await troupe(['start'], { TROUPE_DATADIR: 'x' })).stderr).toContain("did you mean 'TROUPE_DATA_DIR'")
    expect(readdirSync(directory)).toEqual([])
  })

  test('over a damaged log, with exit code 74, naming file and offset, and changing nothing', async () => {
    const node = await startNode()
    for (let at = 0; at < 5; at++) await troupe(['map', 'set', 'm', `k${at}`, 'x'.repeat(2_000), '--connect', address])
    await node.end('SIGKILL')
    const log = largestFile(join(directory, 'n1'))
    const at = damage(log)
    const before = readFileSync(log)
    const refused = await start(['--node', 'n1', '--data-dir', join(directory, 'n1')])
    expect(refused).toMatchObject({ code: 74, stdout: '' })
    expect(refused.stderr).toContain('DATA_DAMAGED')
    expect(refused.stderr).toContain(`${basename(log)} is damaged at byte`)
    expect(at).toBeGreaterThan(0)
    expect(readFileSync(log).equals(before)).toBe(true)
  })
})

describe('hostile bytes on the port', () => {
  test('close the connection, and the node serves as before', async () => {
    const node = await startNode()
    const [host = '', port] = address.split(':')
    const attack = (bytes: Uint8Array): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(Number(port), host)
        socket.on('error', () => undefined)
        socket.on('close', () => resolve())
        socket.setTimeout(10_000, () => socket.destroy(new Error('the node keeps a hostile connection')))
        socket.end(bytes)
      })
    const huge = new Uint8Array(64)
    new DataView(huge.buffer).setUint32(0, 0xffff_ffff, true)
    const noise = Array.from({ length: 200 }, (_, at) => crypto.getRandomValues(new Uint8Array(1 + ((at * 37) % 5000))))
    const http = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await Promise.all([huge, http, new Uint8Array(100_000), ...noise].map(attack))
    expect(await troupe([...set, '--connect', address])).toMatchObject({ code: 0 })
    expect(await troupe([...get, '--connect', address])).toMatchObject({ code: 0, stdout: 'v\n' })
    expect(await node.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
  })
})

function largestFile(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const [largest = ''] = files.sort((a, b) => statSync(b).size - statSync(a).size)
  return largest
}

/** Turns a bit in the middle of the first long run of a value; returns where. */
function damage(path: string): number {
  const at = readFileSync(path).indexOf('x'.repeat(1_000)) + 500
  const file = openSync(path, 'r+')
  const byte = new Uint8Array(1)
  readSync(file, byte, 0, 1, at)
  writeSync(file, new Uint8Array([(byte[0] ?? 0) ^ 1]), 0, 1, at)
  closeSync(file)
  return at
}
