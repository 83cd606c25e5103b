import { describe, expect, test } from 'vitest'
import { decodeChanges } from '../../../../src/machine/key-value/changes.ts'
import { attachPart, decodeLockState, fencePart, LEASE_MAP, LOCK_MAP } from '../../../../src/machine/lease/command.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { anyone, apply, from, get, setting } from '../operations.ts'
import {
  acquiring,
  expiring,
  granting,
  holders,
  lettingGo,
  lockState,
  locks,
  part,
  restored,
  revoking,
  together,
  tokenOf,
  verify,
  waiters,
} from './operations.ts'

function shardWith(...leases: number[]): Shard {
  const shard = new Shard()
  apply(shard, 1, ...leases.map((lease) => granting(lease)))
  return shard
}

const changesOf = (shard: Shard, map: string, after = 0) =>
  decodeChanges(shard.changes.after(after, { map, from: '', until: '' }, 1_000_000).changes)

describe('a lock', () => {
  test('is held by one lease, and passes on in the order of asking', () => {
    const shard = shardWith(1, 2, 3)
    const [first, second, third] = apply(shard, 2, acquiring('l', 1), acquiring('l', 3), acquiring('l', 2))
    expect([first, second, third]).toMatchObject([{ status: 'ok' }, { status: 'waiting' }, { status: 'waiting' }])
    expect(waiters(shard, 'l')).toEqual([3, 2])
    apply(shard, 3, lettingGo('l', 1))
    expect([holders(shard, 'l'), waiters(shard, 'l')]).toEqual([[3], [2]])
    expect(tokenOf(shard, 'l')).toBeGreaterThan(first?.revision ?? 0)
    apply(shard, 4, lettingGo('l', 3), lettingGo('l', 2))
    expect(lockState(shard, 'l')).toBeUndefined()
  })

  test('is answered alike when the same lease asks again, before and after the grant', () => {
    const shard = shardWith(1, 2)
    const [held, place] = apply(shard, 2, acquiring('l', 1), acquiring('l', 2))
    expect(apply(shard, 3, acquiring('l', 1), acquiring('l', 2, { wait: false }))).toEqual([held, place])
    apply(shard, 4, lettingGo('l', 1))
    expect(apply(shard, 5, acquiring('l', 2))).toEqual([{ status: 'ok', revision: tokenOf(shard, 'l') }])
  })

  test('is nobody’s without a lease, and refused at once to who does not want to wait', () => {
    const shard = shardWith(1, 2)
    expect(apply(shard, 2, acquiring('l', 9), acquiring('l', 1), acquiring('l', 2, { wait: false }))).toMatchObject([
      { status: 'fenced', revision: 0 },
      { status: 'ok' },
      { status: 'conflict', revision: 0 },
    ])
    expect(apply(shard, 2, acquiring('l', 2, { of: 5 }))).toEqual([{ status: 'conflict', revision: 1 }])
    expect(waiters(shard, 'l')).toEqual([])
  })

  test('admits readers together and writers alone, and no reader overtakes a writer that waits', () => {
    const shard = shardWith(1, 2, 3, 4)
    const all = 2 ** 32 - 1
    const [reader, writer] = [{ of: all }, { of: all, permits: all }]
    apply(shard, 2, acquiring('l', 1, reader), acquiring('l', 2, reader))
    apply(shard, 2, acquiring('l', 3, writer), acquiring('l', 4, reader))
    expect([holders(shard, 'l'), waiters(shard, 'l')]).toEqual([
      [1, 2],
      [3, 4],
    ])
    apply(shard, 3, lettingGo('l', 1))
    expect(holders(shard, 'l')).toEqual([2])
    apply(shard, 4, lettingGo('l', 2))
    expect(holders(shard, 'l')).toEqual([3])
    apply(shard, 5, lettingGo('l', 3))
    expect(holders(shard, 'l')).toEqual([4])
  })

  test('lets those behind through when one that waited for more gives up', () => {
    const shard = shardWith(1, 2, 3)
    apply(
      shard,
      2,
      acquiring('l', 1, { of: 3 }),
      acquiring('l', 2, { of: 3, permits: 3 }),
      acquiring('l', 3, { of: 3 }),
    )
    expect(waiters(shard, 'l')).toEqual([2, 3])
    apply(shard, 3, lettingGo('l', 2))
    expect([holders(shard, 'l'), waiters(shard, 'l')]).toEqual([[1, 3], []])
  })

  test('is handed over to a chosen one of those who wait', () => {
    const shard = shardWith(1, 2, 3, 4)
    apply(shard, 2, ...[1, 2, 3, 4].map((lease) => acquiring('l', lease)))
    apply(shard, 3, lettingGo('l', 1, 4))
    expect([holders(shard, 'l'), waiters(shard, 'l')]).toEqual([[4], [2, 3]])
    apply(shard, 4, lettingGo('l', 4, 99))
    expect(holders(shard, 'l')).toEqual([2])
  })

  test('stays shut for its delay after its holder’s lease expired, but not after it was given back', () => {
    const shard = shardWith(1, 2, 3)
    apply(shard, 1000, acquiring('l', 1, { delayMs: 5 }), acquiring('l', 2, { delayMs: 5 }))
    apply(shard, 2000, expiring(1))
    expect([holders(shard, 'l'), waiters(shard, 'l'), shard.dueAt]).toEqual([[], [2], 7000])
    expect(apply(shard, 6999, acquiring('l', 3, { wait: false }))).toMatchObject([{ status: 'conflict' }])
    apply(shard, 7000)
    expect([holders(shard, 'l'), shard.dueAt]).toEqual([[2], Number.POSITIVE_INFINITY])
    apply(shard, 8000, revoking(2))
    expect(apply(shard, 8000, acquiring('l', 3, { wait: false }))).toMatchObject([{ status: 'ok' }])
  })

  test('tells who watches of every change, and that it is gone', () => {
    const shard = shardWith(1, 2)
    apply(shard, 2, acquiring('l', 1), acquiring('l', 2))
    apply(shard, 3, lettingGo('l', 1), lettingGo('l', 2))
    const seen = changesOf(shard, LOCK_MAP)
    expect(seen.map(({ type, key }) => [type, key])).toEqual([
      ['set', 'l'],
      ['set', 'l'],
      ['set', 'l'],
      ['delete', 'l'],
    ])
    const passed = decodeLockState(seen[2]?.value ?? new Uint8Array(0))
    expect(passed).toMatchObject({ of: 1, holding: 1, waiting: 0, holders: [{ lease: 2, permits: 1 }] })
    expect(passed.holders[0]?.value).toEqual(Uint8Array.of(2))
  })

  test('lists of a long line what fits, and counts all', () => {
    const leases = Array.from({ length: 600 }, (_, index) => index + 1)
    const shard = shardWith(...leases)
    apply(shard, 2, ...leases.map((lease) => acquiring('l', lease, { value: new Uint8Array(100) })))
    const state = lockState(shard, 'l')
    expect(state).toMatchObject({ holding: 1, waiting: 599 })
    expect(state?.waiters.length).toBeLessThan(200)
    expect(state?.waiters[0]?.lease).toBe(2)
  })
})

describe('a lease', () => {
  test('is granted once, and again under the same id only after its end', () => {
    const shard = shardWith(1)
    expect(apply(shard, 2, granting(1), revoking(1), revoking(1), granting(1))).toMatchObject([
      { status: 'duplicate' },
      { status: 'ok' },
      { status: 'absent' },
      { status: 'ok' },
    ])
    expect([...shard.view.leases.leases()]).toMatchObject([{ id: 1, ttlMs: 10_000 }])
  })

  test('that ends gives up what it holds and waits for, and deletes its keys', () => {
    const shard = shardWith(1, 2, 3)
    apply(shard, 2, acquiring('a', 1), acquiring('b', 2), acquiring('b', 1), acquiring('b', 3), acquiring('a', 3))
    apply(shard, 3, setting('mine', 1), setting('other', 1))
    apply(shard, 3, together([attachPart('m', 'mine', 1)]), together([attachPart('m', 'other', 1)]))
    expect(apply(shard, 3, together([attachPart('m', 'other', 2)]))).toMatchObject([{ status: 'ok' }])
    apply(shard, 4, expiring(1))
    expect([holders(shard, 'a'), holders(shard, 'b'), waiters(shard, 'b')]).toEqual([[3], [2], [3]])
    expect([get(shard, 'mine').status, get(shard, 'other').status]).toEqual(['absent', 'ok'])
    expect(changesOf(shard, LEASE_MAP)).toMatchObject([{ type: 'delete', key: '1' }])
    expect(changesOf(shard, 'm').at(-1)).toMatchObject({ type: 'delete', key: 'mine' })
  })

  test('does not take along what was written since by whoever has no lease, also on a replica that was restored', () => {
    const shard = shardWith(1)
    const tied = (key: string) => together([part(setting(key, 1)), attachPart('m', key, 1)])
    apply(shard, 2, tied('mine'), tied('written'), tied('again'), setting('written', 2), tied('again'))
    const copy = restored(shard)
    for (const each of [shard, copy]) {
      apply(each, 3, expiring(1))
      expect(['mine', 'written', 'again'].map((key) => get(each, key).status)).toEqual(['absent', 'ok', 'absent'])
    }
    expect(copy.digest()).toBe(shard.digest())
  })

  test('that is gone takes no keys, and one that ends in the same transaction takes its new keys along', () => {
    const shard = shardWith(1)
    const key = part(setting('k', 1))
    expect(apply(shard, 2, together([key, attachPart('m', 'k', 9)]))).toEqual([{ status: 'fenced', revision: 0 }])
    expect(get(shard, 'k').status).toBe('absent')
    const ending = part(revoking(1))
    expect(apply(shard, 2, together([ending, key, attachPart('m', 'k', 1)]))).toMatchObject([{ status: 'ok' }])
    expect(get(shard, 'k').status).toBe('absent')
  })
})

describe('a fence', () => {
  const fenced = (token: number, isHome = false, name = 'l') =>
    together([fencePart(name, token, isHome), part(setting('k', token % 256))])

  test('refuses every token but the newest that it has seen', () => {
    const shard = new Shard()
    expect(apply(shard, 1, fenced(7), fenced(6), fenced(7), fenced(8), fenced(7), fenced(3, false, 'x'))).toMatchObject(
      [
        { status: 'ok' },
        { status: 'fenced', revision: 7 },
        { status: 'ok' },
        { status: 'ok' },
        { status: 'fenced', revision: 8 },
        { status: 'ok' },
      ],
    )
  })

  test('where the lock lives lets exactly its holders through, whoever has written before', () => {
    const shard = shardWith(1, 2)
    const [held] = apply(shard, 2, acquiring('l', 1), acquiring('l', 2))
    const old = held?.revision ?? 0
    expect(apply(shard, 3, fenced(old, true), fenced(old + 1, true))).toMatchObject([
      { status: 'ok' },
      { status: 'fenced', revision: old },
    ])
    apply(shard, 4, lettingGo('l', 1))
    const present = tokenOf(shard, 'l')
    expect(apply(shard, 5, fenced(old, true), fenced(present, true))).toMatchObject([
      { status: 'fenced', revision: present },
      { status: 'ok' },
    ])
    apply(shard, 6, lettingGo('l', 2))
    expect(apply(shard, 7, fenced(present, true))).toEqual([{ status: 'fenced', revision: 0 }])
    expect(get(shard, 'k').value).toEqual(Uint8Array.of(present % 256))
  })

  test('refuses 0, which was never granted', () => {
    const shard = new Shard()
    expect(apply(shard, 1, fenced(0), fenced(9), fenced(0), fenced(0, true))).toEqual([
      { status: 'fenced', revision: 0 },
      { status: 'ok', revision: 1 },
      { status: 'fenced', revision: 9 },
      { status: 'fenced', revision: 0 },
    ])
  })

  test('is a part only', () => {
    const alone = together([fencePart('l', 1, false)])
    const shard = new Shard()
    const command = setting('k', 1)
    command[0] = fencePart('l', 1, false).kind
    expect(apply(shard, 1, command, alone)).toMatchObject([{ status: 'unsupported' }, { status: 'ok' }])
  })

  test('token is confirmed to third parties while it holds', () => {
    const shard = shardWith(1, 2)
    const [held] = apply(shard, 2, acquiring('l', 1), acquiring('l', 2))
    const token = held?.revision ?? 0
    expect(verify(shard, 'l', token)).toEqual({ status: 'ok', revision: token })
    apply(shard, 3, expiring(1))
    expect(verify(shard, 'l', token)).toEqual({ status: 'fenced', revision: tokenOf(shard, 'l') })
  })
})

test('locks are listed by name, page by page', () => {
  const shard = shardWith(1)
  apply(shard, 2, ...['b', 'c', 'a'].map((name) => acquiring(name, 1)))
  expect(locks(shard, '', 2)).toMatchObject({ locks: [{ name: 'a' }, { name: 'b' }], hasMore: true })
  expect(locks(shard, 'b', 2)).toMatchObject({ locks: [{ name: 'c' }], hasMore: false })
})

test('a retried acquire of a session is answered as the first time, even when the lock has passed on', () => {
  const shard = shardWith(1, 2)
  const command = acquiring('l', 1, {}, from(5, 1))
  const [first] = apply(shard, 2, command)
  apply(shard, 3, lettingGo('l', 1), acquiring('l', 2))
  expect(apply(shard, 4, command)).toEqual([first])
  expect(holders(shard, 'l')).toEqual([2])
})

test('what is malformed changes nothing', () => {
  const shard = shardWith(1)
  const before = shard.digest()
  const replies = apply(
    shard,
    1,
    granting(0),
    granting(2, anyone, 0),
    acquiring('l', 1, { permits: 0 }),
    acquiring('l', 1, { permits: 2 }),
    acquiring('l', 1, { value: new Uint8Array(1025) }),
    acquiring('l', 1, { delayMs: 86_400_001 }),
    acquiring('l', 1).subarray(0, -1),
    together([{ ...fencePart('l', 1, true), encode: (writer) => writer.u8(2) }]),
  )
  expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 'malformed'))
  expect(shard.digest()).toBe(before)
})

test('a snapshot has leases, line, delays, attached keys and fences', () => {
  const shard = shardWith(1, 2, 3)
  apply(shard, 2, acquiring('l', 1, { delayMs: 9 }), acquiring('l', 2), acquiring('l', 3), setting('k', 1))
  apply(shard, 3, together([attachPart('m', 'k', 2), fencePart('far', 70, false)]), acquiring('z', 3, { delayMs: 4 }))
  apply(shard, 4, expiring(1))
  const copy = restored(shard)
  expect(copy.digest()).toBe(shard.digest())
  expect(copy.dueAt).toBe(shard.dueAt)
  for (const each of [shard, copy]) apply(each, 10_000, expiring(3), revoking(2))
  expect(copy.digest()).toBe(shard.digest())
  expect(get(copy, 'k').status).toBe('absent')
  expect(apply(copy, 10_001, together([fencePart('far', 69, false)]))).toEqual([{ status: 'fenced', revision: 70 }])
})

test('locks whose delays end together are opened in the same order on a replica that was restored', () => {
  const shard = shardWith(1, 2, 3)
  const delayed = { delayMs: 5 }
  apply(shard, 2, acquiring('a', 1, delayed), acquiring('b', 2, delayed), acquiring('a', 3), acquiring('b', 3))
  apply(shard, 3, expiring(2), expiring(1))
  const copy = restored(shard)
  for (const each of [shard, copy]) apply(each, 10_000)
  expect([tokenOf(copy, 'a'), tokenOf(copy, 'b')]).toEqual([tokenOf(shard, 'a'), tokenOf(shard, 'b')])
  expect(tokenOf(shard, 'a')).toBeGreaterThan(0)
})
