import { describe, expect, test } from 'vitest'
import { decodeChanges } from '../../../../src/machine/key-value/changes.ts'
import { SHARD_LIMITS, Shard } from '../../../../src/machine/shard.ts'
import { apply, deleting, setting } from '../operations.ts'
import { sending } from '../queue/operations.ts'

describe('changes', () => {
  const everything = { map: 'm', from: '', until: '' }

  test('are those after a revision, in their order', () => {
    const shard = new Shard()
    apply(shard, 10, setting('a', 1), setting('b', 2), deleting('a'), deleting('none'))
    const { changes, ...rest } = shard.changes.after(10, everything, 1000)
    expect(rest).toEqual({ count: 2, through: 12, compacted: false })
    expect(decodeChanges(changes)).toEqual([
      { type: 'set', key: 'b', revision: 11, value: Uint8Array.of(2) },
      { type: 'delete', key: 'a', revision: 12, value: new Uint8Array(0) },
    ])
  })

  test('are read in parts without a gap or a repetition', () => {
    const shard = new Shard()
    apply(shard, 1, ...Array.from({ length: 50 }, (_, at) => setting(`k${at % 7}`, at)))
    const seen: number[] = []
    let revision = 0
    while (revision < shard.revision) {
      const part = shard.changes.after(revision, { map: 'm', from: 'k2', until: 'k5' }, 60)
      seen.push(...decodeChanges(part.changes).map((change) => change.value[0] ?? -1))
      revision = part.through
    }
    expect(seen).toEqual(Array.from({ length: 50 }, (_, at) => at).filter((at) => at % 7 >= 2 && at % 7 < 5))
  })

  test('leave out other maps and other keys', () => {
    const shard = new Shard()
    apply(shard, 10, setting('a', 1), setting('c', 2))
    expect(shard.changes.after(0, { map: 'other', from: '', until: '' }, 1000)).toMatchObject({ count: 0, through: 11 })
    expect(shard.changes.after(0, { map: 'm', from: 'b', until: '' }, 1000)).toMatchObject({ count: 1, through: 11 })
  })

  test('are forgotten in the order of their coming when there are too many, and say so', () => {
    const shard = new Shard({
      ...SHARD_LIMITS,
      changes: { count: 32, bytes: 10_000 },
      sessions: { sessions: 10, expired: 10 },
    })
    shard.changes.after(0, everything, 1)
    for (let at = 1; at <= 100; at++) apply(shard, at, setting('k', at))
    expect(shard.changes.after(0, everything, 1000)).toMatchObject({ count: 0, compacted: true })
    const kept = shard.changes.after(80, everything, 10_000)
    expect(kept).toMatchObject({ count: 20, through: 100, compacted: false })
    const oldest = Array.from({ length: 100 }, (_, at) => at).find(
      (at) => !shard.changes.after(at, everything, 1).compacted,
    )
    expect(oldest).toBeGreaterThanOrEqual(68)
  })

  test('are a quarter as many before anybody has asked for some', () => {
    const limits = { ...SHARD_LIMITS, changes: { count: 32, bytes: 10_000 }, sessions: { sessions: 10, expired: 10 } }
    const kept = (shard: Shard) => {
      for (let at = 1; at <= 100; at++) apply(shard, at, setting('k', at))
      return shard.changes.after(100 - 20, everything, 10_000).compacted
    }
    const asked = new Shard(limits)
    asked.changes.after(0, everything, 1)
    expect([kept(new Shard(limits)), kept(asked)]).toEqual([true, false])
  })

  test('are not part of a snapshot', () => {
    const shard = new Shard()
    apply(shard, 10, setting('a', 1))
    const copy = new Shard()
    copy.restore(shard.freeze().chunks())
    apply(copy, 20, setting('b', 2))
    expect(copy.changes.after(9, everything, 1000).compacted).toBe(true)
    expect(copy.changes.after(10, everything, 1000)).toMatchObject({ count: 1, compacted: false })
  })

  test('are read to the end, also when the last revisions changed no map', () => {
    const shard = new Shard()
    apply(shard, 10, setting('a', 1))
    apply(shard, 20, sending('a message'))
    expect(shard.changes.after(0, everything, 1000)).toMatchObject({ count: 1, through: shard.revision })
  })
})
