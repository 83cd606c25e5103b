import { describe, expect, test } from 'vitest'
import { defineMap } from '../../../src/data/map.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { defineTopic } from '../../../src/message/topic.ts'
import type { Troupe } from '../../../src/runtime/troupe.ts'
import { openWorld } from './world.ts'

describe('a loop over what comes', () => {
  const loops: readonly [string, (troupe: Troupe) => AsyncIterable<unknown>][] = [
    ['messages', (troupe) => troupe.queue(defineQueue('q')).receive()],
    ['records', (troupe) => troupe.topic(defineTopic('t')).subscribe()],
    ['records of a group', (troupe) => troupe.topic(defineTopic('t')).subscribe({ group: 'g', autoCommit: true })],
    ['changes', (troupe) => troupe.map(defineMap('m')).watch()],
  ]

  test.each(loops)('of %s ends with its Troupe, and at once when it is left', async (_, start) => {
    const { troupe, pass } = openWorld()
    const [left, closed] = [start(troupe)[Symbol.asyncIterator](), start(troupe)[Symbol.asyncIterator]()]
    const nexts = [left.next(), closed.next()]
    await pass(10)
    await left.return?.()
    expect((await nexts[0])?.done).toBe(true)
    await troupe.close()
    expect((await nexts[1])?.done).toBe(true)
  })

  test('of the states of a lock shows the one there is, and ends as well', async () => {
    const { troupe, pass } = openWorld()
    const [left, closed] = [1, 2].map(() => troupe.observe('l')[Symbol.asyncIterator]())
    expect([(await left?.next())?.value.waiting, (await closed?.next())?.value.waiting]).toEqual([0, 0])
    const nexts = [left?.next(), closed?.next()]
    await pass(10)
    await left?.return?.()
    expect((await nexts[0])?.done).toBe(true)
    await troupe.close()
    expect((await nexts[1])?.done).toBe(true)
  })
})
