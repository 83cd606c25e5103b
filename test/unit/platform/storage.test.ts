import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/identity.ts'
import { defineMap } from '../../../src/data/map.ts'
import { open } from '../../../src/platform/open.ts'
import { openStorage, type StorageSettings } from '../../../src/platform/storage.ts'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'troupe-storage-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const settings = (more: Partial<StorageSettings> = {}): StorageSettings => ({
  dataDir,
  durability: 'disk',
  cluster: 'shop',
  node: undefined,
  ...more,
})

describe('a data directory', () => {
  test('makes the node who it was, and counts its starts', async () => {
    const first = await openStorage(settings())
    await first.close()
    const second = await openStorage(settings())
    await second.close()
    expect(second.identity).toEqual({ ...first.identity, generation: 2 })
  })

  test('keeps its name when the node is not told who it is', async () => {
    const first = await openStorage(settings({ node: 'ann' as NodeId }))
    await first.close()
    const second = await openStorage(settings())
    await second.close()
    expect(second.identity.node).toBe('ann')
  })

  test('of another cluster or node is refused and stays as it is', async () => {
    await (await openStorage(settings({ node: 'ann' as NodeId }))).close()
    const identity = readFileSync(join(dataDir, 'identity'))
    await expect(openStorage(settings({ cluster: 'bank' }))).rejects.toMatchObject({ code: 'WRONG_CLUSTER' })
    await expect(openStorage(settings({ node: 'bob' as NodeId }))).rejects.toMatchObject({ code: 'WRONG_CLUSTER' })
    expect(readFileSync(join(dataDir, 'identity'))).toEqual(identity)
    await (await openStorage(settings())).close()
  })

  test('is held against a second node until it is closed', async () => {
    const first = await openStorage(settings())
    await expect(openStorage(settings())).rejects.toMatchObject({ code: 'DIRECTORY_IN_USE' })
    await first.close()
    await (await openStorage(settings())).close()
  })

  test.each(['identity', 'directory', 'charter'])('with a damaged file %s is refused, and named', async (file) => {
    const first = await openStorage(settings())
    await new Promise((done) => first.charter.replace(Uint8Array.of(1, 2, 3), done))
    await first.close()
    const bytes = readFileSync(join(dataDir, file))
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    writeFileSync(join(dataDir, file), bytes)
    await expect(openStorage(settings())).rejects.toMatchObject({ code: 'DATA_DAMAGED', details: { file } })
  })

  test.each(['identity', 'directory'])('that has lost its file %s is refused', async (file) => {
    await (await openStorage(settings())).close()
    rmSync(join(dataDir, file))
    await expect(openStorage(settings())).rejects.toMatchObject({ code: 'DATA_DAMAGED', details: { file } })
  })
})

describe('a charter', () => {
  test('is the last of those that were written at once, when all are confirmed', async () => {
    const storage = await openStorage(settings())
    const confirmed: number[] = []
    const writes = Array.from({ length: 20 }, (_, at) => {
      return new Promise<void>((resolve, reject) => {
        storage.charter.replace(Uint8Array.of(at), (error) => {
          confirmed.push(at)
          if (error === undefined) resolve()
          else reject(error)
        })
      })
    })
    await Promise.all(writes)
    expect(confirmed).toEqual(Array.from({ length: 20 }, (_, at) => at))
    await storage.close()
    const again = await openStorage(settings())
    expect(again.charter.read()).toEqual(Uint8Array.of(19))
    await again.close()
  })
})

describe('a node with a data directory', () => {
  const users = defineMap('users')

  test('has after a restart what was acknowledged before', async () => {
    const first = await open({ engine: 'inline', dataDir })
    for (let at = 0; at < 50; at++) await first.map(users).set(`user-${at}`, { at })
    const written = await first.map(users).get('user-49')
    await first.close()
    const second = await open({ engine: 'inline', dataDir })
    expect(await second.map(users).get('user-49')).toMatchObject({ value: { at: 49 }, revision: written?.revision })
    expect((await second.status()).members[0]).toMatchObject({ generation: 2 })
    await second.close()
  })

  test('that cannot start on it lets go of the directory', async () => {
    const first = await open({ engine: 'inline', dataDir })
    await first.map(users).set('ann', { at: 1 })
    await first.close()
    rmSync(join(dataDir, 'charter'))
    for (const engine of ['inline', 'thread'] as const) {
      await expect(open({ engine, dataDir })).rejects.toMatchObject({
        code: 'DATA_DAMAGED',
        details: { file: 'charter' },
      })
    }
    await (await openStorage(settings({ cluster: 'troupe' }))).close()
  })

  test('on a busy port leaves an empty directory empty', async () => {
    const other = await open({ engine: 'inline', listen: '127.0.0.1:0' })
    const listen = (await other.status()).members[0]?.address ?? ''
    await expect(open({ engine: 'inline', dataDir, listen })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
    expect(readdirSync(dataDir)).toEqual([])
    await other.close()
  })
})
