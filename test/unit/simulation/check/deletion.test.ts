import { describe, expect, test } from 'vitest'
import {
  checkDeletions,
  type DeletionEvent,
  type DeletionRecord,
  type MadeRecord,
  type ReaderRecord,
  type SightRecord,
} from '../../../../src/simulation/check/deletion.ts'

const DEFAULT_MS = 30_000
const made = (more: Partial<MadeRecord> = {}): MadeRecord => ({
  type: 'made',
  content: 'a',
  leaseMs: 1501,
  invokedAt: 10,
  returnedAt: 20,
  outcome: 'ok',
  ...more,
})
const sight = (more: Partial<SightRecord> = {}): SightRecord => ({
  type: 'sight',
  content: 'a',
  since: 15,
  at: 30,
  leaseMs: 1502,
  ownLeaseMs: 1502,
  end: 'kept',
  askedAt: 40,
  ...more,
})
const deletion = (more: Partial<DeletionRecord> = {}): DeletionRecord => ({
  type: 'deletion',
  invokedAt: 100,
  returnedAt: 110,
  outcome: 'ok',
  count: 0,
  ...more,
})
const reader = (leaseMs: number, saidAt: number): ReaderRecord => ({ type: 'reader', leaseMs, saidAt })
const lost = made({ content: 'b' })
const check = (...history: readonly DeletionEvent[]): string => checkDeletions(history, DEFAULT_MS).join('\n')

describe('what keeps the promises of a deletion', () => {
  const cases: readonly (readonly [string, DeletionEvent[]])[] = [
    ['a message that is acknowledged, and nothing deleted', [made(), sight()]],
    ['a message that goes, and is counted', [made(), sight(), lost, deletion({ count: 1 })]],
    ['a message that was perhaps acknowledged', [made(), sight({ end: 'unknown' }), deletion({ count: 1 })]],
    ['a record that goes: nobody counts those', [made({ leaseMs: 0 }), deletion()]],
    [
      'a message that came to who had begun before',
      [made(), sight({ at: 120, askedAt: 130, end: 'refused' }), deletion({ count: 1 })],
    ],
    ['a deletion that may still come', [lost, deletion({ outcome: 'unknown', returnedAt: Number.POSITIVE_INFINITY })]],
    [
      'a message that got no answer, and was made after the deletion',
      [made({ outcome: 'unknown' }), deletion(), sight({ since: 120, at: 130, askedAt: 140 })],
    ],
    ['rules that somebody has said since', [made(), sight({ leaseMs: 1503 }), reader(1503, 16)]],
    ['default rules after a deletion', [made(), sight({ leaseMs: DEFAULT_MS }), deletion()]],
  ]
  test.each(cases)('%s', (_, history) => expect(check(...history)).toBe(''))
})

describe('what breaks a promise of a deletion', () => {
  const cases: readonly (readonly [string, RegExp, DeletionEvent[]])[] = [
    ['a message that is gone', /nothing was deleted since/, [lost]],
    [
      'a message that is gone after the last deletion',
      /nothing was deleted since/,
      [lost, deletion({ invokedAt: 1, returnedAt: 2 })],
    ],
    ['a deletion that was refused and deletes', /nothing was deleted since/, [lost, deletion({ outcome: 'refused' })]],
    [
      'a message that survives',
      /came at 130.0, deleted at 110.0/,
      [made(), deletion({ count: 1 }), sight({ since: 120, at: 130, end: 'refused' })],
    ],
    [
      'an acknowledgement of what was deleted',
      /acknowledged at 130.0, deleted at 110.0/,
      [made(), deletion(), sight({ askedAt: 130 })],
    ],
    ['a message that was not sent', /nobody made b/, [sight({ content: 'b' })]],
    ['a message whose send had failed', /although it had failed/, [made({ outcome: 'failed' }), sight()]],
    ['a deletion that counts too many', /say that 2 messages went/, [made(), sight(), lost, deletion({ count: 2 })]],
    ['a deletion that counts too few', /say that 0 messages went/, [made(), sight(), lost, deletion()]],
    ['rules that were said before', /delivered for 1503 ms/, [made(), sight({ leaseMs: 1503 }), reader(1503, 14)]],
    ['default rules where nothing was deleted', /delivered for 30000 ms/, [made(), sight({ leaseMs: DEFAULT_MS })]],
    [
      'default rules although the deletion was before',
      /delivered for 30000 ms/,
      [made(), deletion({ invokedAt: 1, returnedAt: 2 }), sight({ leaseMs: DEFAULT_MS })],
    ],
  ]
  test.each(cases)('%s', (_, broken, history) => expect(check(...history)).toMatch(broken))
})
