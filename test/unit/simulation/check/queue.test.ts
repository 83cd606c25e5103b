import { describe, expect, test } from 'vitest'
import {
  checkQueue,
  type DeathRecord,
  type DeliveryRecord,
  type QueueEvent,
  type QueuePromises,
  type SendRecord,
} from '../../../../src/simulation/check/queue.ts'

const PROMISES: QueuePromises = { order: 'key', maxAttempts: 3, clocksLie: false, lagMs: 0, isQuiet: false }

const send = (content: string, id: string | undefined, more: Partial<SendRecord> = {}): SendRecord => ({
  type: 'send',
  content,
  key: 'k',
  deduplication: '',
  delayMs: 0,
  invokedAt: 0,
  returnedAt: 1,
  outcome: 'ok',
  id,
  isDuplicate: false,
  ...more,
})

const delivery = (content: string, id: string, token: number, more: Partial<DeliveryRecord> = {}): DeliveryRecord => ({
  type: 'delivery',
  id,
  content,
  key: 'k',
  token,
  attempt: 1,
  at: 10 * token,
  leaseMs: 1000,
  end: 'acknowledged',
  settledAt: 10 * token + 5,
  asked: 'acknowledge',
  ...more,
})

const death = (content: string, id: string, more: Partial<DeathRecord> = {}): DeathRecord => ({
  type: 'death',
  id,
  content,
  reason: 'attempts',
  attempts: 3,
  ...more,
})

const LOST = { end: 'fenced', asked: 'acknowledge' } as const
const RETRIED = { end: 'retried', asked: 'retry' } as const
const NEXT_TERM = 2 ** 32
const check = (history: QueueEvent[], promises: Partial<QueuePromises> = {}) =>
  checkQueue(history, { ...PROMISES, ...promises }).join('\n')

describe('what keeps the promises of a queue', () => {
  const cases: readonly (readonly [string, QueueEvent[]])[] = [
    ['a message that came once', [send('a', '0.1'), delivery('a', '0.1', 1)]],
    ['one that was never sent for certain', [send('a', undefined, { outcome: 'unknown' })]],
    ['one of unknown outcome that came', [send('a', undefined, { outcome: 'unknown' }), delivery('a', '0.1', 1)]],
    ['one that is dead', [send('a', '0.1'), death('a', '0.1')]],
    [
      'one that came again after its lease was lost',
      [send('a', '0.1'), delivery('a', '0.1', 1, LOST), delivery('a', '0.1', 2)],
    ],
    [
      'an acknowledgement that was not answered, and no further delivery',
      [send('a', '0.1'), delivery('a', '0.1', 1, { end: 'unknown' })],
    ],
    [
      'a key that waits for the retry of its oldest message',
      [
        send('a', '0.1'),
        send('b', '0.2', { invokedAt: 2, returnedAt: 3 }),
        delivery('a', '0.1', 1, RETRIED),
        delivery('a', '0.1', 2, { attempt: 2 }),
        delivery('b', '0.2', 3),
      ],
    ],
    [
      'a message after one that died',
      [send('a', '0.1'), send('b', '0.2'), delivery('a', '0.1', 1, LOST), death('a', '0.1'), delivery('b', '0.2', 2)],
    ],
    [
      'a repeated send that stands for the first',
      [
        send('a', '0.1', { deduplication: 'x' }),
        send('b', '0.1', { deduplication: 'x', isDuplicate: true }),
        delivery('a', '0.1', 1),
      ],
    ],
  ]
  test.each(cases)('%s', (_, history) => {
    expect(check(history)).toBe('')
  })
})

describe('what breaks a promise of a queue', () => {
  const cases: readonly (readonly [string, RegExp, QueueEvent[]])[] = [
    ['a message that was accepted and never came', /never came/, [send('a', '0.1')]],
    [
      'one that was given back and is gone',
      /given back and is gone/,
      [send('a', '0.1'), delivery('a', '0.1', 1, RETRIED)],
    ],
    ['one that nobody sent', /nobody sent/, [delivery('a', '0.1', 1)]],
    ['one whose send failed', /had failed/, [send('a', undefined, { outcome: 'failed' }), delivery('a', '0.1', 1)]],
    [
      'one that was sent twice by one send',
      /came both as 0.1 and as 0.2/,
      [send('a', undefined, { outcome: 'unknown' }), delivery('a', '0.1', 1), delivery('a', '0.2', 2)],
    ],
    ['another content', /came as/, [send('a', '0.1'), delivery('a', '0.1', 1, LOST), delivery('b', '0.1', 2)]],
    [
      'two acknowledgements of one message',
      /settled 2 times/,
      [send('a', '0.1'), delivery('a', '0.1', 1), delivery('a', '0.1', NEXT_TERM)],
    ],
    [
      'one that comes again after its acknowledgement',
      /came again after it was settled/,
      [send('a', '0.1'), delivery('a', '0.1', 1), delivery('a', '0.1', NEXT_TERM, LOST)],
    ],
    [
      'one token for two messages',
      /under one token/,
      [send('a', '0.1'), send('b', '0.2'), delivery('a', '0.1', 1), delivery('b', '0.2', 1)],
    ],
    [
      'a key whose second message overtakes a retry',
      /overtook/,
      [
        send('a', '0.1'),
        send('b', '0.2'),
        delivery('a', '0.1', 1, RETRIED),
        delivery('b', '0.2', 2),
        delivery('a', '0.1', 3, { attempt: 2 }),
      ],
    ],
    [
      'a key with two messages under way at once',
      /came before 0.1 was settled/,
      [send('a', '0.1'), send('b', '0.2'), delivery('a', '0.1', 1, { settledAt: 500 }), delivery('b', '0.2', 2)],
    ],
    [
      'sends of a key that change places',
      /stands before it/,
      [
        send('a', '0.2'),
        send('b', '0.1', { invokedAt: 2, returnedAt: 3 }),
        delivery('b', '0.1', 1),
        delivery('a', '0.2', 2),
      ],
    ],
    ['too many attempts', /4th time of 3/, [send('a', '0.1'), delivery('a', '0.1', 1, { attempt: 4 })]],
    [
      'an attempt that is not counted',
      /attempt 1 after 1 retries/,
      [send('a', '0.1'), delivery('a', '0.1', 1, RETRIED), delivery('a', '0.1', 2)],
    ],
    ['a death before its time', /dead after 2 of 3/, [send('a', '0.1'), death('a', '0.1', { attempts: 2 })]],
    [
      'a death after an acknowledgement',
      /acknowledged and is dead/,
      [send('a', '0.1'), delivery('a', '0.1', 1), death('a', '0.1')],
    ],
    ['a delay cut short', /was delayed by 500/, [send('a', '0.1', { delayMs: 500 }), delivery('a', '0.1', 1)]],
    [
      'two messages under one deduplication id',
      /stands for x/,
      [
        send('a', '0.1', { deduplication: 'x' }),
        send('b', '0.2', { deduplication: 'x' }),
        delivery('a', '0.1', 1),
        delivery('b', '0.2', 2),
      ],
    ],
  ]
  test.each(cases)('%s', (_, reason, history) => {
    expect(check(history)).toMatch(reason)
  })

  test('without faults, a second delivery while the first one has its lease', () => {
    const history = [send('a', '0.1'), delivery('a', '0.1', 1, LOST), delivery('a', '0.1', 2)]
    expect(check(history, { isQuiet: true })).toMatch(/twice at once/)
    expect(check([send('a', '0.1'), delivery('a', '0.1', 1, LOST), delivery('a', '0.1', 200)], { isQuiet: true })).toBe(
      '',
    )
  })

  test('delays and windows, where no clock lies', () => {
    const history = [send('a', '0.1', { delayMs: 500 }), delivery('a', '0.1', 1)]
    expect(check(history, { clocksLie: true })).toBe('')
  })
})
