import { describe, expect, test } from 'vitest'
import { mapStream } from '../../../src/data/stream.ts'

/** Counts to a limit and notes when it is let go. */
function counting(limit: number): { start: () => AsyncIterable<number>; readonly ended: number[] } {
  const ended: number[] = []
  const start = (): AsyncIterable<number> => {
    let count = 0
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => (count < limit ? { done: false, value: ++count } : { done: true, value: undefined }),
        return: async () => {
          ended.push(count)
          count = limit
          return { done: true, value: undefined }
        },
      }),
    }
  }
  return { start, ended }
}

describe('mapStream', () => {
  test('keeps the order of items that were asked for at once, however long each takes to make', async () => {
    const late = [3, 2, 1]
    const stream = mapStream(counting(3).start, async (item) => {
      for (let turn = late[item - 1] ?? 0; turn > 0; turn--) await Promise.resolve()
      return `item ${item}`
    })[Symbol.asyncIterator]()
    const results = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next()])
    expect(results.map(({ value }) => value)).toEqual(['item 1', 'item 2', 'item 3', undefined])
  })

  test('lets the source go when its consumer leaves', async () => {
    const { start, ended } = counting(9)
    for await (const item of mapStream(start, (item) => item)) if (item === 2) break
    expect(ended).toEqual([2])
  })

  test('lets the source go when an item cannot be made, and is done', async () => {
    const { start, ended } = counting(9)
    const stream = mapStream(start, () => Promise.reject(new Error('bad item')))[Symbol.asyncIterator]()
    await expect(stream.next()).rejects.toThrow('bad item')
    expect(ended).toEqual([1])
    expect((await stream.next()).done).toBe(true)
  })

  test('starts the source anew for each walk', async () => {
    const stream = mapStream(counting(2).start, (item) => item * 10)
    for (let walk = 0; walk < 2; walk++) {
      const items: number[] = []
      for await (const item of stream) items.push(item)
      expect(items).toEqual([10, 20])
    }
  })
})
