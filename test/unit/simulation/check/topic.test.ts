import { describe, expect, test } from 'vitest'
import {
  type BatchRecord,
  type CommitRecord,
  checkTopic,
  type PublishRecord,
  type TopicEvent,
} from '../../../../src/simulation/check/topic.ts'

const publish = (content: string, offset: number | undefined, more: Partial<PublishRecord> = {}): PublishRecord => ({
  type: 'publish',
  content,
  invokedAt: 0,
  returnedAt: 1,
  outcome: 'ok',
  partition: 0,
  offset,
  ...more,
})

const batch = (offset: number, contents: string[], more: Partial<BatchRecord> = {}): BatchRecord => ({
  type: 'batch',
  reader: 'r',
  isMember: true,
  partition: 0,
  offset,
  contents,
  at: 10,
  ...more,
})

const commit = (next: number, invokedAt: number, more: Partial<CommitRecord> = {}): CommitRecord => ({
  type: 'commit',
  reader: 'r',
  partition: 0,
  next,
  invokedAt,
  returnedAt: invokedAt + 1,
  outcome: 'ok',
  ...more,
})

const group = (generation: number, owner: number, committed = 0): TopicEvent => ({
  type: 'group',
  generation,
  owners: [owner],
  committed: [committed],
})

const check = (history: readonly TopicEvent[]): string => checkTopic(history).join('\n')

describe('what keeps the promises of a topic', () => {
  const cases: readonly (readonly [string, TopicEvent[]])[] = [
    ['records that come once', [publish('a', 0), publish('b', 1), batch(0, ['a', 'b'])]],
    ['a publish of unknown outcome that happened', [publish('a', undefined, { outcome: 'unknown' }), batch(0, ['a'])]],
    [
      'a new owner that begins where the last one had committed',
      [publish('a', 0), publish('b', 1), batch(0, ['a']), commit(1, 12), batch(1, ['b'], { reader: 's', at: 20 })],
    ],
    [
      'a new owner that reads again what nobody committed',
      [publish('a', 0), batch(0, ['a']), batch(0, ['a'], { reader: 's', at: 20 })],
    ],
    [
      'a new owner that begins before what somebody was still committing',
      [publish('a', 0), batch(0, ['a']), commit(1, 12), batch(0, ['a'], { reader: 's', at: 13 })],
    ],
    ['owners that follow one another', [group(1, 7), group(2, 0), group(2, 8, 5)]],
    [
      'an end that is committed',
      [publish('a', 0), batch(0, ['a']), commit(1, 12), { type: 'end', partition: 0, committed: 1, end: 1 }],
    ],
  ]
  test.each(cases)('%s', (_, history) => {
    expect(check(history)).toBe('')
  })
})

describe('what breaks a promise of a topic', () => {
  const cases: readonly (readonly [string, RegExp, TopicEvent[]])[] = [
    ['a record that never comes', /never came to the group/, [publish('a', 0)]],
    ['one that only others read', /never came/, [publish('a', 0), batch(0, ['a'], { isMember: false })]],
    ['one that nobody published', /nobody published/, [batch(0, ['a'])]],
    ['one whose publish failed', /had failed/, [publish('a', undefined, { outcome: 'failed' }), batch(0, ['a'])]],
    ['one that is there twice', /both at/, [publish('a', 0), batch(0, ['a', 'a'])]],
    ['two readers that see different records', /is both/, [publish('a', 0), batch(0, ['b'], { isMember: false })]],
    [
      'a record before one that was published earlier',
      /lies before it/,
      [publish('a', 1), publish('b', 0, { invokedAt: 2, returnedAt: 3 }), batch(0, ['b', 'a'])],
    ],
    ['a gap', /got 2 after 0/, [publish('a', 0), batch(0, ['a']), batch(2, ['c']), publish('c', 2)]],
    [
      'a new owner that skips',
      /began at 1/,
      [publish('a', 0), batch(0, ['a']), publish('b', 1), batch(1, ['b'], { reader: 's', at: 20 })],
    ],
    [
      'a new owner that begins before what was committed',
      /began at 0/,
      [publish('a', 0), batch(0, ['a']), commit(1, 12), batch(0, ['a'], { reader: 's', at: 20 })],
    ],
    ['a commit that goes back', /after s had committed 5/, [commit(5, 10, { reader: 's' }), commit(3, 20)]],
    ['two owners in one generation', /owned by 7 and by 8/, [group(1, 7), group(1, 8)]],
    ['a generation that goes back', /announced after 2/, [group(2, 7), group(1, 7)]],
    ['an announced offset that goes back', /went back from 5 to 3/, [group(1, 7, 5), group(2, 8, 3)]],
    ['a commit that is gone', /had been/, [commit(5, 10), { type: 'end', partition: 0, committed: 3, end: 5 }]],
  ]
  test.each(cases)('%s', (_, reason, history) => {
    expect(check(history)).toMatch(reason)
  })
})
