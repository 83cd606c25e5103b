import { describe, expect, test } from 'vitest'
import { memoryDriver } from '../../../src/driver/memory/memory.ts'
import { OPTIONS } from '../../../src/runtime/option-table.ts'
import type { Environment, OpenOptions } from '../../../src/runtime/options.ts'
import { parseOptions } from '../../../src/runtime/options.ts'

const SECRET = 's'.repeat(32)

function refusal(options: object, environment: Environment = {}): { code: string; message: string } {
  try {
    parseOptions(options as OpenOptions, environment)
  } catch (error) {
    return error as { code: string; message: string }
  }
  return expect.unreachable(`${JSON.stringify(options)} was accepted`)
}

describe('parseOptions', () => {
  test('of nothing is one node in memory that opens no port', () => {
    expect(parseOptions()).toMatchObject({
      dataDir: undefined,
      listen: undefined,
      join: [],
      connect: [],
      durability: 'memory',
      shards: 16,
      engine: 'thread',
    })
  })

  test('with a data directory is durable', () => {
    expect(parseOptions({ dataDir: './data' }).durability).toBe('disk')
    expect(parseOptions({ dataDir: './data', durability: 'os' }).durability).toBe('os')
  })

  test('makes three members of one file by the environment alone', () => {
    const join = 'TROUPE_JOIN'
    const members = '127.0.0.1:7401, 127.0.0.1:7402,127.0.0.1:7403'
    const settings = [7401, 7402, 7403].map((port) =>
      parseOptions({}, { [join]: members, TROUPE_LISTEN: `127.0.0.1:${port}`, TROUPE_DATA_DIR: `/data/${port}` }),
    )
    expect(settings.map(({ listen }) => listen?.port)).toEqual([7401, 7402, 7403])
    expect(settings.map(({ durability }) => durability)).toEqual(['disk', 'disk', 'disk'])
    for (const { join: addresses } of settings) expect(addresses.map(({ port }) => port)).toEqual([7401, 7402, 7403])
  })

  test('lets what the code says win over the environment', () => {
    const environment = { TROUPE_SHARDS: '4', TROUPE_DATA_DIR: '/data' }
    expect(parseOptions({ shards: 8 }, environment)).toMatchObject({ shards: 8, dataDir: '/data' })
  })

  test('reads every variable of the table, and ignores empty ones and those of others', () => {
    const environment = {
      TROUPE_DATA_DIR: '/data',
      TROUPE_LISTEN: '0.0.0.0:7400',
      TROUPE_ADVERTISE: '10.0.0.1:7400',
      TROUPE_JOIN: '10.0.0.1:7400,10.0.0.2:7400,10.0.0.3:7400',
      TROUPE_CONNECT: '',
      TROUPE_NODE: 'n1',
      TROUPE_CLUSTER: 'east',
      TROUPE_SECRET: SECRET,
      TROUPE_DURABILITY: 'os',
      TROUPE_SHARDS: '4',
      TROUPE_ENGINE: 'inline',
      TROUPE_ELECTION_TIMEOUT_MS: '600',
      TROUPE_HEARTBEAT_MS: '25.5',
      TROUPES: 'of others',
      PATH: '/bin',
    }
    const variables = Object.values(OPTIONS).flatMap(({ variable }) => variable ?? [])
    expect(Object.keys(environment)).toEqual(expect.arrayContaining(variables))
    expect(parseOptions({}, environment)).toEqual({
      dataDir: '/data',
      listen: { host: '0.0.0.0', port: 7400 },
      advertise: { host: '10.0.0.1', port: 7400 },
      join: [
        { host: '10.0.0.1', port: 7400 },
        { host: '10.0.0.2', port: 7400 },
        { host: '10.0.0.3', port: 7400 },
      ],
      connect: [],
      node: 'n1',
      cluster: 'east',
      secret: SECRET,
      durability: 'os',
      shards: 4,
      engine: 'inline',
      electionTimeoutMs: 600,
      heartbeatMs: 25.5,
      driver: undefined,
    })
  })

  test('of a driver reads no environment and takes nothing beside it', () => {
    const driver = memoryDriver()
    expect(parseOptions({ driver }, { TROUPE_JOIN: 'nonsense' }).driver).toBe(driver)
    expect(refusal({ driver, dataDir: './data' })).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(refusal({ driver: {} }).message).toContain('driver is a Driver')
  })

  test('of a client takes only what a client can use, from wherever it comes', () => {
    const client = { connect: ['10.0.0.1:7400'], secret: SECRET, cluster: 'east' }
    expect(parseOptions(client).connect).toEqual([{ host: '10.0.0.1', port: 7400 }])
    expect(refusal({ ...client, dataDir: './data' }).message).toContain("'dataDir' (or TROUPE_DATA_DIR)")
    expect(refusal(client, { TROUPE_JOIN: '10.0.0.1:7400' }).message).toContain("'join' (or TROUPE_JOIN)")
  })
})

describe('a refusal names the option or the variable, and the remedy', () => {
  test.each<[object, Environment, string, string]>([
    [{ dataDri: './data' }, {}, 'INVALID_ARGUMENT', "did you mean 'dataDir'?"],
    [{}, { TROUPE_DATADIR: './data' }, 'INVALID_ARGUMENT', "did you mean 'TROUPE_DATA_DIR'?"],
    [{}, { TROUPE_SHARDS: 'many' }, 'INVALID_ARGUMENT', 'TROUPE_SHARDS is a number from 1 to 1024'],
    [{}, { TROUPE_SHARDS: '0x10' }, 'INVALID_ARGUMENT', 'TROUPE_SHARDS'],
    [{ shards: '16' }, {}, 'INVALID_ARGUMENT', 'shards is a number'],
    [{ shards: 1.5 }, {}, 'INVALID_ARGUMENT', 'shards is a whole number'],
    [{ shards: 0 }, {}, 'INVALID_ARGUMENT', 'shards is a number from 1'],
    [{ dataDir: '' }, {}, 'INVALID_ARGUMENT', 'dataDir is a text'],
    [{ dataDir: 7 }, {}, 'INVALID_ARGUMENT', 'dataDir is a text'],
    [{ join: '10.0.0.1:7400' }, {}, 'INVALID_ARGUMENT', 'join is a list'],
    [{ join: [] }, {}, 'INVALID_ARGUMENT', 'join is a list'],
    [{ join: ['10.0.0.1'] }, {}, 'ADDRESS_INVALID', "'10.0.0.1' is no address"],
    [{ join: ['127.0.0.1:0'] }, {}, 'ADDRESS_INVALID', 'a port from 1 to 65535'],
    [{ join: ['127.0.0.1:7400', '127.0.0.1:7400'] }, {}, 'INVALID_ARGUMENT', 'twice'],
    [{ join: ['127.0.0.1:7400', '127.0.0.1:7401'] }, {}, 'INVALID_ARGUMENT', 'name one, or three'],
    [{ join: ['127.0.0.1:7401'] }, {}, 'INVALID_ARGUMENT', "lacks this node's own address 127.0.0.1:7400"],
    [{ listen: '0.0.0.0:7400' }, {}, 'INSECURE', 'other machines reach 0.0.0.0:7400: set a secret'],
    [{ listen: '127.0.0.1:7400', advertise: 'host:7400' }, {}, 'INSECURE', 'host:7400'],
    [{ advertise: '127.0.0.1:7400' }, {}, 'INVALID_ARGUMENT', 'give listen, too'],
    [{ durability: 'disk' }, {}, 'INVALID_ARGUMENT', 'needs a dataDir'],
    [{ durability: 'tape' }, {}, 'INVALID_ARGUMENT', "'disk', 'os', 'memory'"],
    [{ node: 'a b' }, {}, 'INVALID_ARGUMENT', 'node has 1 to 64'],
    [{ heartbeatMs: 500 }, {}, 'INVALID_ARGUMENT', 'at most a third of electionTimeoutMs'],
    [{ electionTimeoutMs: Number.NaN }, {}, 'INVALID_ARGUMENT', 'electionTimeoutMs is a number'],
  ])('%j %j: %s', (options, environment, code, part) => {
    expect(refusal(options, environment)).toMatchObject({ code, message: expect.stringContaining(part) })
  })

  test('and never shows the secret', () => {
    const { message } = refusal({}, { TROUPE_SECRET: 'hunter2' })
    expect(message).toBe('TROUPE_SECRET has 7 bytes, and 32 are the least')
  })
})
