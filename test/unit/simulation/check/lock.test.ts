import { describe, expect, test } from 'vitest'
import {
  checkLocks,
  type FencedRecord,
  type GrantRecord,
  type LockEvent,
} from '../../../../src/simulation/check/lock.ts'

const grant = (token: bigint, askedAt: number, heldAt: number, more: Partial<GrantRecord> = {}): GrantRecord => ({
  type: 'grant',
  lock: 'l',
  holder: `holder of ${token}`,
  token,
  permits: 1,
  of: 1,
  askedAt,
  grantedAt: askedAt + 1,
  heldAt,
  releasedAt: Number.POSITIVE_INFINITY,
  ...more,
})

const write = (token: bigint, position: bigint | undefined, more: Partial<FencedRecord> = {}): FencedRecord => ({
  type: 'fenced',
  lock: 'l',
  place: 'register l',
  token,
  count: undefined,
  isBeside: false,
  invokedAt: 0,
  returnedAt: 1,
  outcome: position === undefined ? 'fenced' : 'ok',
  position,
  ...more,
})

const verify = (token: bigint, invokedAt: number, isHeld: boolean): LockEvent => ({
  type: 'verify',
  lock: 'l',
  token,
  invokedAt,
  isHeld,
})

const share = (token: bigint, heldAt: number, permits: number): LockEvent =>
  grant(token, Number(token), heldAt, { permits, of: 3 })
const handover = (token: bigint, candidate: string): LockEvent => ({ type: 'handover', lock: 'l', token, candidate })
const final = (count: number): LockEvent => ({ type: 'final', place: 'register l', count })
const check = (history: readonly LockEvent[]): string => checkLocks(history).join('\n')

describe('what keeps the promises of a lock', () => {
  const cases: readonly (readonly [string, LockEvent[]])[] = [
    ['one holder after the other', [grant(5n, 0, 10), grant(7n, 4, 30, { grantedAt: 11 })]],
    ['two locks at once', [grant(5n, 0, 30), grant(6n, 1, 30, { lock: 'm' })]],
    [
      'an older token that is refused',
      [grant(5n, 0, 3), grant(7n, 4, 9), write(7n, 10n), write(5n, undefined, { returnedAt: 8 })],
    ],
    ['an older token that is accepted before the newer one wrote', [write(5n, 8n), write(7n, 10n)]],
    ['as many holders as there are permits', [share(1n, 30, 1), share(2n, 30, 1), share(3n, 30, 1), share(40n, 50, 3)]],
    ['an office that was handed over', [grant(5n, 0, 3), handover(5n, 'holder of 7'), grant(7n, 4, 9)]],
    [
      'an older reader that writes after a younger one, beside the lock',
      [share(1n, 30, 1), share(2n, 30, 1), write(2n, 5n, { isBeside: true }), write(1n, 9n, { isBeside: true })],
    ],
    [
      'an older reader that is kept out elsewhere',
      [share(1n, 30, 1), share(2n, 30, 1), write(2n, 5n), write(1n, undefined)],
    ],
    ['a token that is held', [grant(5n, 0, 10), verify(5n, 5, true)]],
    ['counts of several holders', [write(5n, 8n, { count: 1 }), write(7n, 10n, { count: 2 }), final(2)]],
    [
      'a count of unknown outcome that happened',
      [write(5n, 8n, { count: 1 }), write(7n, undefined, { count: 2, outcome: 'unknown' }), final(2)],
    ],
  ]
  test.each(cases)('%s', (_, history) => {
    expect(check(history)).toBe('')
  })
})

describe('what breaks a promise of a lock', () => {
  const cases: readonly (readonly [string, RegExp, LockEvent[]])[] = [
    ['two holders at once', /held by two/, [grant(5n, 0, 30), grant(7n, 4, 30)]],
    ['more holders than permits', /held 4 times of 3/, [share(1n, 30, 2), share(2n, 30, 1), share(3n, 30, 1)]],
    ['a writer beside a reader', /held by two/, [share(1n, 30, 1), share(2n, 30, 3)]],
    [
      'an office that another one got than was meant',
      /given to holder of 8 by 5, and holder of 7 got it/,
      [grant(5n, 0, 3), handover(5n, 'holder of 8'), grant(7n, 4, 9), grant(8n, 10, 12)],
    ],
    ['one token for two holders', /got l as 5/, [grant(5n, 0, 1), grant(5n, 4, 9)]],
    ['a token that is not newer', /after it had been given as 7/, [grant(7n, 0, 1), grant(5n, 4, 9)]],
    ['an older token after a newer one', /took token 5/, [write(7n, 10n), write(5n, 12n)]],
    [
      'a reader’s token after a writer’s',
      /took token 1 at 12, after 40/,
      [share(1n, 3, 1), share(40n, 50, 3), write(40n, 10n), write(1n, 12n)],
    ],
    [
      'a holder that is refused',
      /refused token 5 at 8, which was held until 30/,
      [grant(5n, 0, 30), write(5n, undefined, { invokedAt: 7, returnedAt: 8 })],
    ],
    [
      'an older reader that is refused beside the lock',
      /refused token 1/,
      [share(1n, 30, 1), share(2n, 30, 1), write(2n, 5n), write(1n, undefined, { isBeside: true, returnedAt: 8 })],
    ],
    [
      'a token that was given back and is taken beside the lock',
      /took token 5 at 20, which was given back by 12/,
      [grant(5n, 0, 10, { releasedAt: 12 }), write(5n, 9n, { isBeside: true, invokedAt: 20, returnedAt: 21 })],
    ],
    ['a lost update', /an update was lost/, [write(5n, 8n, { count: 1 }), write(7n, 10n, { count: 1 }), final(1)]],
    [
      'a token that is said to be held and is not',
      /said to be held/,
      [grant(5n, 0, 2), grant(7n, 4, 9), verify(5n, 8, true)],
    ],
    ['a count that is gone', /had been counted to 2/, [write(5n, 8n, { count: 2 }), final(1)]],
    ['a count from nowhere', /nobody wrote/, [write(5n, 8n, { count: 2 }), final(3)]],
  ]
  test.each(cases)('%s', (_, reason, history) => {
    expect(check(history)).toMatch(reason)
  })
})
