import { describe, expect, test } from 'vitest'
import { isTroupeError } from '../../../src/base/error.ts'
import { hashBytes } from '../../../src/base/hash.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import type { GroupStart, SnapshotHeader, SnapshotStore } from '../../../src/host/log-device.ts'
import { MemorySnapshots } from '../../../src/host/snapshot/memory-snapshots.ts'
import { SnapshotFiles } from '../../../src/host/snapshot/snapshot-files.ts'
import { VirtualDisk } from '../../../src/simulation/world/disk.ts'
import { bytes, group, virtualDisk } from './log/scene.ts'

const header = (index: number): SnapshotHeader => ({
  position: { index, term: 3 },
  chain: 4_000_000_000,
  configuration: bytes('abc'),
})

/** A body whose every byte depends on its place. */
function body(length: number, salt = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8) + salt) & 255)
}

/** Comparing large arrays element by element takes the test runner seconds. */
function digest(content: Uint8Array | undefined): string {
  return content === undefined ? 'nothing' : `${content.length} bytes, ${hashBytes(content)}`
}

function save(store: SnapshotStore, index: number, content: Uint8Array): Error | undefined {
  const writer = store.begin(group(1), header(index))
  for (let at = 0; at < content.length; at += 10_000) writer.write(content.subarray(at, at + 10_000))
  let result: { error: Error | undefined } | undefined
  writer.finish((error) => {
    result = { error }
  })
  return result?.error
}

/** The group's log begins after this index. */
function logAfter(index: number): GroupStart[] {
  return [{ id: group(1), start: { index, term: 3 } }]
}

function load(store: SnapshotStore): Uint8Array | undefined {
  const found = store.newest(group(1))
  const content = found?.read(0, found.bytes)
  found?.close()
  return content
}

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return
}

describe.each([
  ['files', () => new SnapshotFiles(virtualDisk())],
  ['memory', () => new MemorySnapshots()],
])('snapshots in %s', (_, make) => {
  test('give back header and body, in any parts', () => {
    const store = make()
    const content = body(200_000)
    expect(save(store, 9, content)).toBeUndefined()
    const found = store.newest(group(1))
    expect(found?.header).toEqual(header(9))
    expect(found?.bytes).toBe(200_000)
    for (const [offset, length] of [
      [0, 10],
      [65_530, 20],
      [60_000, 140_000],
      [199_999, 50],
    ] as const) {
      expect(digest(found?.read(offset, length))).toBe(digest(content.slice(offset, offset + length)))
    }
    expect(store.newest(group(2))).toBeUndefined()
  })

  test('keep the newer one, whichever is finished last', () => {
    const store = make()
    save(store, 9, body(10))
    save(store, 20, body(30))
    save(store, 15, body(20))
    expect(store.newest(group(1))?.header.position.index).toBe(20)
    expect(load(store)).toEqual(body(30))
  })

  test('show nothing of one that was abandoned', () => {
    const store = make()
    const writer = store.begin(group(1), header(5))
    writer.write(body(100_000))
    writer.abandon()
    expect(store.newest(group(1))).toBeUndefined()
  })

  test('may be empty', () => {
    const store = make()
    save(store, 9, new Uint8Array())
    expect(load(store)).toEqual(new Uint8Array())
  })
})

describe('snapshot files', () => {
  test('leave one file for each group', () => {
    const disk = virtualDisk()
    const store = new SnapshotFiles(disk)
    for (const index of [9, 20, 15, 20]) save(store, index, body(10))
    expect(disk.list()).toEqual(['snapshot-1-0000000000000020'])
  })

  test('are found damaged at every single byte, by offset, and never served', () => {
    const disk = virtualDisk()
    const content = body(70_000)
    save(new SnapshotFiles(disk), 9, content)
    const name = 'snapshot-1-0000000000000009'
    const { size } = disk.open(name)
    for (let at = 0; at < size; at += at < 600 ? 1 : 97) {
      const copy = disk.clone()
      copy.flip(name, at, at % 8)
      const error = caught(() => load(new SnapshotFiles(copy)))
      expect([isTroupeError(error, 'DATA_DAMAGED') && error.details.file, at]).toEqual([name, at])
    }
  })

  test('under a name that is not theirs are refused, and what they would replace stays', () => {
    const disk = virtualDisk()
    save(new SnapshotFiles(disk), 9, body(10))
    const content = disk.open('snapshot-1-0000000000000009').read(0, 100_000)
    for (const name of ['snapshot-1-0000000000000010', 'snapshot-2-0000000000000009', 'snapshot-1-9000000000000009']) {
      const copy = disk.clone()
      copy.open(name, content.length).write(0, content)
      const error = caught(() => new SnapshotFiles(copy))
      expect([isTroupeError(error, 'DATA_DAMAGED') && error.details.file, name]).toEqual([name, name])
      expect(copy.list()).toEqual(['snapshot-1-0000000000000009', name])
    }
  })

  test('do not count with names that no snapshot has', () => {
    const disk = virtualDisk()
    save(new SnapshotFiles(disk), 9, body(10))
    for (const name of ['snapshot-', 'snapshot-1-10', 'snapshot-x-1', 'snapshot-1-99999999999999999999'])
      disk.open(name, 3)
    expect(load(new SnapshotFiles(disk))).toEqual(body(10))
  })

  test('that a log begins after are missed by name', () => {
    const disk = virtualDisk()
    const files = new SnapshotFiles(disk)
    save(files, 9, body(10))
    files.accept(logAfter(9))
    const error = caught(() => files.accept(logAfter(10)))
    expect(error).toMatchObject({ code: 'DATA_DAMAGED', details: { file: 'snapshot-1-0000000000000010' } })
  })

  test('that were superseded, or never finished, are removed only once the log fits those that stay', () => {
    const disk = virtualDisk()
    save(new SnapshotFiles(disk), 20, body(10))
    for (const name of ['snapshot-1-0000000000000009', 'snapshot-1-0000000000000030.1.partial']) disk.open(name, 100)
    const before = disk.list()
    expect(caught(() => new SnapshotFiles(disk).accept(logAfter(21)))).toMatchObject({ code: 'DATA_DAMAGED' })
    expect(disk.list()).toEqual(before)
    new SnapshotFiles(disk).accept(logAfter(20))
    expect(disk.list()).toEqual(['snapshot-1-0000000000000020'])
  })

  test('of a newer format are refused as such, when they are whole', () => {
    const disk = virtualDisk()
    save(new SnapshotFiles(disk), 9, body(10))
    const file = disk.open('snapshot-1-0000000000000009')
    const head = file.read(0, 512)
    const view = new DataView(head.buffer)
    view.setUint32(8, 2, true)
    view.setUint32(4, disk.crc32(head.subarray(8)), true)
    file.write(0, head)
    expect(
      isTroupeError(
        caught(() => load(new SnapshotFiles(disk))),
        'VERSION_SKEW',
      ),
    ).toBe(true)
  })

  test('are found damaged when cut short or grown', () => {
    for (const change of [-1, -5000, 1]) {
      const disk = virtualDisk()
      save(new SnapshotFiles(disk), 9, body(70_000))
      const file = disk.open('snapshot-1-0000000000000009')
      file.truncate(file.size + change)
      expect(
        isTroupeError(
          caught(() => load(new SnapshotFiles(disk))),
          'DATA_DAMAGED',
        ),
      ).toBe(true)
    }
  })

  test('are the old or the new one after a crash at every operation, and leave nothing else behind', () => {
    class PowerCut extends Error {}
    const old = body(70_000, 1)
    const fresh = body(150_000, 2)
    for (let at = 1, finished = false; !finished; at++) {
      let operations = Number.NEGATIVE_INFINITY
      const before = () => {
        operations++
        if (operations === at) throw new PowerCut()
      }
      const disk = new VirtualDisk({ random: new SeededRandom(at), before })
      const store = new SnapshotFiles(disk)
      save(store, 9, old)
      operations = 0
      const error = caught(() => save(store, 20, fresh))
      finished = error === undefined && operations < at
      disk.crash()
      const again = disk.reopen({ random: new SeededRandom(at) })
      const files = new SnapshotFiles(again)
      files.accept([])
      const content = load(files)
      expect((finished ? [fresh] : [old, fresh]).map(digest)).toContain(digest(content))
      expect(again.list()).toHaveLength(1)
    }
  })
})
