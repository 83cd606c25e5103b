import { describe, expect, test } from 'vitest'
import { SHARD_LIMITS, Shard } from '../../../src/machine/shard.ts'
import { apply, deleting, from, get, resolve, setting } from './operations.ts'

const HOUR = 3_600_000_000

describe('a session', () => {
  test('runs a command once and answers its repetition with the same reply', () => {
    const shard = new Shard()
    const once = setting('k', 1, from(9, 1))
    const first = apply(shard, 10, once, setting('k', 2, from(9, 2)))
    expect(apply(shard, 20, once, once)).toEqual([first[0], first[0]])
    expect(get(shard, 'k').value).toEqual(Uint8Array.of(2))
  })

  test('takes commands in any order', () => {
    const shard = new Shard()
    const replies = apply(shard, 10, ...[30, 2, 17, 1].map((sequence) => setting('k', sequence, from(9, sequence))))
    expect(apply(shard, 20, ...[30, 2, 17, 1].map((sequence) => setting('k', 0, from(9, sequence))))).toEqual(replies)
  })

  test('remembers a conflict as well as a success', () => {
    const shard = new Shard()
    const [, conflict] = apply(shard, 10, setting('k', 1, from(9, 1)), setting('k', 2, from(9, 2), 5))
    apply(shard, 11, deleting('k'))
    expect(apply(shard, 12, setting('k', 2, from(9, 2), 0))).toEqual([conflict])
  })

  test('refuses to run again what its client has acknowledged', () => {
    const shard = new Shard()
    apply(shard, 10, setting('k', 1, from(9, 1)), setting('k', 2, from(9, 2, 2)))
    expect(apply(shard, 20, setting('k', 1, from(9, 1)))).toEqual([{ status: 'expired', revision: 0 }])
  })

  test('that is unknown begins only with its first commands', () => {
    const shard = new Shard()
    expect(apply(shard, 10, setting('k', 1, from(9, 2, 2)))).toEqual([{ status: 'expired', revision: 0 }])
    expect(apply(shard, 10, setting('k', 1, from(9, 2, 1)))[0]?.status).toBe('ok')
  })

  test('allows 4,096 commands to be under way', () => {
    const shard = new Shard()
    expect(apply(shard, 10, setting('k', 1, from(9, 4096)), setting('k', 1, from(9, 4097)))).toEqual([
      { status: 'ok', revision: 10 },
      { status: 'overloaded', revision: 0 },
    ])
    expect(apply(shard, 10, setting('k', 1, from(9, 4097, 2)))[0]?.status).toBe('ok')
  })

  test('expires after an idle hour, and never begins anew', () => {
    const shard = new Shard()
    apply(shard, 10, setting('k', 1, from(9, 1)))
    apply(shard, 10 + HOUR, setting('k', 2, from(10, 1)))
    expect(apply(shard, 20 + HOUR, setting('k', 1, from(9, 1)))).toEqual([{ status: 'expired', revision: 0 }])
    expect(get(shard, 'k').value).toEqual(Uint8Array.of(2))
  })

  test('makes room for another at the limit, the one idle for longest first, and refuses what could run twice', () => {
    const limits = { ...SHARD_LIMITS, changes: { count: 10, bytes: 1000 }, sessions: { sessions: 2, expired: 1 } }
    const shard = new Shard(limits)
    const second = 1_000_000
    apply(shard, 0, setting('k', 1, from(1, 1)), setting('k', 1, from(2, 1)))
    apply(shard, 2 * second, setting('k', 2, from(1, 2)))
    const third = (session: number, time: number) => apply(shard, time, setting('k', 3, from(session, 1)))[0]?.status
    expect(third(3, 3 * second)).toBe('ok')
    expect(third(2, 4 * second)).toBe('expired')
    expect(third(4, 5 * second)).toBe('overloaded')
    expect(third(4, 6 * second + HOUR)).toBe('ok')
  })

  test.each([
    ['no sequence', 0, 0],
    ['nothing acknowledged', 1, 0],
    ['more acknowledged than sent', 1, 2],
  ])('refuses a command with %s', (_, sequence, acknowledged) => {
    const replies = apply(new Shard(), 1, setting('k', 1, from(9, sequence, acknowledged)))
    expect(replies).toEqual([{ status: 'malformed', revision: 0 }])
  })
})

describe('resolve', () => {
  test('says that a command has happened', () => {
    const shard = new Shard()
    apply(shard, 10, setting('k', 1, from(9, 1)), setting('k', 1, from(9, 2), 999), deleting('none', from(9, 3)))
    expect([1, 2, 3].map((sequence) => resolve(shard, 11, 9, sequence))).toEqual([
      'committed',
      'not-committed',
      'committed',
    ])
  })

  test('says that a command has not happened, and sees to it', () => {
    const shard = new Shard()
    apply(shard, 10, setting('k', 1, from(9, 1)))
    expect(resolve(shard, 11, 9, 2)).toBe('not-committed')
    expect(apply(shard, 12, setting('k', 2, from(9, 2)))).toEqual([{ status: 'cancelled', revision: 0 }])
    expect(resolve(shard, 13, 9, 2)).toBe('not-committed')
    expect(get(shard, 'k').value).toEqual(Uint8Array.of(1))
  })

  test('cancels even the first command of a session', () => {
    const shard = new Shard()
    expect(resolve(shard, 11, 9, 1)).toBe('not-committed')
    expect(apply(shard, 12, setting('k', 2, from(9, 1)))).toEqual([{ status: 'cancelled', revision: 0 }])
  })

  test('admits that it does not know', () => {
    const shard = new Shard()
    apply(shard, 10, setting('k', 1, from(9, 1)), setting('k', 1, from(9, 2, 2)))
    expect([0, 1, 5000].map((sequence) => resolve(shard, 11, 9, sequence))).toEqual(['unknown', 'unknown', 'unknown'])
    apply(shard, 10 + HOUR, setting('k', 2, from(10, 1)))
    expect(resolve(shard, 20 + HOUR, 9, 3)).toBe('unknown')
  })
})
