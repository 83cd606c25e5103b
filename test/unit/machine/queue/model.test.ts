import fc from 'fast-check'
import { assert, expect, test } from 'vitest'
import {
  acknowledging,
  configuring,
  House,
  lapsing,
  rejecting,
  releasing,
  removing,
  retrying,
  sending,
} from './operations.ts'

const MAX_ATTEMPTS = 3

interface Message {
  readonly id: number
  readonly key: string
  readonly payload: string
  attempts: number
  /** 0 when it is not delayed. */
  due: number
  isRetried: boolean
  isHeld: boolean
}

type Step =
  | { readonly do: 'send'; readonly key: string; readonly delay: number }
  | { readonly do: 'hold' | 'restore' | 'unholdAll' }
  | {
      readonly do: 'acknowledge' | 'retry' | 'reject' | 'release' | 'unhold' | 'lapse' | 'remove'
      readonly which: number
      readonly delay: number
    }
  | { readonly do: 'pass'; readonly delay: number }

const delay = fc.constantFrom(0, 0, 3, 7)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('send' as const), key: fc.constantFrom('', 'a', 'b'), delay }) },
  { weight: 4, arbitrary: fc.constant({ do: 'hold' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restore' as const, 'unholdAll' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'acknowledge' as const,
        'retry' as const,
        'reject' as const,
        'release' as const,
        'unhold' as const,
        'lapse' as const,
        'remove' as const,
      ),
      which: fc.nat(20),
      delay,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), delay: fc.nat(5) }) },
)

/** What a queue is, with an array: slow, and plain enough to be believed. */
class Model {
  messages: Message[] = []
  readonly dead: string[] = []
  readonly #isOrdered: boolean

  constructor(isOrdered: boolean) {
    this.#isOrdered = isOrdered
  }

  /** Those that may be held now. */
  candidates(): Message[] {
    return this.messages.filter((message) => {
      if (message.isHeld || message.due > 0) return false
      const present = this.messages.filter(({ key, due, isRetried, isHeld }) => {
        return key === message.key && (due === 0 || (this.#isOrdered && isRetried)) && (this.#isOrdered || !isHeld)
      })
      const isFirst = present[0] === message && (!this.#isOrdered || present.every(({ isHeld }) => !isHeld))
      return message.key === '' || isFirst
    })
  }

  fail(message: Message, due: number): void {
    message.isHeld = false
    message.attempts++
    message.due = due
    message.isRetried = due > 0
    if (message.attempts < MAX_ATTEMPTS) return
    this.remove(message)
    this.dead.push(message.payload)
  }

  remove(message: Message): void {
    this.messages = this.messages.filter((other) => other !== message)
  }

  pass(now: number): void {
    for (const message of this.messages) if (message.due <= now) message.due = 0
  }
}

/** The queue, the same without any holds, and the model. */
class Trial {
  house: House = new House()
  readonly unheld: House = new House()
  readonly model: Model
  #sent = 0

  constructor(order: 'key' | 'none') {
    this.model = new Model(order === 'key')
    this.both(configuring({ order, maxAttempts: MAX_ATTEMPTS }))
  }

  both(command: Uint8Array): number {
    const number = this.house.ok(command)
    assert.equal(this.unheld.ok(command), number)
    return number
  }

  run(one: Step): void {
    if (one.do === 'send') this.#send(one.key, one.delay)
    else if (one.do === 'hold') this.hold()
    else if (one.do === 'pass') this.pass(one.delay)
    else if (one.do === 'restore' || one.do === 'unholdAll') {
      if (one.do === 'restore') this.house = this.house.copy()
      else this.house.shard.view.queues.unholdAll()
      for (const message of this.model.messages) message.isHeld = false
    } else if ('which' in one) this.#settle(one.do, one.which, one.delay)
  }

  hold(): Message | undefined {
    const candidates = this.model.candidates()
    const held = this.house.hold()
    if (candidates.length === 0) {
      assert.isUndefined(held)
      return undefined
    }
    const message = candidates.find(({ id }) => id === held?.id)
    assert.include(message, held)
    if (message !== undefined) message.isHeld = true
    return message
  }

  pass(ms: number): void {
    this.house.pass(ms)
    this.unheld.pass(ms)
    this.model.pass(this.house.ms)
  }

  #send(key: string, ms: number): void {
    const payload = `m${this.#sent++}`
    const id = this.both(sending(payload, { key, due: ms * 1000 }))
    const due = ms === 0 ? 0 : this.house.ms + ms
    this.model.messages.push({ id, key, payload, attempts: 0, due, isRetried: false, isHeld: false })
  }

  #settle(kind: string, which: number, ms: number): void {
    const { model } = this
    const anyone = model.messages[which % Math.max(1, model.messages.length)]
    const held = model.messages.filter(({ isHeld }) => isHeld)
    const message = kind === 'remove' ? anyone : held[which % Math.max(1, held.length)]
    if (message === undefined) return
    const { id } = message
    if (kind === 'unhold') this.house.unhold(id)
    else if (kind === 'release') this.both(releasing(id))
    else if (kind === 'retry') this.both(retrying(id, ms))
    else if (kind === 'lapse') this.both(lapsing(id, message.attempts))
    else if (kind === 'reject') this.both(rejecting(id))
    else this.both(kind === 'remove' ? removing(id) : acknowledging(id))
    if (kind === 'unhold' || kind === 'release') message.isHeld = false
    else if (kind === 'retry' || kind === 'lapse')
      model.fail(message, kind === 'retry' && ms > 0 ? this.house.ms + ms : 0)
    else model.remove(message)
    if (kind === 'reject') model.dead.push(message.payload)
  }

  /** Everything that is left comes out, and nothing else. */
  drain(): void {
    this.house.shard.view.queues.unholdAll()
    for (const message of this.model.messages) message.isHeld = false
    this.pass(1000)
    for (let message = this.hold(); message !== undefined; message = this.hold()) {
      this.both(acknowledging(message.id))
      this.model.remove(message)
    }
    assert.isEmpty(this.model.messages)
    assert.include(this.house.stats(), { waiting: 0, delayed: 0, leased: 0, dead: this.model.dead.length })
  }
}

test.each(['key', 'none'] as const)(
  'a queue with order %s is like the model, whoever holds what and wherever it is restored',
  (order) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const trial = new Trial(order)
        for (const one of steps) {
          trial.run(one)
          const { waiting, delayed, leased } = trial.house.stats()
          expect(waiting + delayed + leased).toBe(trial.model.messages.length)
          expect(leased).toBe(trial.model.messages.filter(({ isHeld }) => isHeld).length)
        }
        expect(trial.house.shard.digest()).toBe(trial.unheld.shard.digest())
        trial.drain()
        const letters = trial.house.peek('dead').map(({ payload }) => new TextDecoder().decode(payload))
        expect(letters.sort()).toEqual(trial.model.dead.sort())
        expect(trial.house.shard.digest()).toBe(trial.unheld.shard.digest())
      }),
      { numRuns: 200 },
    )
  },
)
