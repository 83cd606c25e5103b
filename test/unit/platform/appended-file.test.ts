import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { DiskFile, Done } from '../../../src/host/port.ts'
import { AppendedFile } from '../../../src/platform/appended-file.ts'
import { type DirectoryDisk, openDirectory } from '../../../src/platform/disk.ts'
import { type SyncPlace, Syncs } from '../../../src/platform/syncs.ts'

const PAGE = 4096
const MEBIBYTE = 1024 * 1024

let directory: string
let disk: DirectoryDisk

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-appended-'))
})

afterEach(() => {
  disk.close()
  rmSync(directory, { recursive: true, force: true })
})

/** An appended file of ones, so that what a write turns into zeros can be seen. */
function appended(sync: SyncPlace, bytes: number): DiskFile {
  disk = openDirectory(directory, { sync })
  const file = disk.open('log', bytes)
  file.write(0, new Uint8Array(bytes).fill(1))
  file.close()
  return disk.openAppended('log')
}

function synced(file: DiskFile): Promise<Error | undefined> {
  return new Promise((resolve) => file.sync(resolve))
}

/** What this process has open of the file: the flags of each descriptor. */
function flagsOf(name: string): number[] {
  const path = join(directory, name)
  return readdirSync('/proc/self/fd')
    .filter((fd) => linkOf(fd) === path)
    .map((fd) => Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8))
}

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return
  }
}

describe.each(['engine', 'thread'] as const)('an appended file that is written in the %s', (sync) => {
  test('holds what was written, whatever the sizes, with zeros up to the next page and what it held before behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3 * PAGE }), { maxLength: 12 }), async (sizes) => {
        const length = 64 * PAGE
        const file = appended(sync, length)
        const expected = new Uint8Array(length).fill(1)
        let end = 0
        for (const [at, size] of sizes.entries()) {
          const bytes = new Uint8Array(size).fill(at + 2)
          file.write(end, bytes)
          expected.set(bytes, end)
          end += size
          expected.fill(0, end, Math.ceil(end / PAGE) * PAGE)
        }
        expect(await synced(file)).toBeUndefined()
        expect(Buffer.compare(file.read(0, length), expected)).toBe(0)
        file.close()
        expect(Buffer.compare(readFileSync(join(directory, 'log')), expected)).toBe(0)
        disk.close()
      }),
      { numRuns: 10 },
    )
  })

  test('takes a write that is larger than the memory for its pages', async () => {
    const file = appended(sync, 4 * MEBIBYTE)
    const bytes = new Uint8Array(3 * MEBIBYTE).map((_, at) => at % 251)
    file.write(0, bytes.subarray(0, 700))
    file.write(700, bytes.subarray(700))
    expect(await synced(file)).toBeUndefined()
    expect(Buffer.compare(file.read(0, bytes.length), bytes)).toBe(0)
    file.close()
  })
})

describe('an appended file', () => {
  test.runIf(process.platform === 'linux')('goes past the cache, and closes all that it opened', () => {
    const file = appended('engine', PAGE)
    const O_DIRECT = 0o40000
    expect(flagsOf('log').some((flags) => (flags & O_DIRECT) !== 0)).toBe(true)
    file.close()
    expect(flagsOf('log')).toEqual([])
  })

  test('goes through the cache where no memory begins at a page', async () => {
    vi.stubGlobal('WebAssembly', undefined)
    const file = appended('engine', 4 * PAGE)
    vi.unstubAllGlobals()
    for (const at of [0, 1, 2]) file.write(at * 3000, new Uint8Array(3000).fill(at))
    expect(await synced(file)).toBeUndefined()
    expect([0, 1, 2].map((at) => file.read(at * 3000, 3000).every((byte) => byte === at))).toEqual([true, true, true])
    file.close()
    await new Promise((resolve) => disk.prepare('next', 4 * PAGE, resolve))
    expect(readFileSync(join(directory, 'next'))).toEqual(Buffer.alloc(4 * PAGE))
  })

  test('is on the device for none who asks while a sync of what went through the cache is under way', () => {
    const synced: Done[] = []
    const cache: Partial<DiskFile> = { write: () => {}, sync: (done) => synced.push(done) }
    const file = new AppendedFile({
      name: 'log',
      file: cache as DiskFile,
      direct: { write: () => false, close: () => {} },
      syncs: new Syncs('engine'),
      pages: new Uint8Array(PAGE),
    })
    file.write(0, new Uint8Array(10))
    const said: string[] = []
    file.sync(() => said.push('first'))
    file.sync(() => said.push('second'))
    expect(said).toEqual([])
    synced[0]?.(undefined)
    file.write(10, new Uint8Array(10))
    file.sync(() => said.push('third'))
    synced[1]?.(undefined)
    expect(said).toEqual(['first', 'second'])
    synced[2]?.(undefined)
    file.sync(() => said.push('at once'))
    expect(said).toEqual(['first', 'second', 'third', 'at once'])
  })

  test('is written from front to back only', () => {
    const file = appended('engine', 4 * PAGE)
    file.write(0, new Uint8Array(512))
    expect(() => file.write(1024, new Uint8Array(512))).toThrow(/front to back/)
    file.close()
  })

  test('goes through the cache for a while after the device was slow, and is the same file for it', async () => {
    const file = appended('adaptive', 4 * PAGE)
    const expected: number[] = []
    // What the clock says: may it be direct? begun, ended; then only the question, until it is long ago.
    const readings = [[0, 0, 60], [70], [80], [5000, 5000, 5001]]
    for (const [at, times] of readings.entries()) {
      const clock = vi.spyOn(performance, 'now')
      for (const time of times) clock.mockReturnValueOnce(time)
      file.write(at * 512, new Uint8Array(512).fill(at))
      expect(clock).toHaveBeenCalledTimes(times.length)
      clock.mockRestore()
      expected.push(...Array<number>(512).fill(at))
      expect([...file.read(0, expected.length)]).toEqual(expected)
      expect(await synced(file)).toBeUndefined()
    }
    file.close()
  })
})

describe('a wait for the disk', () => {
  test('belongs in another thread for twenty times as long as it was slow', () => {
    let now = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
    const syncs = new Syncs('adaptive')
    expect(syncs.isQuick(512)).toBe(true)
    expect(syncs.isQuick(2 * MEBIBYTE)).toBe(false)
    const slow = (): string => {
      now += 60
      return 'done'
    }
    expect(syncs.wait(slow)).toBe('done')
    expect(syncs.isQuick(512)).toBe(false)
    now += 20 * 60
    expect(syncs.isQuick(512)).toBe(true)
    clock.mockRestore()
  })
})
