import { expect, test } from 'vitest'
import type { SeededRandom } from '../../../src/base/random.ts'
import type { Driver } from '../../../src/driver/contract.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { TestCluster } from './cluster.ts'

const MINUTES = 10
const TTL = 3000

interface Term {
  readonly epoch: bigint
  readonly from: number
  /** When its holder knew that it was over, or was dead; infinite while it goes on. */
  until: number
  /** As its holder would see it. */
  readonly isOver: () => boolean
}

interface Candidate {
  readonly driver: Driver
  readonly troupe: Troupe
  term: Term | undefined
}

/** Candidates that come and go for as long as the test wants, and every term that one of them has had. */
class Elections {
  readonly cluster = new TestCluster(['n1', 'n2', 'n3'])
  readonly terms: Term[] = []
  readonly candidates: Candidate[] = []
  readonly failures: unknown[] = []

  enter(): void {
    const driver = this.cluster.application(true)
    const computer = this.cluster.computerOf(driver)
    const random = this.cluster.random.fork() as SeededRandom
    const troupe = createTroupe({ driver, clock: computer, scheduler: computer, random })
    const candidate: Candidate = { driver, troupe, term: undefined }
    this.candidates.push(candidate)
    this.#run(candidate).catch((error: unknown) => {
      if (!troupe.signal.aborted) this.failures.push(error)
    })
  }

  async #run(candidate: Candidate): Promise<void> {
    const { cluster, terms } = this
    for (;;) {
      const office = await candidate.troupe.campaign('scheduler', { ttl: TTL })
      // Lost before it came to know that it was elected.
      if (office.signal.aborted) continue
      const term = {
        epoch: office.token,
        from: cluster.queue.now(),
        until: Number.POSITIVE_INFINITY,
        isOver: () => office.signal.aborted,
      }
      candidate.term = term
      terms.push(term)
      await new Promise((resolve) => office.signal.addEventListener('abort', resolve, { once: true }))
      end(term, cluster.queue.now())
    }
  }

  /** Something happens to a random one, mostly to who holds the office. */
  async disturb(): Promise<void> {
    const { cluster, candidates } = this
    const { random } = cluster
    const holder = candidates.find(({ term }) => term !== undefined && term.until === Number.POSITIVE_INFINITY)
    const other = candidates[random.below(candidates.length)]
    const victim = (random.below(4) > 0 ? holder : undefined) ?? other
    if (victim === undefined) return
    const computer = cluster.computerOf(victim.driver)
    const kind = random.below(4)
    if (kind === 0) {
      computer.powerOff()
      this.#leave(victim)
    } else if (kind === 1) {
      void victim.troupe.close()
      this.#leave(victim)
    } else if (kind === 2) {
      // It does nothing meanwhile, and whatever it does when it wakes up it does after its signal has aborted.
      const { term } = victim
      const since = cluster.queue.now()
      computer.pause()
      await cluster.run(500 + random.below(3 * TTL))
      if (term?.isOver() === true) end(term, since)
      computer.resume()
    } else {
      const leader = cluster.nodes[random.below(3)]
      leader?.drain(50, () => {})
    }
  }

  #leave(candidate: Candidate): void {
    if (candidate.term !== undefined) end(candidate.term, this.cluster.queue.now())
    this.candidates.splice(this.candidates.indexOf(candidate), 1)
    this.enter()
  }
}

function end(term: Term, now: number): void {
  term.until = Math.min(term.until, now)
}

// No clock runs faster than another here: what happens when they do is left to the margin of a sixteenth.
test('of five candidates that are killed, suspended and closed at random one holds the office at a time, with epochs that grow', async () => {
  const elections = new Elections()
  const { cluster, terms } = elections
  for (let count = 0; count < 5; count++) elections.enter()
  while (cluster.queue.now() < MINUTES * 60_000) {
    await cluster.run(1000 + cluster.random.below(5000))
    await elections.disturb()
  }
  expect(elections.failures).toEqual([])
  expect(terms.length).toBeGreaterThan(50)
  for (const [at, term] of terms.entries()) {
    const next = terms[at + 1]
    if (next === undefined) break
    expect(next.epoch).toBeGreaterThan(term.epoch)
    expect(next.from).toBeGreaterThanOrEqual(term.until)
  }
}, 60_000)
