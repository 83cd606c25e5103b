import { describe, expect, test } from 'vitest'
import { crc32 } from '../../../src/base/crc.ts'
import { TroupeError } from '../../../src/base/error.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { PieceFiles } from '../../../src/host/piece-files.ts'
import { VirtualDisk } from '../../../src/simulation/world/disk.ts'
import { group } from './log/scene.ts'

function content(length: number, salt = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at * 7 + (at >> 8) + salt)
}

function pieceOf(upload: number, offset: number, bytes: Uint8Array) {
  return { upload, offset, length: bytes.length, crc: crc32(bytes) }
}

function diskOf(seed = 1): VirtualDisk {
  return new VirtualDisk({ random: new SeededRandom(seed) })
}

describe('piece files', () => {
  test('give back each piece from its place in the payload, however many payloads there are', () => {
    const store = new PieceFiles(diskOf()).of(group(1))
    const pieces = Array.from({ length: 60 }, (_, at) => ({ upload: at % 20, offset: 100 * Math.floor(at / 20) }))
    for (const { upload, offset } of pieces) {
      expect(store.put(upload, offset, content(100, upload + offset))).toBe(crc32(content(100, upload + offset)))
    }
    for (const { upload, offset } of pieces) {
      const bytes = content(100, upload + offset)
      expect(store.get(pieceOf(upload, offset, bytes))).toEqual(bytes)
    }
  })

  test('know a damaged piece, and one that is not there', () => {
    const disk = diskOf()
    const store = new PieceFiles(disk).of(group(1))
    store.put(7, 0, content(1000))
    disk.flip('pieces-1-7', 999)
    expect(store.get(pieceOf(7, 0, content(1000)))).toBeUndefined()
    expect(store.get(pieceOf(7, 1000, content(10)))).toBeUndefined()
    expect(store.get(pieceOf(8, 0, content(10)))).toBeUndefined()
  })

  test('do without a piece that the device cannot read, until it is written again', () => {
    let isReadable = true
    const before = (operation: string): void => {
      if (operation === 'read' && !isReadable) throw new TroupeError('DISK_FAILED', 'a sector cannot be read')
    }
    const store = new PieceFiles(new VirtualDisk({ random: new SeededRandom(1), before })).of(group(1))
    store.put(7, 0, content(1000))
    isReadable = false
    expect(store.get(pieceOf(7, 0, content(1000)))).toBeUndefined()
    isReadable = true
    store.put(7, 0, content(1000))
    expect(store.get(pieceOf(7, 0, content(1000)))).toEqual(content(1000))
  })

  test('are gone when they are deleted, and when the state that is found does not have them', () => {
    const disk = diskOf()
    const files = new PieceFiles(disk)
    for (const upload of [1, 2, 3]) files.of(group(4)).put(upload, 0, content(10))
    files.of(group(5)).put(1, 0, content(10))
    files.of(group(4)).delete(2)
    files.of(group(4)).delete(2)
    expect(disk.list()).toEqual(['pieces-4-1', 'pieces-4-3', 'pieces-5-1'])
    disk.kill()
    const next = disk.reopen()
    const store = new PieceFiles(next).of(group(4))
    store.retain(new Set([3, 9]))
    expect(next.list()).toEqual(['pieces-4-3', 'pieces-5-1'])
    expect(store.get(pieceOf(3, 0, content(10)))).toEqual(content(10))
  })

  test('outlive a power cut once they are synced, of their group alone', () => {
    const lost = { synced: 0, other: 0 }
    for (let seed = 1; seed <= 20; seed++) {
      const disk = diskOf(seed)
      const files = new PieceFiles(disk)
      // More than are kept open.
      for (let upload = 0; upload < 12; upload++) files.of(group(1)).put(upload, 0, content(2000, upload))
      files.of(group(2)).put(1, 0, content(2000))
      const done: (Error | undefined)[] = []
      files.sync(group(1), (error) => done.push(error))
      expect(done).toEqual([undefined])
      disk.crash()
      const after = new PieceFiles(disk.reopen())
      for (let upload = 0; upload < 12; upload++) {
        const bytes = content(2000, upload)
        if (after.of(group(1)).get(pieceOf(upload, 0, bytes)) === undefined) lost.synced++
      }
      if (after.of(group(2)).get(pieceOf(1, 0, content(2000))) === undefined) lost.other++
    }
    expect(lost.synced).toBe(0)
    expect(lost.other).toBeGreaterThan(0)
  })

  test('say that a disk has refused to sync them', () => {
    const disk = new VirtualDisk({
      random: new SeededRandom(1),
      before: (operation) => {
        if (operation === 'sync') throw diskFailed()
      },
    })
    const files = new PieceFiles(disk)
    files.of(group(1)).put(1, 0, content(10))
    const errors: unknown[] = []
    files.sync(group(1), (error) => errors.push(error))
    expect(errors).toMatchObject([{ code: 'DISK_FAILED' }])
  })
})

function diskFailed(): Error {
  return new TroupeError('DISK_FAILED', 'the disk refuses to sync')
}
