import { describe, expect, test } from 'vitest'
import { AnswerersVigil, AskersVigil } from '../../../src/platform/vigil.ts'

/** A conversation in which answers take so many milliseconds, by whether both threads stay awake. */
class Talk {
  isOtherAwake = false
  readonly #vigil = new AskersVigil((isAwake) => {
    this.isOtherAwake = isAwake
  })
  #now = 0

  /** How many of these answers were awaited awake to their end, and how many vigils were given up. */
  answers(count: number, { awake, asleep }: { awake: number; asleep: number }): { kept: number; givenUp: number } {
    const seen = { kept: 0, givenUp: 0 }
    for (let at = 0; at < count; at++) {
      const isAwake = this.#vigil.begin(this.#now)
      this.#now += isAwake && this.isOtherAwake ? awake : asleep
      if (isAwake) seen[this.#vigil.isOver(this.#now) ? 'givenUp' : 'kept']++
      this.#vigil.end(this.#now)
      this.#now += 1
    }
    return seen
  }
}

const QUICK = { awake: 0.16, asleep: 0.26 }
const SAMPLE = 32

describe("an asker's vigil", () => {
  test('is kept from the beginning, and but for rare comparisons ever after', () => {
    const talk = new Talk()
    expect(talk.answers(SAMPLE, QUICK).kept).toBe(SAMPLE)
    expect(talk.answers(SAMPLE, QUICK).kept).toBe(0)
    talk.answers(10_000, QUICK)
    const { kept } = talk.answers(20_000, QUICK)
    expect(kept).toBeGreaterThan(20_000 - 6 * SAMPLE)
    expect(kept).toBeLessThan(20_000)
  })

  test('tells the other thread which way it is', () => {
    const talk = new Talk()
    expect(talk.isOtherAwake).toBe(true)
    talk.answers(SAMPLE, QUICK)
    expect(talk.isOtherAwake).toBe(false)
    talk.answers(SAMPLE, QUICK)
    expect(talk.isOtherAwake).toBe(true)
  })

  test('is tried now and then, and not kept, where answers take as long as a cluster does', () => {
    const talk = new Talk()
    talk.answers(10_000, { awake: 0.9, asleep: 1 })
    const { kept, givenUp } = talk.answers(10_000, { awake: 0.9, asleep: 1 })
    expect(kept + givenUp).toBeLessThan(4 * SAMPLE)
  })

  test('is given up for nearly all when it saves nothing, and comes back when it does', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    const useless = { awake: 0.26, asleep: 0.26 }
    talk.answers(10_000, useless)
    expect(talk.answers(10_000, useless).kept).toBeLessThan(4 * SAMPLE)
    talk.answers(10_000, QUICK)
    expect(talk.answers(10_000, QUICK).kept).toBeGreaterThan(10_000 - 4 * SAMPLE)
  })

  test('is given up soon after answers have become slow', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    expect(talk.answers(10_000, { awake: 5, asleep: 5 }).givenUp).toBeLessThan(10 * SAMPLE)
  })

  test('is kept where a disk is now quicker and now slower, for answers come later either way', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    for (const slower of [0.1, 0, 0.15, 0.05, 0.12, 0]) {
      const answers = { awake: QUICK.awake + slower, asleep: QUICK.asleep + slower }
      expect(talk.answers(1_000, answers).kept).toBeGreaterThan(1_000 - 3 * SAMPLE)
    }
  })

  test('is kept in spite of pauses', () => {
    const talk = new Talk()
    talk.answers(300, QUICK)
    let kept = 0
    for (let at = 0; at < 100; at++) {
      talk.answers(1, { awake: 5_000, asleep: 5_000 })
      kept += talk.answers(99, QUICK).kept
    }
    expect(kept).toBeGreaterThan(9_900 - 20 * SAMPLE)
  })

  test('is over after half a millisecond', () => {
    const vigil = new AskersVigil(() => {})
    vigil.begin(0)
    expect(vigil.isOver(0.49)).toBe(false)
    expect(vigil.isOver(0.51)).toBe(true)
  })

  test('of one answer is not begun again while it is awaited, and is when it does not come', () => {
    const vigil = new AskersVigil(() => {})
    expect(vigil.begin(1)).toBe(true)
    expect(vigil.begin(1.1)).toBe(false)
    expect(vigil.begin(2)).toBe(true)
  })
})

test("an answerer's vigil is kept while the asker is awake, for as long as waking it would cost", () => {
  let isAskerAwake = true
  const vigil = new AnswerersVigil(() => isAskerAwake)
  expect(vigil.begin(1)).toBe(true)
  expect(vigil.isOver(1.14)).toBe(false)
  expect(vigil.isOver(1.16)).toBe(true)
  isAskerAwake = false
  expect(vigil.begin(2)).toBe(false)
})
