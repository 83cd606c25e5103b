import { describe, expect, test } from 'vitest'
import { isTroupeError, TroupeError } from '../../../../src/base/error.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { Millis, Scheduler, Timer } from '../../../../src/base/time.ts'
import { VirtualDisk } from '../../../../src/simulation/world/disk.ts'

const SECTOR = 512

function diskOf(seed: number): VirtualDisk {
  return new VirtualDisk({ random: new SeededRandom(seed) })
}

function filled(bytes: number, value = 7): Uint8Array {
  return new Uint8Array(bytes).fill(value)
}

/** What ten crashes, from ten seeds, leave of the first file. */
function afterCrashes(prepare: (disk: VirtualDisk) => void, name = 'a'): (Uint8Array | undefined)[] {
  return Array.from({ length: 40 }, (_, seed) => {
    const disk = diskOf(seed)
    prepare(disk)
    disk.crash()
    const again = disk.reopen()
    return again.list().includes(name) ? again.open(name).read(0, 10_000) : undefined
  })
}

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return
}

describe('a virtual disk', () => {
  test('keeps at a crash what was synced, always', () => {
    const left = afterCrashes((disk) => {
      const file = disk.open('a', 4096)
      file.write(0, filled(2000))
      file.sync(() => {})
    })
    for (const bytes of left) expect(bytes?.subarray(0, 2000)).toEqual(filled(2000))
  })

  test('keeps, loses or tears each unsynced sector by itself, and touches no other', () => {
    const left = afterCrashes((disk) => {
      const file = disk.open('a', 4096)
      file.write(0, filled(SECTOR, 1))
      file.sync(() => {})
      file.write(SECTOR, filled(3 * SECTOR, 2))
    })
    const fates = new Set<string>()
    for (const bytes of left) {
      expect(bytes?.subarray(0, SECTOR)).toEqual(filled(SECTOR, 1))
      const written = [1, 2, 3].map((at) => bytes?.subarray(at * SECTOR, (at + 1) * SECTOR).lastIndexOf(2) ?? -1)
      for (const last of written) fates.add(last < 0 ? 'lost' : last === SECTOR - 1 ? 'kept' : 'torn')
      if (new Set(written).size > 1) fates.add('apart')
    }
    expect([...fates].sort()).toEqual(['apart', 'kept', 'lost', 'torn'])
  })

  test('writes the pages of an appended file whole, and loses nothing at a crash that was confirmed in them', () => {
    const append = (disk: VirtualDisk): void => {
      const whole = disk.open('a', 8192)
      whole.write(0, filled(8192, 9))
      whole.close()
      const file = disk.openAppended('a')
      file.write(0, filled(2 * SECTOR, 1))
      file.sync(() => {})
      file.write(2 * SECTOR, filled(SECTOR, 2))
    }
    const disk = diskOf(1)
    append(disk)
    const rest = [...filled(SECTOR, 2), ...filled(4096 - 3 * SECTOR, 0), ...filled(4096, 9)]
    expect([...disk.open('a').read(2 * SECTOR, 8192)]).toEqual(rest)
    expect(() => disk.openAppended('a').write(SECTOR, filled(1))).toThrow(/front to back/)
    for (const bytes of afterCrashes(append)) expect(bytes?.subarray(0, 2 * SECTOR)).toEqual(filled(2 * SECTOR, 1))
  })

  test('may undo names that the directory was not synced for, and no others', () => {
    const unsynced = afterCrashes((disk) => {
      disk.open('b', 10).write(0, filled(1))
      disk.rename('b', 'a')
    })
    expect(new Set(unsynced.map((bytes) => bytes === undefined))).toEqual(new Set([true, false]))
    const synced = afterCrashes((disk) => {
      disk.open('b', 10)
      disk.rename('b', 'a')
      disk.syncDirectory()
    })
    expect(synced.every((bytes) => bytes !== undefined)).toBe(true)
  })

  test('forgets what a failed sync covered, although it shows it and a later sync succeeds', () => {
    let syncs = 0
    const before = (operation: string) => {
      if (operation === 'sync' && ++syncs === 1) throw new TroupeError('DISK_FAILED', 'EIO')
    }
    const disk = new VirtualDisk({ random: new SeededRandom(1), before })
    const file = disk.open('a', SECTOR)
    file.write(0, filled(10))
    const errors: (Error | undefined)[] = []
    file.sync((error) => errors.push(error))
    file.sync((error) => errors.push(error))
    expect(errors.map((error) => isTroupeError(error, 'DISK_FAILED'))).toEqual([true, false])
    expect(file.read(0, 10)).toEqual(filled(10))
    disk.crash()
    expect(disk.reopen().open('a').read(0, 10)).toEqual(filled(10, 0))
  })

  test('keeps everything when only the process ends, but as unconfirmed as before', () => {
    const outcomes = Array.from({ length: 20 }, (_, seed) => {
      const disk = diskOf(seed)
      disk.open('a', SECTOR).write(0, filled(1))
      disk.kill()
      const second = disk.reopen()
      expect(second.open('a').read(0, 1)).toEqual(filled(1))
      second.crash()
      return second.reopen().open('a').read(0, 1)[0]
    })
    expect(new Set(outcomes)).toEqual(new Set([0, 7]))
  })

  test('is the same from the same seed', () => {
    const run = () => afterCrashes((disk) => disk.open('a', 8192).write(100, filled(5000)))
    expect(run()).toEqual(run())
  })

  test('takes virtual time to sync, and never calls back after a crash', () => {
    const due: { at: Millis; task: () => void }[] = []
    const scheduler: Scheduler = {
      at: (at, task): Timer => {
        due.push({ at, task })
        return { cancel: () => {} }
      },
      defer: () => {},
    }
    const clock = { now: () => 100, wallTime: () => 0 }
    const disk = new VirtualDisk({ random: new SeededRandom(1), time: { clock, scheduler, syncMillis: () => 5 } })
    let calls = 0
    const file = disk.open('a', SECTOR)
    file.sync(() => calls++)
    expect([calls, due[0]?.at]).toEqual([0, 105])
    due[0]?.task()
    expect(calls).toBe(1)
    file.sync(() => calls++)
    disk.crash()
    due[1]?.task()
    expect(calls).toBe(1)
  })

  test('what is written during a sync belongs to the next one', () => {
    const due: (() => void)[] = []
    const scheduler: Scheduler = {
      at: (_, task): Timer => {
        due.push(task)
        return { cancel: () => {} }
      },
      defer: () => {},
    }
    const time = { clock: { now: () => 0, wallTime: () => 0 }, scheduler, syncMillis: () => 1 }
    const outcomes = Array.from({ length: 20 }, (_, seed) => {
      const disk = new VirtualDisk({ random: new SeededRandom(seed), time })
      const file = disk.open('a', 2 * SECTOR)
      file.write(0, filled(1))
      file.sync(() => {})
      file.write(SECTOR, filled(1))
      due.at(-1)?.()
      disk.crash()
      const again = disk.reopen().open('a')
      return [again.read(0, 1)[0], again.read(SECTOR, 1)[0]]
    })
    expect(outcomes.every(([synced]) => synced === 7)).toBe(true)
    expect(new Set(outcomes.map(([, during]) => during))).toEqual(new Set([0, 7]))
  })

  test('cannot read after a crash a page that came through in part, until it is mended or written anew', () => {
    let unread = 0
    for (let seed = 0; seed < 20; seed++) {
      const disk = diskOf(seed)
      const file = disk.open('a', 3 * 4096)
      file.write(0, filled(4096, 1))
      file.sync(() => {})
      file.write(4096, filled(4096, 2))
      disk.crash('unreadable')
      const again = disk.reopen()
      const found = again.open('a')
      expect(found.read(0, 4096)).toEqual(filled(4096, 1))
      expect(found.read(2 * 4096, 4096)).toEqual(filled(4096, 0))
      if (caught(() => found.read(0, 4097)) === undefined) continue
      unread++
      expect(
        isTroupeError(
          caught(() => found.read(4096, 1)),
          'DISK_FAILED',
        ),
      ).toBe(true)
      expect(
        isTroupeError(
          caught(() => found.write(5000, filled(10))),
          'DISK_FAILED',
        ),
      ).toBe(true)
      if (seed % 2 === 0) again.mend()
      else found.write(4096, filled(4096, 3))
      expect(found.read(4096, 4096).length).toBe(4096)
    }
    expect(unread).toBeGreaterThan(5)
  })

  test('has what is appended past its cache at once, while whoever appends stands still, and goes through the cache after a slow write', () => {
    const due: (() => void)[] = []
    const scheduler: Scheduler = {
      at(_, task): Timer {
        due.push(task)
        return { cancel() {} }
      },
      defer: (task) => void due.push(task),
    }
    let now = 0
    let syncMs = 1
    const standStill = (forMs: Millis): void => {
      now += forMs
    }
    const time = { clock: { now: () => now, wallTime: () => now }, scheduler, syncMillis: () => syncMs, standStill }
    const disk = new VirtualDisk({ random: new SeededRandom(1), time })
    disk.open('a', 8 * 4096)
    const file = disk.openAppended('a')
    file.write(0, filled(600))
    // Somebody may have written to it before.
    file.sync(() => {})
    expect(due.length).toBe(1)
    let isSynced = false
    file.write(600, filled(600))
    file.sync(() => {
      isSynced = true
    })
    expect([now, isSynced, due.length]).toEqual([2, true, 1])
    syncMs = 60
    file.write(1200, filled(600))
    file.write(1800, filled(600))
    expect(now).toBe(62)
    isSynced = false
    file.sync(() => {
      isSynced = true
    })
    expect([isSynced, due.length]).toEqual([false, 2])
    disk.crash()
    expect(disk.reopen().open('a').read(0, 1800)).toEqual(filled(1800))
  })

  test('is full at its capacity', () => {
    const disk = new VirtualDisk({ random: new SeededRandom(1), capacity: () => 1000 })
    const file = disk.open('a', 800)
    expect(
      isTroupeError(
        caught(() => file.write(700, filled(301))),
        'DISK_FAILED',
      ),
    ).toBe(true)
    file.write(700, filled(300))
    expect(
      isTroupeError(
        caught(() => disk.open('b', 1)),
        'DISK_FAILED',
      ),
    ).toBe(true)
  })
})
