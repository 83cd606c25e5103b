import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTroupeError, TroupeError } from '../../../../src/base/error.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { TornTail } from '../../../../src/host/log/recovery.ts'
import type { LogDevice } from '../../../../src/host/log-device.ts'
import { type DiskOperation, VirtualDisk, type VirtualDiskOptions } from '../../../../src/simulation/world/disk.ts'
import { append, commit, contents, entry, group, node, open, virtualDisk } from './scene.ts'

const SECTOR = 512

/** The bytes of the newest segment. */
function newestSegment(disk: VirtualDisk): { readonly name: string; readonly bytes: Uint8Array } {
  const name =
    disk
      .list()
      .filter((file) => file.startsWith('log-'))
      .at(-1) ?? ''
  const file = disk.open(name)
  return { name, bytes: file.read(0, file.size) }
}

function overwrite(disk: VirtualDisk, name: string, bytes: Uint8Array): void {
  disk.open(name).write(0, bytes)
}

function refusal(disk: VirtualDisk): Promise<unknown> {
  return failure(open(disk))
}

function failure(action: Promise<unknown>): Promise<unknown> {
  return action.then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('a torn tail', () => {
  test('cut at every byte of the last batch costs that batch alone', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    for (let index = 1; index <= 3; index++) append(log, 1, entry(index, 1))
    const before = newestSegment(disk)
    append(log, 1, entry(4, 1, 'x'.repeat(600)), entry(5, 1))
    const after = newestSegment(disk)
    const start = firstDifference(before.bytes, after.bytes)
    const whole = 64 + 40 + 600 + 40 + 3
    expect(start % SECTOR).toBe(0)
    for (let kept = 0; kept < whole; kept++) {
      const copy = disk.clone()
      const torn = after.bytes.slice()
      torn.set(before.bytes.subarray(start + kept), start + kept)
      overwrite(copy, after.name, torn)
      const again = await open(copy)
      expect(contents(again, 1)).toEqual(['1@1', '2@1', '3@1'])
      append(again, 1, entry(4, 2, 'four'))
      expect(contents(await open(copy.clone()), 1)).toEqual(['1@1', '2@1', '3@1', 'four'])
    }
  })

  test('is told with its place and its length when it is dropped, and only then', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    const before = newestSegment(disk)
    append(log, 1, entry(2, 1, 'x'.repeat(2 * SECTOR)))
    const after = newestSegment(disk)
    const start = firstDifference(before.bytes, after.bytes)
    const told: TornTail[] = []
    const dropped = (tail: TornTail) => told.push(tail)
    await open(disk.clone(), { dropped })
    expect(told).toEqual([])
    const torn = after.bytes.slice()
    torn.fill(0, start + SECTOR)
    overwrite(disk, after.name, torn)
    await open(disk, { dropped })
    expect(told).toEqual([{ file: after.name, offset: start, bytes: SECTOR }])
    await open(disk, { dropped })
    expect(told).toHaveLength(1)
  })

  test('is also what a flipped bit in the last batch looks like, unless a marker follows', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    const { bytes } = newestSegment(disk)
    append(log, 1, entry(2, 1))
    const at = firstDifference(bytes, newestSegment(disk).bytes) + 70
    const unmarked = disk.clone()
    unmarked.flip(newestSegment(disk).name, at)
    expect(contents(await open(unmarked), 1)).toEqual(['1@1'])
    expect(commit(log)).toBeUndefined()
    disk.flip(newestSegment(disk).name, at)
    expect(isTroupeError(await refusal(disk.clone()), 'DATA_DAMAGED')).toBe(true)
  })

  test('stays void when the disk brings it back after the log went on', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    commit(log)
    const before = newestSegment(disk)
    append(log, 1, entry(2, 1, 'lost'))
    const after = newestSegment(disk)
    const torn = disk.clone()
    overwrite(torn, after.name, before.bytes)
    append(await open(torn), 1, entry(2, 2, 'kept'))
    overwrite(torn, after.name, after.bytes)
    expect(contents(await open(torn.clone()), 1)).toEqual(['1@1', 'kept'])
  })
})

describe('a batch that the operating system shows and the disk does not have', () => {
  test('is on the disk once a restart has served it', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      let refuse = false
      const before = (operation: DiskOperation) => {
        if (operation === 'sync' && refuse) throw new TroupeError('DISK_FAILED', 'EIO')
      }
      const disk = new VirtualDisk({ random: new SeededRandom(seed), before })
      const log = await open(disk)
      append(log, 1, entry(1, 1))
      refuse = true
      expect(isTroupeError(append(log, 1, entry(2, 1)), 'DISK_FAILED')).toBe(true)
      disk.kill()
      const second = disk.reopen({ random: new SeededRandom(seed) })
      expect(contents(await open(second), 1)).toEqual(['1@1', '2@1'])
      second.crash()
      expect(contents(await open(second.reopen()), 1)).toEqual(['1@1', '2@1'])
    }
  })
})

describe('a crash during recovery', () => {
  test('at every operation costs nothing of what was acknowledged before', async () => {
    const large = 'x'.repeat(3000)
    for (let at = 1; at <= 30; at++) {
      for (let seed = 1; seed <= 15; seed++) {
        const disk = virtualDisk()
        const log = await open(disk)
        append(log, 1, entry(1, 1))
        append(log, 1, entry(2, 1, large))
        disk.kill()
        let operations = 0
        const before = () => {
          operations++
          if (operations === at) throw new PowerCut()
        }
        const second = disk.reopen({ random: new SeededRandom(seed), before })
        const error = await failure(open(second))
        expect(error === undefined || error instanceof PowerCut).toBe(true)
        second.crash()
        expect(contents(await open(second.reopen({ random: new SeededRandom(1) })), 1)).toEqual(['1@1', large])
      }
    }
  })
})

describe('a sector of another log that came to this place', () => {
  test('fits by every checksum and is found by the chain', async () => {
    const disk = virtualDisk()
    append(await open(disk), 1, entry(1, 1))
    disk.kill()
    const [one, other] = [disk.reopen(), disk.reopen().clone()]
    const log = await open(one)
    const before = newestSegment(one)
    append(log, 1, entry(2, 2, 'this'))
    append(log, 1, entry(3, 2))
    commit(log)
    append(await open(other), 1, entry(2, 2, 'that'))
    const foreign = other.open(before.name).read(0, before.bytes.length)
    const at = firstDifference(before.bytes, foreign)
    one.open(before.name).write(at, foreign.subarray(at, at + SECTOR))
    expect(isTroupeError(await refusal(one.clone()), 'DATA_DAMAGED')).toBe(true)
  })
})

describe('a log that leaves syncing to the operating system', () => {
  test('keeps a prefix of its batches over a power cut, however often, and is never taken for damaged', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      let disk = virtualDisk({ random: new SeededRandom(seed) })
      let kept: string[] = []
      for (let round = 1; round <= 4; round++) {
        const log = await open(disk, { durability: 'os', segmentBytes: 4096 })
        let start = log.recovered.get(group(1))?.start.index ?? 0
        expect(contents(log, 1, start)).toEqual(kept)
        const before = start + kept.length
        for (let index = before + 1; index <= before + 15; index++) {
          append(log, 1, entry(index, round, `${index}@${round}`.padEnd(seed * 10)))
        }
        const upTo = { index: before + 5, term: round }
        const written = [...Array.from({ length: start }, () => ''), ...kept, ...contents(log, 1, before)]
        if (seed % 2 === 0) log.compact(group(1), upTo)
        commit(log)
        disk.crash()
        disk = disk.reopen()
        const again = await open(disk, { durability: 'os', segmentBytes: 4096 })
        start = again.recovered.get(group(1))?.start.index ?? 0
        kept = contents(again, 1, start)
        expect(start + kept.length).toBeGreaterThanOrEqual(before)
        expect(kept).toEqual(written.slice(start, start + kept.length))
        again.close()
        disk.kill()
        disk = disk.reopen()
        const synced = await open(disk, { durability: 'disk', segmentBytes: 4096 })
        append(synced, 1, entry(start + kept.length + 1, round, 'synced'))
        kept = [...kept, 'synced']
        disk.crash()
        disk = disk.reopen()
      }
    }
  })
})

describe('damage below the marker', () => {
  test('is refused wherever it is, by file and offset, and changes nothing', async () => {
    const disk = virtualDisk()
    const log = await open(disk, { segmentBytes: 4096 })
    log.stage(group(1), { type: 'hard-state', term: 1, vote: node('n1') })
    for (let index = 1; index <= 20; index++) append(log, 1 + (index % 2), entry(Math.ceil(index / 2), 1))
    log.close()
    disk.kill()
    const written = disk.reopen()
    const begun = written.list().filter((name) => writtenBytes(written, name).length > 0)
    for (const name of begun) {
      for (const at of writtenBytes(written, name, name === begun.at(-1) ? 1 : 0)) {
        const copy = written.clone()
        copy.flip(name, at, at % 8)
        const names = copy.list()
        expect([isTroupeError(await refusal(copy), 'DATA_DAMAGED'), name, at]).toEqual([true, name, at])
        expect(copy.list()).toEqual(names)
      }
    }
  })

  test('includes a segment that is gone', async () => {
    const disk = virtualDisk()
    const log = await open(disk, { segmentBytes: 4096 })
    for (let index = 1; index <= 60; index++) append(log, 1, entry(index, 1))
    log.close()
    disk.kill()
    const written = disk.reopen()
    const names = written.list().filter((name) => name.startsWith('log-') && writtenBytes(written, name).length > 0)
    expect(names.length).toBeGreaterThan(4)
    for (const name of names) {
      const copy = written.clone()
      copy.remove(name)
      expect([isTroupeError(await refusal(copy), 'DATA_DAMAGED'), name]).toEqual([true, name])
    }
  })

  test('includes the newest segment emptied, and all of them gone', async () => {
    for (const entries of [1, 60]) {
      const disk = virtualDisk()
      const log = await open(disk, { segmentBytes: 4096 })
      for (let index = 1; index <= entries; index++) append(log, 1, entry(index, 1))
      disk.kill()
      const emptied = disk.reopen()
      const names = emptied.list().filter((file) => file.startsWith('log-'))
      const name = names.filter((file) => writtenBytes(emptied, file).length > 0).at(-1) ?? ''
      overwrite(emptied, name, new Uint8Array(emptied.open(name).size))
      const lost = emptied.clone()
      for (const file of names) lost.remove(file)
      for (const copy of [emptied, lost]) {
        expect(await refusal(copy)).toMatchObject({ code: 'DATA_DAMAGED', details: { file: name } })
      }
    }
  })

  test('is not seen in files whose names no segment has', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    disk.kill()
    const next = disk.reopen()
    for (const name of [
      'log-',
      'log-1',
      'log-00000000',
      'log-000000007',
      'log-4294967296',
      'log-99999999999999999999',
    ]) {
      next.open(name, 3)
    }
    expect(contents(await open(next), 1)).toEqual(['1@1'])
  })

  test('is not seen in segments that a log left to the operating system, and that a power cut took', async () => {
    const disk = virtualDisk()
    const log = await open(disk, { segmentBytes: 4096, durability: 'os' })
    for (let index = 1; index <= 60; index++) append(log, 1, entry(index, 1))
    const names = disk.list().filter((file) => file.startsWith('log-'))
    disk.kill()
    const cut = disk.reopen()
    for (const file of names.slice(1)) cut.remove(file)
    expect(contents(await open(cut, { segmentBytes: 4096, durability: 'os' }), 1)).toContain('1@1')
  })
})

/** What group 1 has in its log. */
interface Content {
  readonly term: number
  readonly start: number
  readonly texts: readonly string[]
}

/** What a run was told to be durable, and what it had staged beyond. */
interface Run {
  acknowledged: Content
  staged: Content
}

const NOTHING: Content = { term: 0, start: 0, texts: [] }

/** A hundred operations of every kind, with truncations, new segments and recycled ones. */
async function workload(disk: VirtualDisk, run: Run): Promise<void> {
  const log = await open(disk, { segmentBytes: 4096, limitBytes: 12 * 1024, cacheBytes: 256 })
  let last = 0
  for (let step = 1; step <= 40; step++) {
    last += step % 7 === 0 ? -1 : 1
    const payload = `${last}:${step}${'.'.repeat(step * 9)}`
    log.stage(group(1), { type: 'hard-state', term: step, vote: undefined })
    log.stage(group(1), { type: 'entries', entries: [entry(last, step, payload)] })
    if (step % 5 === 0) compactTo(log, last - 3)
    const start = step < 5 ? 0 : Math.max(run.acknowledged.start, step % 5 === 0 ? last - 3 : 0)
    run.staged = { term: step, start, texts: contents(log, 1, start) }
    if (commit(log) !== undefined) return
    run.acknowledged = run.staged
  }
  log.close()
}

function compactTo(log: LogDevice, index: number): void {
  const [covered] = log.entries(group(1), { from: index, until: index + 1, bytes: 0 })
  if (covered !== undefined) log.compact(group(1), { index, term: covered.term })
}

class PowerCut extends Error {}

describe('a crash at every operation of the disk', () => {
  test('loses nothing that was acknowledged and invents nothing', async () => {
    const total = await countOperations()
    expect(total).toBeGreaterThan(100)
    for (let at = 1; at <= total; at++) {
      for (const seed of [1, 2, 3]) await crashAt(at, seed)
    }
  })

  test('an error at every operation acknowledges nothing from there on', async () => {
    const total = await countOperations()
    for (let at = 1; at <= total; at++) {
      const run: Run = { acknowledged: NOTHING, staged: NOTHING }
      const disk = diskThat((_, count) => (count >= at ? 'fail' : 'work'))
      const error = await failure(workload(disk, run))
      expect(error === undefined || isTroupeError(error, 'DISK_FAILED')).toBe(true)
      disk.crash()
      await expectKept(disk.reopen({ random: new SeededRandom(at) }), [run.acknowledged, run.staged])
    }
  })

  async function countOperations(): Promise<number> {
    let operations = 0
    await workload(virtualDisk({ before: () => operations++ }), { acknowledged: NOTHING, staged: NOTHING })
    return operations
  }

  async function crashAt(at: number, seed: number): Promise<void> {
    const run: Run = { acknowledged: NOTHING, staged: NOTHING }
    const disk = diskThat((_, count) => (count === at ? 'cut' : 'work'), seed)
    expect(await failure(workload(disk, run))).toBeInstanceOf(PowerCut)
    disk.crash()
    const second = disk.reopen({ random: new SeededRandom(seed) })
    const found = await expectKept(second, [run.acknowledged, run.staged])
    second.crash()
    await expectKept(second.reopen(), [found])
  }

  async function expectKept(disk: VirtualDisk, expected: readonly Content[]): Promise<Content> {
    const log = await open(disk, { segmentBytes: 4096 })
    const recovered = log.recovered.get(group(1))
    const start = recovered?.start.index ?? 0
    const found = { term: recovered?.term ?? 0, start, texts: contents(log, 1, start) }
    expect(expected).toContainEqual(found)
    return found
  }

  function diskThat(
    decide: (operation: DiskOperation, count: number) => 'work' | 'fail' | 'cut',
    seed = 1,
  ): VirtualDisk {
    const options: VirtualDiskOptions = {
      random: new SeededRandom(seed),
      before: (operation, count) => {
        const fate = decide(operation, count)
        if (fate === 'cut') throw new PowerCut()
        if (fate === 'fail') throw new TroupeError('DISK_FAILED', operation)
      },
    }
    return new VirtualDisk(options)
  }
})

function firstDifference(one: Uint8Array, other: Uint8Array): number {
  return Math.floor(one.findIndex((byte, at) => byte !== other[at]) / SECTOR) * SECTOR
}

/** Offsets of the bytes of headers and records, without padding, and without the last few batches. */
function writtenBytes(disk: VirtualDisk, name: string, butLast = 0): number[] {
  const file = disk.open(name)
  const bytes = file.read(0, file.size)
  const view = new DataView(bytes.buffer)
  const batches: number[][] = []
  for (let at = 0; at < bytes.length && view.getUint32(at, true) === 0x4c505254; ) {
    const from = at
    const size = 64 + view.getUint32(at + 40, true)
    batches.push(Array.from({ length: size }, (_, offset) => from + offset))
    at += Math.ceil(size / SECTOR) * SECTOR
  }
  return batches.slice(0, batches.length - butLast).flat()
}

describe('a log', () => {
  test('holds what an array would hold, through writes, truncations, compactions and crashes', async () => {
    const operation = fc.oneof(
      fc.record({ type: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }), size: fc.nat(900) }),
      fc.record({ type: fc.constant('truncate' as const), back: fc.nat(6) }),
      fc.record({ type: fc.constant('compact' as const), keep: fc.nat(6) }),
      fc.record({ type: fc.constant('crash' as const) }),
      fc.record({ type: fc.constant('restart' as const) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), fc.nat(), async (operations, seed) => {
        let disk = virtualDisk({ random: new SeededRandom(seed) })
        let log = await open(disk, { segmentBytes: 4096, cacheBytes: 1000 })
        let model: { index: number; term: number; text: string }[] = []
        let start = 0
        let term = 1
        for (const step of operations) {
          term++
          const last = start + model.length
          const chain = log.chainAt(group(1), last)
          let chainAgain = chain
          if (step.type === 'append' || step.type === 'truncate') {
            const from = step.type === 'append' ? last + 1 : Math.max(start + 1, last - step.back)
            const count = step.type === 'append' ? step.count : 1
            const size = step.type === 'append' ? step.size : 1
            const fresh = Array.from({ length: count }, (_, at) => ({
              index: from + at,
              term,
              text: `${term}`.padEnd(size),
            }))
            model = [...model.slice(0, from - start - 1), ...fresh]
            append(log, 1, ...fresh.map((made) => entry(made.index, made.term, made.text)))
          } else if (step.type === 'compact') {
            const upTo = model.at(-1 - step.keep)
            if (upTo === undefined) continue
            log.compact(group(1), upTo)
            commit(log)
            model = model.slice(upTo.index - start)
            start = upTo.index
          } else {
            if (step.type === 'restart') log.close()
            disk.crash()
            disk = disk.reopen()
            log = await open(disk, { segmentBytes: 4096, cacheBytes: 1000 })
            chainAgain = log.chainAt(group(1), last)
          }
          expect(chainAgain).toBe(chain)
          expect(contents(log, 1, start)).toEqual(model.map(({ text }) => text))
        }
      }),
      { numRuns: 150 },
    )
  })
})

test('others may work after each segment that is read, and what is read is the same', async () => {
  const disk = virtualDisk()
  const log = await open(disk)
  for (let index = 1; index <= 40; index++) append(log, 1, entry(index, 1, `${index}`.padEnd(3000, 'x')))
  const written = contents(log, 1)
  disk.kill()
  let breaths = 0
  const breathe = async (): Promise<void> => {
    breaths++
    await new Promise((resolve) => setImmediate(resolve))
  }
  const again = await open(disk.reopen(), { breathe })
  expect(breaths).toBeGreaterThan(5)
  expect(contents(again, 1)).toEqual(written)
  expect(written).toHaveLength(40)
})
