import { describe, expect, test } from 'vitest'
import type {
  LifeDeath,
  LifeDelivery,
  LifeEvent,
  LifePromises,
  LifeRedrive,
  LifeSend,
  LifetimeKind,
} from '../../../../src/simulation/check/lifetime.ts'
import { checkLifetimes } from '../../../../src/simulation/check/lifetimes.ts'

const send = (content: string, invokedAt: number, more: Partial<LifeSend> = {}): LifeSend => ({
  type: 'send',
  content,
  name: 'n',
  delayMs: 0,
  ttlMs: Number.POSITIVE_INFINITY,
  invokedAt,
  returnedAt: invokedAt + 1,
  outcome: 'ok',
  id: undefined,
  isDuplicate: false,
  ...more,
})
const delivery = (id: string, content: string, at: number, more: Partial<LifeDelivery> = {}): LifeDelivery => ({
  type: 'delivery',
  id,
  content,
  at,
  asked: 'acknowledge',
  askedAt: at + 1,
  answeredAt: at + 2,
  end: 'ok',
  ...more,
})
const death = (id: string, content: string, at: number, reason = 'expired'): LifeDeath => ({
  type: 'death',
  id,
  content,
  at,
  reason,
})

const redrive = (invokedAt: number, more: Partial<LifeRedrive> = {}): LifeRedrive => ({
  type: 'redrive',
  ids: undefined,
  reason: undefined,
  limit: 10,
  seen: 1,
  invokedAt,
  returnedAt: invokedAt + 1,
  count: 1,
  ...more,
})

const judge = (kind: LifetimeKind, history: readonly LifeEvent[], more: Partial<LifePromises> = {}): string =>
  checkLifetimes(history, {
    kind,
    windowMs: 0,
    limit: 2,
    shards: 1,
    clocksLie: false,
    lagMs: 0,
    isQuiet: true,
    ...more,
  }).join('; ')

describe('nothing is said against', () => {
  const good: readonly (readonly [string, LifetimeKind, readonly LifeEvent[]])[] = [
    [
      'a message that another one replaced',
      'replace',
      [
        send('a', 0, { id: '0.1' }),
        delivery('0.1', 'a', 2, { end: 'fenced', askedAt: 50, answeredAt: 51 }),
        send('b', 5, { id: '0.2', isDuplicate: true }),
        delivery('0.2', 'b', 9),
      ],
    ],
    [
      'a message that comes at the time of the one that it replaced, by a send whose answer was lost',
      'replace',
      [
        send('a', 0, { id: '0.1', delayMs: 100 }),
        send('b', 5, { outcome: 'unknown', returnedAt: Number.POSITIVE_INFINITY, delayMs: 5000 }),
        send('c', 9, { id: '0.3', isDuplicate: true, delayMs: 5000 }),
        delivery('0.3', 'c', 100),
      ],
    ],
    [
      'a message that follows another one',
      'requeue',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 5, { id: '0.1', isDuplicate: true }),
        delivery('0.1', 'a', 9),
        delivery('0.2', 'b', 12),
      ],
    ],
    [
      'a dead letter that was brought back',
      'debounce',
      [
        send('a', 0, { id: '0.1', ttlMs: 100 }),
        death('0.1', 'a', 105),
        redrive(110, { reason: 'expired' }),
        delivery('0.1', 'a', 5000),
      ],
    ],
    [
      'a refusal by a queue that is full',
      'reject',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 2, { id: '0.2' }),
        send('c', 4, { outcome: 'full' }),
        delivery('0.1', 'a', 9),
        delivery('0.2', 'b', 9),
      ],
    ],
    [
      'a message that had to go',
      'drop-oldest',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 2, { id: '0.2' }),
        send('c', 4, { id: '0.3' }),
        delivery('0.2', 'b', 9),
        delivery('0.3', 'c', 9),
      ],
    ],
  ]
  test.each(good)('%s', (_, kind, history) => expect(judge(kind, history)).toBe(''))
})

describe('a promise is broken when', () => {
  const bad: readonly (readonly [string, LifetimeKind, readonly LifeEvent[], string])[] = [
    [
      'a message is gone that nothing superseded',
      'replace',
      [send('a', 0, { id: '0.1' }), send('b', 5, { id: '0.2' }), delivery('0.2', 'b', 9)],
      'a (0.1) never ended well',
    ],
    [
      'one send supersedes two',
      'requeue',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 5, { id: '0.2' }),
        send('c', 9, { id: '0.2', isDuplicate: true }),
        delivery('0.3', 'c', 12),
      ],
      'a (0.1) never ended well',
    ],
    [
      'what was to follow never comes',
      'requeue',
      [send('a', 0, { id: '0.1' }), send('b', 5, { id: '0.1', isDuplicate: true }), delivery('0.1', 'a', 9)],
      'b (0.1) never ended well',
    ],
    [
      'what was replaced is acknowledged',
      'replace',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 5, { id: '0.2', isDuplicate: true }),
        delivery('0.1', 'a', 2, { askedAt: 50, answeredAt: 51 }),
        delivery('0.2', 'b', 60),
      ],
      'a was acknowledged at 50, after it was replaced',
    ],
    [
      'a message comes before the one that it follows has ended',
      'requeue',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 5, { id: '0.1', isDuplicate: true }),
        delivery('0.2', 'b', 7),
        delivery('0.1', 'a', 9),
      ],
      'b came at 7, before a had ended',
    ],
    [
      'a new delay does not count',
      'debounce',
      [
        send('a', 0, { id: '0.1', delayMs: 1000 }),
        send('b', 900, { id: '0.2', delayMs: 1000, isDuplicate: true }),
        delivery('0.2', 'b', 1000),
      ],
      'b came 100 ms after its send',
    ],
    [
      'a message comes before the time of the one that it replaced',
      'replace',
      [
        send('a', 0, { id: '0.1', delayMs: 1000 }),
        send('b', 5, { id: '0.2', isDuplicate: true }),
        send('c', 9, { id: '0.3', isDuplicate: true }),
        delivery('0.3', 'c', 100),
      ],
      'c came 91 ms after its send, and was due after 971',
    ],
    [
      'a message expires that never should',
      'replace',
      [send('a', 0, { id: '0.1' }), death('0.1', 'a', 50), delivery('0.1', 'a', 90)],
      'a had expired',
    ],
    [
      'a message comes after its time',
      'replace',
      [send('a', 0, { id: '0.1', ttlMs: 100 }), delivery('0.1', 'a', 5000)],
      'a came at 5000 and was settled at 5001, and had to expire',
    ],
    ['a refusal was none', 'reject', [send('a', 0, { outcome: 'full' }), delivery('0.1', 'a', 9)], 'was refused'],
    [
      'a queue refuses that has room',
      'reject',
      [send('a', 0, { id: '0.1' }), send('c', 4, { outcome: 'full' }), delivery('0.1', 'a', 9)],
      'c was refused while at most 1 lived of 2',
    ],
    ['a queue that waits for room refuses', 'block', [send('a', 0, { outcome: 'full' })], "a was refused by 'block'"],
    ['a bounded queue loses a message', 'block', [send('a', 0, { id: '0.1' })], 'a was accepted as 0.1 and never'],
    [
      'a message goes although there is room',
      'drop-oldest',
      [send('a', 0, { id: '0.1' }), send('b', 2, { id: '0.2' }), delivery('0.2', 'b', 9)],
      'a (0.1) had to go, and only 1 came after it',
    ],
    ['more live than there is room for', 'drop-oldest', [{ type: 'stats', living: 3 }], 'room for more than 2'],
    [
      'a message is acknowledged twice',
      'reject',
      [send('a', 0, { id: '0.1' }), delivery('0.1', 'a', 2), delivery('0.1', 'a', 9)],
      'a was acknowledged 2 times',
    ],
    ['a message comes that nobody sent', 'reject', [delivery('0.1', 'a', 2)], 'was never sent'],
    [
      'a message comes as two',
      'reject',
      [send('a', 0), delivery('0.1', 'a', 2, { end: 'unknown' }), delivery('0.2', 'a', 9)],
      'a came as 0.1 and as 0.2',
    ],
  ]
  test.each(bad)('%s', (_, kind, history, told) => expect(judge(kind, history)).toContain(told))
})

describe('a name that belongs to a message for a second', () => {
  const windowMs = 1000
  const good: readonly (readonly [string, LifetimeKind, readonly LifeEvent[]])[] = [
    [
      'is free afterwards, whether or not that lives',
      'replace',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 1100, { id: '0.2' }),
        send('c', 1200, { id: '0.3', isDuplicate: true }),
        delivery('0.1', 'a', 1300),
        delivery('0.3', 'c', 1300),
      ],
    ],
    [
      'belongs to it still when it is done',
      'drop',
      [send('a', 0, { id: '0.1' }), delivery('0.1', 'a', 5), send('b', 900, { id: '0.1', isDuplicate: true })],
    ],
    [
      'begins anew with each delay that does',
      'debounce',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 900, { id: '0.2', isDuplicate: true }),
        send('c', 1800, { id: '0.3', isDuplicate: true }),
        delivery('0.3', 'c', 1900),
      ],
    ],
    [
      'stays with it while another is to follow',
      'requeue',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 900, { id: '0.1', isDuplicate: true }),
        send('c', 1800, { id: '0.1', isDuplicate: true }),
        delivery('0.1', 'a', 1900),
        delivery('0.2', 'c', 1910),
      ],
    ],
  ]
  test.each(good)('%s (%s)', (_, kind, history) => expect(judge(kind, history, { windowMs })).toBe(''))

  const bad: readonly (readonly [string, LifetimeKind, readonly LifeEvent[], string])[] = [
    [
      'has it no longer',
      'drop',
      [send('a', 0, { id: '0.1' }), delivery('0.1', 'a', 5), send('b', 1100, { id: '0.1', isDuplicate: true })],
      'b was called a duplicate at 1101, and a had n until 102',
    ],
    [
      'has it no longer, after it was replaced',
      'replace',
      [send('a', 0, { id: '0.1' }), send('b', 1100, { id: '0.2', isDuplicate: true }), delivery('0.2', 'b', 1200)],
      'b was called a duplicate at 1101, and a had n until 102',
    ],
    [
      'has it no longer, after it was replaced twice',
      'replace',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 900, { id: '0.2', isDuplicate: true }),
        send('c', 1800, { id: '0.3', isDuplicate: true }),
        delivery('0.3', 'c', 1900),
      ],
      'c was called a duplicate at 1801, and a had n until 102',
    ],
    [
      'is taken for free too early',
      'drop',
      [send('a', 0, { id: '0.1' }), delivery('0.1', 'a', 5), send('b', 900, { id: '0.2' }), delivery('0.2', 'b', 950)],
      'b was taken for new at 901 although a had n',
    ],
    [
      'is taken for free while that lives',
      'debounce',
      [
        send('a', 0, { id: '0.1' }),
        send('b', 500, { id: '0.2' }),
        delivery('0.1', 'a', 900),
        delivery('0.2', 'b', 950),
      ],
      'b was taken for new at 501 although a had n',
    ],
    [
      'has been nobody’s',
      'drop',
      [send('a', 0, { id: '0.1', isDuplicate: true })],
      'a was called a duplicate, and nothing had n',
    ],
    [
      'came with what was dropped',
      'drop',
      [
        send('a', 0, { id: '0.1' }),
        delivery('0.1', 'a', 5),
        send('b', 9, { id: '0.1', isDuplicate: true }),
        delivery('0.2', 'b', 950),
      ],
      'b came although it was called a duplicate',
    ],
  ]
  test.each(bad)('is misjudged when it %s (%s)', (_, kind, history, told) =>
    expect(judge(kind, history, { windowMs })).toContain(told),
  )
})

describe('bringing back', () => {
  const dead = [send('a', 0, { id: '0.1', ttlMs: 100 }), death('0.1', 'a', 105)]
  const again = delivery('0.1', 'a', 200)
  test.each<readonly [string, readonly LifeEvent[], string]>([
    ['by ids brings back no other', [...dead, redrive(110, { ids: ['0.2'] }), again], 'nobody brought it back'],
    [
      'by reason brings back no other',
      [...dead, redrive(110, { reason: 'rejected' }), again],
      'nobody brought it back',
    ],
    ['brings back at most so many', [...dead, redrive(110, { limit: 2, count: 3 }), again], '3 dead letters (all)'],
    ['brings back as many as there are', [...dead, redrive(110, { seen: 2 }), again], '1 dead letters (all) came back'],
  ])('%s', (_, history, told) => expect(judge('replace', history)).toContain(told))
})
