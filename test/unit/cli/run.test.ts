import { describe, expect, test } from 'vitest'
import { COMMANDS, run } from '../../../src/cli/run.ts'
import { defineMap } from '../../../src/data/map.ts'
import { FakeTerminal } from './fake-terminal.ts'

describe('map commands', () => {
  test('what is set is read back as text, from another client', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('map set greetings hello Hi')).toBe(0)
    expect(terminal.out[0]).toMatch(/^revision \d+$/)
    expect(await terminal.run('map get greetings hello')).toBe(0)
    expect(terminal.out).toEqual(['Hi'])
    expect(terminal.closed).toBe(2)
  })

  test('--json-value stores what the JSON says, and get shows it as JSON', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set users ann {"age":7} --json-value')
    expect((await terminal.troupe.map(defineMap('users')).get('ann'))?.value).toEqual({ age: 7 })
    await terminal.run('map get users ann')
    expect(terminal.out).toEqual(['{"age":7}'])
  })

  test('a value of - is what stands on standard input', async () => {
    const terminal = new FakeTerminal()
    terminal.stdin = 'two\nlines\n'
    await terminal.run('map set notes n -')
    await terminal.run('map get notes n')
    expect(terminal.out).toEqual(['two\nlines\n'])
  })

  test('a value that begins with - comes after --', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('map set numbers n -1')).toBe(2)
    expect(terminal.errors[0]).toContain('before a value that begins with - put --')
    expect(await terminal.run('map set numbers n -- -1')).toBe(0)
    await terminal.run('map get numbers n')
    expect(terminal.out).toEqual(['-1'])
  })

  test('a key without a value ends with 1, and with --json has revision 0', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('map get users nobody')).toBe(1)
    expect(terminal.out).toEqual([])
    expect(terminal.errors[0]).toContain("'nobody' has no value in users")
    expect(await terminal.run('map get users nobody --json')).toBe(1)
    expect(JSON.parse(terminal.out[0] ?? '')).toEqual({ map: 'users', key: 'nobody', value: null, revision: '0' })
  })

  test('--if-revision that does not match ends with 1 and says CONFLICT and what to do', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set users ann 1')
    expect(await terminal.run('map set users ann 2 --if-revision 0')).toBe(1)
    expect(terminal.errors[0]).toMatch(/^troupe: CONFLICT: .*\n {2}.*Look again/)
    await terminal.run('map get users ann --json')
    const { revision } = JSON.parse(terminal.out[0] ?? '')
    expect(await terminal.run(`map set users ann 2 --if-revision ${revision}`)).toBe(0)
    expect(await terminal.run(`map delete users ann --if-revision ${revision}`)).toBe(1)
  })

  test('delete says whether there was anything', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set users ann 1')
    await terminal.run('map delete users ann --json')
    expect(JSON.parse(terminal.out[0] ?? '')).toMatchObject({ existed: true })
    expect(await terminal.run('map delete users ann')).toBe(0)
    expect(terminal.out[0]).toContain('had no value')
  })

  test('scan lists in key order, within prefix, limit and direction', async () => {
    const terminal = new FakeTerminal()
    for (const key of ['b', 'a2', 'a1', 'a3']) await terminal.run(`map set m ${key} v-${key}`)
    await terminal.run('map scan m --prefix a --limit 2')
    expect(terminal.out).toEqual(['a1\tv-a1', 'a2\tv-a2'])
    await terminal.run('map scan m --reverse --limit 1 --json')
    expect(terminal.out.map((line) => JSON.parse(line))).toMatchObject([{ key: 'b', value: 'v-b' }])
    await terminal.run('map scan m --from a2 --until b')
    expect(terminal.out).toEqual(['a2\tv-a2', 'a3\tv-a3'])
  })

  test('watch prints changes until it is interrupted, and ends with 0', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set m before 0')
    const ended = run(['map', 'watch', 'm', '--from', '0'], terminal, '')
    await expect.poll(() => terminal.out.at(-1)).toBe('set\tbefore\t0')
    await terminal.troupe.map(defineMap('m')).set('a', [1])
    await terminal.troupe.map(defineMap('m')).delete('a')
    await expect.poll(() => terminal.out.slice(-2)).toEqual(['set\ta\t[1]', 'delete\ta'])
    terminal.interrupt()
    expect(await ended).toBe(0)
  })
})

test('status says the level, and whose disk has damaged something', async () => {
  const terminal = new FakeTerminal()
  const found = { cluster: 'c', answeredBy: 'n2', level: 2, mendedPieces: 3, members: [], groups: [] }
  Object.assign(terminal.troupe, { status: async () => found })
  expect(await terminal.run('status')).toBe(0)
  expect(terminal.out.slice(0, 2)).toEqual([
    'cluster c: 0 of 0 nodes up, level 2 (says n2)',
    '3 damaged pieces of large payloads came back from other nodes: look at the disk of n2',
  ])
  await terminal.run('status --json')
  expect(JSON.parse(terminal.out.join(''))).toEqual(found)
})

describe('a cluster is found', () => {
  test('at the default ports, at TROUPE_CONNECT, or where --connect says, in rising order of importance', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('status')
    expect(terminal.connectedTo).toEqual(['127.0.0.1:7401', '127.0.0.1:7402', '127.0.0.1:7403'])
    terminal.environment.TROUPE_CONNECT = 'a:1, b:2'
    await terminal.run('status')
    expect(terminal.connectedTo).toEqual(['a:1', 'b:2'])
    await terminal.run('status --connect c:3')
    expect(terminal.connectedTo).toEqual(['c:3'])
  })
})

describe('a command line that is wrong', () => {
  test.each([
    ['stauts', "did you mean 'status'"],
    ['mpa get m k', "did you mean 'map get'"],
    ['map gte m k', "did you mean 'map get'"],
    ['map', 'needs one of: get, set, delete, scan, watch'],
    ['map get m', 'KEY is missing'],
    ['map set m k v w', "'w' is one too many"],
    ['map get m k --raed local', "did you mean 'read'"],
    ['map get m k --read sometimes', "takes 'linearizable', 'local' or the greatest age"],
    ['map get m k --timeout soon', 'takes milliseconds or a duration'],
    ['map scan m --limit -1', 'takes a whole number from 0'],
    ['map scan m --limit', '--limit needs a value'],
    ['map scan m --limit=many', 'takes a whole number'],
    ['map set m k {x --json-value', "with --json-value VALUE is JSON, and '{x' is not"],
    ['map set m k v --if-revision latest', 'takes a revision'],
    ['where k', 'needs --map MAP'],
    ['status --json=yes', 'takes no value'],
    ['--json status', 'the command comes first'],
    ['bench --workload map.sett', 'takes any of map.set'],
    ['start --data-dri x', "did you mean 'data-dir'"],
  ])('%s: ends with 2 and says: %s', async (line, says) => {
    const terminal = new FakeTerminal()
    expect(await terminal.run(line)).toBe(2)
    expect(terminal.errors.join('\n')).toContain(says)
    expect(terminal.errors.join('\n')).toContain('--help')
    expect(terminal.out).toEqual([])
  })

  test('with --json the error is a JSON document on standard error', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('map get m --json')).toBe(2)
    expect(JSON.parse(terminal.errors[0] ?? '')).toMatchObject({ error: { code: 'USAGE' } })
  })

  test('what the map refuses names the code: a name that no map can have', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('map get m* k')).toBe(2)
    expect(terminal.errors[0]).toContain('INVALID_ARGUMENT')
  })
})

describe('help', () => {
  test('names every command, and each has a page with examples that can be parsed', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('--help')).toBe(0)
    const overview = terminal.out.join('\n')
    for (const { name, examples } of COMMANDS) {
      expect(overview).toContain(name)
      expect(await terminal.run(`${name} --help`)).toBe(0)
      const page = terminal.out.join('\n')
      expect(examples.length).toBeGreaterThan(0)
      for (const [line] of examples) expect(page).toContain(line)
    }
  })

  test('is found by help COMMAND, by -h, and for a group', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set -h')
    const page = [...terminal.out]
    await terminal.run('help map set')
    expect(terminal.out).toEqual(page)
    await terminal.run('map --help')
    expect(terminal.out.join('\n')).toContain('map watch MAP')
  })

  test('--version says the version', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('--version')
    expect(terminal.out).toEqual(['1.2.3'])
  })

  test('a value of --help after -- is a value', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('map set m k -- --help')
    await terminal.run('map get m k')
    expect(terminal.out).toEqual(['--help'])
  })
})

test('bench prints a row for each cell', async () => {
  const terminal = new FakeTerminal()
  expect(await terminal.run('bench --workload map.set --inflight 1,2 --seconds 1 --json')).toBe(0)
  const rows = terminal.out.map((line) => JSON.parse(line))
  expect(rows.map((row) => [row.system, row.workload, row.inflight])).toEqual([
    ['troupe', 'map.set', 1],
    ['troupe', 'map.set', 2],
  ])
  expect(rows[0].opsPerSecond).toBeGreaterThan(0)
})
