import { describe, expect, test } from 'vitest'
import {
  checkWatches,
  type WatchEvent,
  type WatchRecord,
  type WriteRecord,
} from '../../../../src/simulation/check/watch.ts'

const write = (value: string, revision: number | undefined, more: Partial<WriteRecord> = {}): WriteRecord => ({
  type: 'write',
  key: 'k',
  value,
  invokedAt: 10,
  outcome: 'ok',
  revision,
  ...more,
})
const watch = (changes: readonly (readonly [string, number])[], more: Partial<WatchRecord> = {}): WatchRecord => ({
  type: 'watch',
  name: 'w',
  stoodAt: 5,
  end: 'current',
  changes: changes.map(([value, revision]) => ({ key: 'k', value, revision })),
  ...more,
})
const check = (...history: readonly WatchEvent[]): string => checkWatches(history).join('\n')
const three = [write('a', 1), write('b', 2), write('c', 3)]

describe('what keeps the promises of a watch', () => {
  const cases: readonly (readonly [string, WatchEvent[]])[] = [
    [
      'every change, in order',
      [
        ...three,
        watch([
          ['a', 1],
          ['b', 2],
          ['c', 3],
        ]),
      ],
    ],
    ['nothing that was written before it stood', [...three, watch([['c', 3]], { stoodAt: 20 })]],
    ['a change whose write got no answer', [write('a', undefined, { outcome: 'unknown' }), watch([['a', 1]])]],
    ['a deletion whose writer is not known', [watch([['', 1]])]],
    ['a deletion of nothing, which is no change', [write('', undefined), watch([])]],
    ['nothing after it left', [...three, watch([['a', 1]], { end: 'left' })]],
    ['nothing after it was told that it fell behind', [...three, watch([['a', 1]], { end: 'compacted' })]],
  ]
  test.each(cases)('%s', (_, history) => expect(check(...history)).toBe(''))
})

describe('what breaks a promise of a watch', () => {
  const cases: readonly (readonly [string, RegExp, WatchEvent[]])[] = [
    [
      'a gap',
      /missed k at 2/,
      [
        ...three,
        watch(
          [
            ['a', 1],
            ['c', 3],
          ],
          { end: 'left' },
        ),
      ],
    ],
    [
      'the last change',
      /missed k at 3/,
      [
        ...three,
        watch([
          ['a', 1],
          ['b', 2],
        ]),
      ],
    ],
    [
      'the first change after it stood',
      /missed k at 1/,
      [
        ...three,
        watch([
          ['b', 2],
          ['c', 3],
        ]),
      ],
    ],
    [
      'a change that another one showed',
      /missed k at 2/,
      [
        watch(
          [
            ['a', 1],
            ['c', 3],
          ],
          { end: 'left' },
        ),
        watch([['b', 2]]),
        write('a', 1),
        write('b', undefined, { outcome: 'unknown' }),
        write('c', 3),
      ],
    ],
    [
      'a change that comes twice',
      /showed k at 1 after 1/,
      [
        write('a', 1),
        watch([
          ['a', 1],
          ['a', 1],
        ]),
      ],
    ],
    [
      'changes out of order',
      /showed k at 1 after 2/,
      [
        ...three,
        watch(
          [
            ['b', 2],
            ['a', 1],
          ],
          { end: 'left' },
        ),
      ],
    ],
    [
      'another value',
      /both 'a' and 'b' at 1/,
      [
        write('a', 1),
        write('b', 2),
        watch([
          ['b', 1],
          ['b', 2],
        ]),
      ],
    ],
    ['a value that nobody set', /nobody set k to 'x'/, [watch([['x', 1]])]],
    [
      'a value of a write that failed',
      /although that had failed/,
      [write('a', undefined, { outcome: 'failed' }), watch([['a', 1]])],
    ],
  ]
  test.each(cases)('%s', (_, broken, history) => expect(check(...history)).toMatch(broken))
})
