import { describe, expect, test } from 'vitest'
import { checkTransactions, type TransactionEvent } from '../../../../src/simulation/check/transaction.ts'

const order = (outcome: 'ok' | 'failed' | 'unknown' = 'ok'): TransactionEvent => ({
  type: 'order',
  order: 'o',
  outcome,
})
const entry = (run: string | undefined): TransactionEvent => ({ type: 'entry', order: 'o', run })
const emission = (place: string, id: string, run: string): TransactionEvent => ({
  type: 'emission',
  place,
  id,
  order: 'o',
  run,
})
const dead: TransactionEvent = { type: 'dead', order: 'o' }
const both = (run: string): TransactionEvent[] => [emission('p', '1', run), emission('q', '1', run)]
const check = (history: readonly TransactionEvent[]): string => checkTransactions(history, ['p', 'q']).join('\n')

describe('what keeps the promises of a transaction', () => {
  const cases: readonly (readonly [string, TransactionEvent[]])[] = [
    ['an entry and one emission to each place', [order(), entry('r'), ...both('r')]],
    ['a message that comes again', [order(), entry('r'), ...both('r'), ...both('r')]],
    ['a send that was lost', [order('unknown'), entry(undefined)]],
    ['an order that is dead and left nothing', [order(), dead, entry(undefined)]],
    [
      'a run that failed before another one did it',
      [order(), { type: 'failed-run', run: 'x' }, entry('r'), ...both('r')],
    ],
  ]
  test.each(cases)('%s', (_, history) => {
    expect(check(history)).toBe('')
  })
})

describe('what breaks a promise of a transaction', () => {
  const cases: readonly (readonly [string, RegExp, TransactionEvent[]])[] = [
    ['an order without a trace', /left nothing/, [order(), entry(undefined)]],
    ['an emission that is missing', /emitted nothing to q/, [order(), entry('r'), emission('p', '1', 'r')]],
    [
      'an emission without an entry',
      /and the entry of o of undefined/,
      [order('unknown'), entry(undefined), ...both('r')],
    ],
    [
      'an emission of another run',
      /is of x, and the entry/,
      [order(), entry('r'), emission('p', '1', 'x'), emission('q', '1', 'r')],
    ],
    ['an emission twice', /emitted 2 times to p/, [order(), entry('r'), ...both('r'), emission('p', '2', 'r')]],
    [
      'what a failed run left',
      /failed and has left/,
      [order(), { type: 'failed-run', run: 'r' }, entry('r'), ...both('r')],
    ],
    ['a dead order that was worked off', /is dead and was worked off/, [order(), dead, entry('r'), ...both('r')]],
    ['an order that was refused', /although its send had failed/, [order('failed'), entry('r'), ...both('r')]],
  ]
  test.each(cases)('%s', (_, reason, history) => {
    expect(check(history)).toMatch(reason)
  })
})
