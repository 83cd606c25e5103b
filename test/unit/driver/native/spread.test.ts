import { expect, test } from 'vitest'
import { Spread } from '../../../../src/driver/native/spread.ts'

function spreadWithTurns(): { readonly spread: Spread; readonly endTurn: () => void } {
  const deferred: (() => void)[] = []
  const scheduler = {
    defer: (task: () => void) => void deferred.push(task),
    at: () => ({ cancel: () => {} }),
  }
  return {
    spread: new Spread(scheduler),
    endTurn: () => {
      for (const task of deferred.splice(0)) task()
    },
  }
}

test('what comes in one turn shares a place, and the next turn has the next one', () => {
  const { spread, endTurn } = spreadWithTurns()
  const turns = Array.from({ length: 4 }, () => {
    const places = [spread.among(3), spread.among(3)]
    endTurn()
    return places
  })
  expect(turns).toEqual([
    [1, 1],
    [2, 2],
    [0, 0],
    [1, 1],
  ])
})

test('what comes alone in its turn may stay where the last one was, for so many of them', () => {
  const { spread, endTurn } = spreadWithTurns()
  const turns = Array.from({ length: 8 }, () => {
    const place = spread.among(3, 3)
    endTurn()
    return place
  })
  expect(turns).toEqual([1, 1, 1, 2, 2, 2, 0, 0])
})

test('after a turn with several the next one has the next place, however few they were', () => {
  const { spread, endTurn } = spreadWithTurns()
  const places = [spread.among(3, 64), spread.among(3, 64)]
  endTurn()
  places.push(spread.among(3, 64))
  expect(places).toEqual([1, 1, 2])
})

test('very many of one turn use all places', () => {
  const { spread, endTurn } = spreadWithTurns()
  const counts = new Map<number, number>()
  for (let sent = 0; sent < 1024; sent++) {
    const place = spread.among(4)
    counts.set(place, (counts.get(place) ?? 0) + 1)
  }
  endTurn()
  expect([...counts.values()]).toEqual([256, 256, 256, 256])
})
