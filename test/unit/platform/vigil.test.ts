import { describe, expect, test } from 'vitest'
import { Vigil } from '../../../src/platform/vigil.ts'

/** A conversation in which answers take so many milliseconds, by whether the thread stays awake. */
class Talk {
  readonly #vigil = new Vigil()
  #now = 0

  /** How many of these answers were awaited awake to their end, and how many vigils were given up. */
  answers(count: number, { awake, asleep }: { awake: number; asleep: number }): { kept: number; givenUp: number } {
    const seen = { kept: 0, givenUp: 0 }
    for (let at = 0; at < count; at++) {
      const isAwake = this.#vigil.begin(this.#now)
      this.#now += isAwake ? awake : asleep
      if (isAwake) seen[this.#vigil.isOver(this.#now) ? 'givenUp' : 'kept']++
      this.#vigil.end(this.#now)
      this.#now += 1
    }
    return seen
  }
}

const QUICK = { awake: 0.16, asleep: 0.26 }

describe('a vigil', () => {
  test('is kept once answers have come soon for a while', () => {
    const talk = new Talk()
    expect(talk.answers(30, QUICK)).toEqual({ kept: 0, givenUp: 0 })
    talk.answers(100, QUICK)
    const { kept } = talk.answers(1_000, QUICK)
    expect(kept).toBeGreaterThan(980)
    expect(kept).toBeLessThan(1_000)
  })

  test('is never begun where answers take as long as a cluster does', () => {
    expect(new Talk().answers(10_000, { awake: 0.9, asleep: 1 })).toEqual({ kept: 0, givenUp: 0 })
  })

  test('is given up for nearly all when it saves nothing, and comes back when it does', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    talk.answers(1_500, { awake: 0.26, asleep: 0.26 })
    const { kept } = talk.answers(1_000, { awake: 0.26, asleep: 0.26 })
    expect(kept).toBeLessThan(60)
    talk.answers(20_000, QUICK)
    expect(talk.answers(1_000, QUICK).kept).toBeGreaterThan(980)
  })

  test('is given up soon after answers have become slow', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    const slow = { awake: 5, asleep: 5 }
    expect(talk.answers(100, slow).givenUp).toBeLessThan(40)
    expect(talk.answers(10_000, slow)).toEqual({ kept: 0, givenUp: 0 })
  })

  test('is kept where a disk is now quicker and now slower, for answers come later either way', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    for (const slower of [0.1, 0, 0.15, 0.05, 0.12, 0]) {
      const answers = { awake: QUICK.awake + slower, asleep: QUICK.asleep + slower }
      expect(talk.answers(200, answers).kept).toBeGreaterThan(197)
    }
  })

  /** Of both ends in the last 1,000 of many calls, how many answers were awaited awake; one end alone gains next to nothing by it. */
  function together(hears: boolean): { caller: number; callee: number } {
    const [caller, callee] = [new Vigil(), new Vigil()]
    let awake = { caller: 0, callee: 0 }
    let isCalleeAwake = false
    let now = 0
    // Their own trials do not fall together.
    for (; now < 5; now++) {
      callee.begin(now)
      callee.end(now + 0.06)
    }
    for (let call = 0; call < 6_000; call++) {
      if (call === 5_000) awake = { caller: 0, callee: 0 }
      const isAwake = caller.begin(now)
      now += isAwake && isCalleeAwake ? 0.14 : isAwake ? 0.235 : 0.24
      caller.end(now)
      if (isAwake) awake.caller++
      isCalleeAwake = callee.begin(now, hears && isAwake && caller.isTrying)
      now += isAwake && isCalleeAwake ? 0.01 : 0.06
      callee.end(now)
      if (isCalleeAwake) awake.callee++
    }
    return awake
  }

  test('is kept by both ends where neither gains by its own alone: the one that tries says so', () => {
    expect(together(false).caller).toBeLessThan(20)
    const awake = together(true)
    expect(awake.caller).toBeGreaterThan(980)
    expect(awake.callee).toBeGreaterThan(980)
  })

  test('counts a pause of seconds as one long waiting', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    expect(talk.answers(1, { awake: 5_000, asleep: 5_000 })).toEqual({ kept: 0, givenUp: 1 })
    expect(talk.answers(100, QUICK).kept).toBeGreaterThan(97)
  })

  test('is over after half a millisecond at most, and sooner where answers come sooner', () => {
    const vigil = new Vigil()
    vigil.begin(0)
    expect(vigil.isOver(0.49)).toBe(false)
    expect(vigil.isOver(0.51)).toBe(true)
    const talk = new Talk()
    talk.answers(1_000, { awake: 0.01, asleep: 0.05 })
    expect(talk.answers(1, { awake: 0.06, asleep: 0.06 }).givenUp).toBe(1)
  })

  test('of one answer is not begun again while it is awaited, and is when it does not come', () => {
    const vigil = new Vigil()
    let now = 0
    for (let at = 0; at < 300; at++) {
      now += vigil.begin(now) ? QUICK.awake : QUICK.asleep
      vigil.end(now)
    }
    expect(vigil.begin(now)).toBe(true)
    expect(vigil.begin(now + 0.1)).toBe(false)
    expect(vigil.begin(now + 1)).toBe(true)
  })
})
