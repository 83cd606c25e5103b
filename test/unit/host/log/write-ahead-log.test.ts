import { describe, expect, test } from 'vitest'
import { isTroupeError, TroupeError } from '../../../../src/base/error.ts'
import { append, commit, contents, entry, group, node, open, virtualDisk } from './scene.ts'

describe('a write-ahead log', () => {
  test('gives back after a restart what was committed', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    log.stage(group(1), { type: 'hard-state', term: 3, vote: node('n2') })
    log.stage(group(1), { type: 'entries', entries: [entry(1, 3), entry(2, 3)] })
    log.stage(group(7), { type: 'entries', entries: [{ ...entry(1, 1), kind: 'configuration' }] })
    expect(commit(log)).toBeUndefined()
    disk.crash()
    const again = await open(disk.reopen())
    expect(again.recovered.get(group(1))).toEqual({
      term: 3,
      vote: 'n2',
      start: { index: 0, term: 0 },
      log: [
        { term: 3, size: 3 },
        { term: 3, size: 3 },
      ],
    })
    expect(contents(again, 1)).toEqual(['1@3', '2@3'])
    expect(again.entries(group(7), { from: 1, until: 2, bytes: 0 })[0]?.kind).toBe('configuration')
    expect(again.chainAt(group(1), 2)).toBe(log.chainAt(group(1), 2))
  })

  test('forgets what was staged and never committed', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    log.stage(group(1), { type: 'entries', entries: [entry(2, 1)] })
    expect(log.isDirty).toBe(true)
    expect(contents(log, 1)).toEqual(['1@1', '2@1'])
    disk.crash()
    expect(contents(await open(disk.reopen()), 1)).toEqual(['1@1'])
  })

  test('replaces entries from the first one of a later write on', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1), entry(2, 1), entry(3, 1))
    append(log, 1, entry(2, 2))
    expect(contents(log, 1)).toEqual(['1@1', '2@2'])
    disk.crash()
    const again = await open(disk.reopen())
    expect(contents(again, 1)).toEqual(['1@1', '2@2'])
    expect(again.chainAt(group(1), 2)).toBe(log.chainAt(group(1), 2))
  })

  test('reads entries that memory has let go from their segments', async () => {
    const log = await open(virtualDisk(), { cacheBytes: 100 })
    for (let index = 1; index <= 500; index++) append(log, 1, entry(index, 1))
    expect(contents(log, 1)).toEqual(Array.from({ length: 500 }, (_, at) => `${at + 1}@1`))
  })

  test('hands out no more bytes than asked for, but at least one entry', async () => {
    const log = await open(virtualDisk())
    append(log, 1, entry(1, 1, 'x'.repeat(100)), entry(2, 1, 'y'.repeat(100)), entry(3, 1, 'z'))
    const range = { from: 1, until: 4 }
    expect(log.entries(group(1), { ...range, bytes: 10 })).toHaveLength(1)
    expect(log.entries(group(1), { ...range, bytes: 200 })).toHaveLength(2)
    expect(log.entries(group(1), { ...range, bytes: 201 })).toHaveLength(3)
  })

  test('starts after an installed snapshot and goes on from its chain', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1), entry(2, 1))
    log.stage(group(1), { type: 'snapshot', position: { index: 50, term: 4 }, chain: 12345 })
    append(log, 1, entry(51, 4))
    disk.crash()
    const again = await open(disk.reopen())
    expect(again.recovered.get(group(1))).toMatchObject({ start: { index: 50, term: 4 }, log: [{ term: 4, size: 4 }] })
    expect(again.chainAt(group(1), 50)).toBe(12345)
    expect(again.chainAt(group(1), 49)).toBeUndefined()
    expect(contents(again, 1, 50)).toEqual(['51@4'])
  })

  test('keeps a batch that is larger than a segment', async () => {
    const disk = virtualDisk()
    const log = await open(disk)
    append(log, 1, entry(1, 1, 'x'.repeat(50_000)), entry(2, 1))
    append(log, 1, entry(3, 1))
    disk.crash()
    expect((await open(disk.reopen())).recovered.get(group(1))?.log.map(({ size }) => size)).toEqual([50_000, 3, 3])
  })

  test('recycles segments whose entries are compacted, and recovers from the ones that are left', async () => {
    const disk = virtualDisk()
    const log = await open(disk, { limitBytes: 64 * 1024 })
    append(log, 2, entry(1, 1))
    for (let index = 1; index <= 1000; index++) {
      append(log, 1, entry(index, 1))
      for (const id of log.groupsToCompact()) log.compact(id, { index: id === 2 ? 1 : index - 10, term: 1 })
    }
    const segments = disk.list().filter((name) => name.startsWith('log-'))
    expect(segments.length).toBeLessThan(8)
    disk.crash()
    const again = await open(disk.reopen())
    const start = again.recovered.get(group(1))?.start.index ?? 0
    expect(start).toBeGreaterThan(800)
    expect(contents(again, 1, start).at(-1)).toBe('1000@1')
    expect(again.recovered.get(group(2))).toMatchObject({ start: { index: 1, term: 1 }, log: [] })
  })

  test('tries once for each segment to prepare the next, where the disk has no room for it', async () => {
    let prepared = 0
    const disk = virtualDisk({
      before: (operation) => {
        if (operation !== 'prepare') return
        prepared++
        throw new TroupeError('DISK_FAILED', 'ENOSPC')
      },
    })
    const log = await open(disk)
    for (let index = 1; index <= 200; index++) expect(append(log, 1, entry(index, 1))).toBeUndefined()
    const segments = disk.list().filter((name) => name.startsWith('log-'))
    expect(segments.length).toBeGreaterThan(5)
    expect(prepared).toBeLessThanOrEqual(segments.length)
    expect(contents(await open(disk.clone()), 1)).toHaveLength(200)
  })

  test('fails for good when the disk refuses once', async () => {
    let refuse = false
    let syncs = 0
    const disk = virtualDisk({
      before: (operation) => {
        if (operation !== 'sync') return
        syncs++
        if (refuse) throw new TroupeError('DISK_FAILED', 'EIO')
      },
    })
    const log = await open(disk)
    append(log, 1, entry(1, 1))
    refuse = true
    expect(isTroupeError(append(log, 1, entry(2, 1)), 'DISK_FAILED')).toBe(true)
    refuse = false
    const tries = syncs
    expect(isTroupeError(append(log, 1, entry(3, 1)), 'DISK_FAILED')).toBe(true)
    expect(syncs).toBe(tries)
  })

  test('is the same after ten restarts, each of which goes on writing', async () => {
    let disk = virtualDisk()
    for (let round = 0; round < 10; round++) {
      const log = await open(disk)
      expect(contents(log, 1)).toHaveLength(round * 2)
      append(log, 1, entry(round * 2 + 1, 1), entry(round * 2 + 2, 1))
      if (round % 2 === 0) log.close()
      disk.crash()
      disk = disk.reopen()
    }
  })
})
