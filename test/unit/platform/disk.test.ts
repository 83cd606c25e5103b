import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  fdatasync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { crc32 } from '../../../src/base/crc.ts'
import { isTroupeError } from '../../../src/base/error.ts'
import type { DiskFile } from '../../../src/host/port.ts'
import { type DirectoryDisk, openDirectory } from '../../../src/platform/disk.ts'
import { DiskPool } from '../../../src/platform/disk-pool.ts'
import type { SyncPlace } from '../../../src/platform/syncs.ts'

let directory: string
let disk: DirectoryDisk | undefined

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'troupe-disk-')), 'data')
})

afterEach(() => {
  disk?.close()
  disk = undefined
  rmSync(directory, { recursive: true, force: true })
})

type Place = SyncPlace | 'pool'

function opened(place: Place = 'engine'): DirectoryDisk {
  disk = openDirectory(directory, place === 'pool' ? { sync: 'thread', ownsProcess: true } : { sync: place })
  return disk
}

function synced(file: DiskFile): Promise<Error | undefined> {
  return new Promise((resolve) => file.sync(resolve))
}

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return
}

describe.each(['engine', 'thread', 'pool', 'adaptive'] as const)(
  'a directory whose files are synced by the %s',
  (sync) => {
    test('gives back what was written, also to the next process', async () => {
      const file = opened(sync).open('a', 4096)
      file.write(100, new Uint8Array([1, 2, 3]))
      expect(await synced(file)).toBeUndefined()
      expect(file.read(99, 5)).toEqual(new Uint8Array([0, 1, 2, 3, 0]))
      expect(file.read(4095, 10)).toHaveLength(1)
      file.close()
      disk?.close()
      expect(opened(sync).open('a').read(100, 3)).toEqual(new Uint8Array([1, 2, 3]))
    })

    test('syncs several files at the same time', async () => {
      const files = Array.from({ length: 9 }, (_, at) => current(sync).open(`f${at}`, 512))
      for (const file of files) file.write(0, new Uint8Array(512).fill(1))
      expect(await Promise.all(files.map(synced))).toEqual(files.map(() => undefined))
      for (const file of files) file.close()
    })

    test('calls back with DISK_FAILED when the sync fails', async () => {
      opened(sync)
      symlinkSync('/dev/null', join(directory, 'a'))
      const file = current(sync).open('a')
      expect(isTroupeError(await synced(file), 'DISK_FAILED')).toBe(true)
      file.close()
    })

    function current(kind: Place): DirectoryDisk {
      return disk ?? opened(kind)
    }
  },
)

test('a disk pool that is closed calls nobody back', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'troupe-pool-')), 'a')
  const descriptor = openSync(file, 'w')
  const heard: unknown[] = []
  const pool = new DiskPool()
  await new Promise<void>((resolve) => pool.sync(descriptor, () => resolve()))
  pool.sync(descriptor, (error) => heard.push(error))
  pool.close()
  // Whatever the pool has begun is done by the time that it has done this many more.
  for (let at = 0; at < 8; at++) await new Promise((resolve) => fdatasync(descriptor, resolve))
  closeSync(descriptor)
  rmSync(dirname(file), { recursive: true })
  expect(heard).toEqual([])
})

describe('a data directory', () => {
  test('belongs to its owner alone, files included', () => {
    opened().open('a', 10).close()
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o600)
  })

  test('lists its files and nothing of its own making', () => {
    const { open, list } = { open: (name: string) => current().open(name, 1).close(), list: () => current().list() }
    open('b')
    open('a')
    expect(list()).toEqual(['a', 'b'])
    current().rename('a', 'c')
    current().syncDirectory()
    current().remove('b')
    expect(list()).toEqual(['c'])
  })

  test('refuses a second process by naming the first, until it is gone', () => {
    opened()
    const error = caught(() => openDirectory(directory))
    expect(isTroupeError(error, 'DIRECTORY_IN_USE') && error.details.pid).toBe(process.pid)
    disk?.close()
    opened()
  })

  test('takes over from a process that was killed', () => {
    opened().close()
    const gone = spawnSync(process.execPath, ['-e', '']).pid
    writeFileSync(join(directory, 'lock'), lockOf({ pid: gone }))
    opened()
    expect(JSON.parse(readFileSync(join(directory, 'lock'), 'utf8')).pid).toBe(process.pid)
  })

  test('takes over when the process id belongs to another process by now', () => {
    opened().close()
    writeFileSync(join(directory, 'lock'), lockOf({ pid: process.pid, started: '1' }))
    expect(opened().list()).toEqual([])
  })

  test('respects a fresh lock of another container, and an unreadable one never', () => {
    opened().close()
    writeFileSync(join(directory, 'lock'), lockOf({ pid: 1, namespace: 'pid:[1]' }))
    expect(isTroupeError(caught(opened), 'DIRECTORY_IN_USE')).toBe(true)
    writeFileSync(join(directory, 'lock'), 'garbage')
    opened()
  })

  test('respects a fresh lock of another machine that shares the directory, and none of this one before it was started anew', () => {
    opened().close()
    writeFileSync(join(directory, 'lock'), lockOf({ boot: 'another', host: 'elsewhere' }))
    expect(isTroupeError(caught(opened), 'DIRECTORY_IN_USE')).toBe(true)
    const past = new Date(Date.now() - 30_000)
    utimesSync(join(directory, 'lock'), past, past)
    opened().close()
    writeFileSync(join(directory, 'lock'), lockOf({ boot: 'another' }))
    opened()
  })

  test('that was taken over stays with whoever took it', () => {
    opened()
    writeFileSync(join(directory, 'lock'), 'another')
    disk?.close()
    expect(readFileSync(join(directory, 'lock'), 'utf8')).toBe('another')
  })

  test('that cannot be made is refused with the reason', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'troupe-disk-')), 'file')
    writeFileSync(file, '')
    expect(
      isTroupeError(
        caught(() => openDirectory(join(file, 'data'))),
        'DIRECTORY_UNUSABLE',
      ),
    ).toBe(true)
  })

  // Node's own way of making a path does not return from here.
  test.skipIf(process.platform !== 'linux')('where the system takes none is refused, and not tried for ever', () => {
    expect(
      isTroupeError(
        caught(() => openDirectory('/proc/no/such')),
        'DIRECTORY_UNUSABLE',
      ),
    ).toBe(true)
  })

  test('that cannot be written is refused', () => {
    opened().close()
    chmodSync(directory, 0o500)
    // Root may write wherever the file system lets it, and not into that of the kernel.
    const sealed = process.getuid?.() === 0 ? '/proc/self/fd' : directory
    expect(
      isTroupeError(
        caught(() => openDirectory(sealed)),
        'DIRECTORY_UNUSABLE',
      ),
    ).toBe(true)
    chmodSync(directory, 0o700)
  })

  test('prepares files of zeros, and leaves one that is already there as it is', async () => {
    const prepare = (name: string, bytes: number) =>
      new Promise((resolve) => {
        current().prepare(name, bytes, resolve)
      })
    expect(await prepare('a', 3_000_000)).toBeUndefined()
    const file = current().open('a')
    expect(file.size).toBe(3_000_000)
    expect(file.read(2_999_999, 1)).toEqual(new Uint8Array(1))
    file.write(0, new Uint8Array([7]))
    file.close()
    expect(await prepare('a', 3_000_000)).toBeUndefined()
    expect(readFileSync(join(directory, 'a'))[0]).toBe(7)
    expect(isTroupeError(await prepare('../missing/a', 1), 'DISK_FAILED')).toBe(true)
  })

  test('that is full gives back the room of what it had no room for', async () => {
    opened()
    for (const name of ['a', 'b']) symlinkSync('/dev/full', join(directory, name))
    const refused = await new Promise((resolve) => current().prepare('a', 4096, resolve))
    expect(isTroupeError(refused, 'DISK_FAILED')).toBe(true)
    expect(
      isTroupeError(
        caught(() => current().open('b', 4096)),
        'DISK_FAILED',
      ),
    ).toBe(true)
    expect(readdirSync(directory)).toEqual(['lock'])
  })

  test('lets nobody in while a file is still being prepared', async () => {
    current().prepare('a', 1024 ** 3, () => {})
    const closed = new Promise<void>((resolve) => current().close(resolve))
    expect(
      isTroupeError(
        caught(() => openDirectory(directory)),
        'DIRECTORY_IN_USE',
      ),
    ).toBe(true)
    await closed
    expect(readdirSync(directory)).toEqual([])
    opened()
  })

  test('checks sums as the simulated disk does', () => {
    const bytes = new TextEncoder().encode('123456789')
    expect(opened().crc32(bytes)).toBe(0xcbf43926)
    expect(crc32(bytes)).toBe(0xcbf43926)
    expect(disk?.crc32(bytes, 77)).toBe(crc32(bytes, 77))
  })

  test('leaves no lock behind', () => {
    opened().close()
    expect(existsSync(join(directory, 'lock'))).toBe(false)
  })

  function current(): DirectoryDisk {
    return disk ?? opened()
  }

  /** A lock as this machine would write it, but for some fields. */
  function lockOf(changes: object): string {
    opened()
    const lock = JSON.parse(readFileSync(join(directory, 'lock'), 'utf8'))
    disk?.close()
    return JSON.stringify({ ...lock, ...changes })
  }
})
