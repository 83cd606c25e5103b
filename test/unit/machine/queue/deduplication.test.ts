import { expect, test } from 'vitest'
import { configuring, House, sending, textOf } from './operations.ts'

const LATER = { deduplication: 'd', mode: 'requeue', windowMs: 60_000 } as const

test('what was to follow a message that is dropped for want of room is a dead letter beside it', () => {
  const house = new House()
  house.ok(configuring({ limit: 2, overflow: 'drop-oldest' }))
  house.send('first', LATER)
  expect(house.do(sending('again', LATER))[0]?.status).toBe('duplicate')
  house.send('a')
  house.send('b')
  expect(house.work()).toEqual(['a', 'b'])
  expect(house.peek('dead').map(({ payload, death }) => [textOf(payload), death])).toEqual([
    ['first', 'overflow'],
    ['again', 'overflow'],
  ])
})
