import { expect, test } from 'vitest'
import { FrameSlot } from '../../../src/platform/frame-slot.ts'

function pair(): [FrameSlot, FrameSlot] {
  const shared = FrameSlot.allocate()
  return [new FrameSlot(shared), new FrameSlot(shared)]
}

test('a slot gives what was put there, once', () => {
  const [here, there] = pair()
  expect(there.take()).toBeUndefined()
  for (const length of [1, 4, 8_191, 8_192]) {
    const frame = Uint8Array.from({ length }, (_, at) => at + length)
    expect(here.put(frame)).toBe(true)
    expect(there.take()).toEqual(frame)
    expect(there.take()).toBeUndefined()
  }
})

test('a frame that was taken is not touched by the next', () => {
  const [here, there] = pair()
  here.put(Uint8Array.of(1, 2, 3))
  const frame = there.take()
  here.put(Uint8Array.of(4, 5, 6))
  expect(frame).toEqual(Uint8Array.of(1, 2, 3))
})

test('a slot takes one frame at a time, and none that is larger than it or nothing', () => {
  const [here, there] = pair()
  expect(here.put(new Uint8Array(8_193))).toBe(false)
  expect(here.put(new Uint8Array(0))).toBe(false)
  expect(here.put(Uint8Array.of(1))).toBe(true)
  expect(here.put(Uint8Array.of(2))).toBe(false)
  expect(there.take()).toEqual(Uint8Array.of(1))
  expect(here.put(Uint8Array.of(3))).toBe(true)
})

test('whoever puts sees whether the slot is watched', () => {
  const [here, there] = pair()
  expect(here.isWatched).toBe(false)
  there.isWatched = true
  expect(here.isWatched).toBe(true)
  there.isWatched = false
  expect(here.isWatched).toBe(false)
})
