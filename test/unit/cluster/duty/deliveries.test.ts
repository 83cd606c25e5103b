import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../../src/base/bytes.ts'
import { Deliveries, type DeliveryPorts } from '../../../../src/cluster/duty/deliveries.ts'
import type { LeaderTime } from '../../../../src/cluster/leader-time.ts'
import { Source } from '../../../../src/cluster/source.ts'
import { readDelivery, readRevocation } from '../../../../src/wire/delivery.ts'
import { REPLY } from '../../../../src/wire/request.ts'
import { bytes } from '../../machine/operations.ts'
import { acknowledging, configuring, House, QUEUE, removing } from '../../machine/queue/operations.ts'

const CREDIT = 8

/** An application, which has streams from several shards. */
class Application extends Source {
  readonly shards = new Map<number, Scene>()

  constructor() {
    super(false, () => true, [])
  }

  override reply(id: number, status: number, event: Uint8Array): void {
    if (status === REPLY.event) this.shards.get(id)?.hear(event.slice())
  }
}

/** A leader whose commands are executed at once, and a consumer that writes down what it hears. */
class Scene {
  readonly house = new House()
  /** Payloads, `more` waits, `nothing` waits. */
  readonly heard: string[] = []
  /** How much had been heard whenever it was said that what credit has brought is there. */
  readonly servedAfter: number[] = []
  readonly #open: { readonly token: number; readonly id: number }[] = []
  readonly #source: Application
  readonly #stream: number
  readonly #deliveries = new Deliveries({
    clock: { now: () => 0, wallTime: () => 0 },
    scheduler: { at: () => ({ cancel: () => undefined }), defer: () => undefined },
    time: { now: () => this.house.ms * 1000, when: (due: number) => due / 1000 } as unknown as LeaderTime,
    isActive: () => true,
    queues: () => this.house.shard.view.queues,
    term: () => 1,
    touch: () => undefined,
    propose: (target, id, command) => {
      const [reply] = this.house.do(command)
      const encoded = new ByteWriter()
      encoded.u8(reply?.status === 'ok' ? 1 : 9)
      encoded.u53(reply?.revision ?? 0)
      target.reply(id, REPLY.answered, encoded.take())
    },
  } satisfies DeliveryPorts)

  constructor(source = new Application()) {
    this.#source = source
    this.#stream = source.shards.size + CREDIT
    source.shards.set(this.#stream, this)
  }

  open(credit = CREDIT): void {
    this.#deliveries.open(this.#source, this.#stream, { queue: QUEUE, consumer: 'c', consumption: 1, credit })
  }

  /** Loses its leadership. */
  move(): void {
    this.#deliveries.move()
    this.#open.length = 0
  }

  get delivered(): number {
    return this.heard.filter((what) => what === 'm').length
  }

  credit(messages: number): void {
    this.#deliveries.credit(this.#source, this.#stream, messages)
  }

  send(count: number): void {
    for (let at = 0; at < count; at++) this.house.send('m')
    this.#deliveries.advance()
  }

  /** Acknowledges so many of what it has. */
  settle(count: number): void {
    for (const { token, id } of this.#open.splice(0, count)) {
      const request = bytes((writer) => {
        writer.u16(1)
        writer.u53(token)
        writer.raw(acknowledging(id))
      })
      this.#deliveries.settle(this.#source, 1, request)
    }
    this.#deliveries.advance()
  }

  /** An operator removes the oldest of the messages that the consumer has. */
  cancel(): void {
    this.house.ok(removing(this.#open[0]?.id ?? 0))
    this.#deliveries.advance()
  }

  hear(event: Uint8Array): void {
    if (event.length === 2) {
      this.servedAfter.push(this.heard.length)
      return
    }
    if (event.length < 2) {
      this.heard.push(event.length === 0 ? 'more' : 'nothing')
      return
    }
    const reader = new ByteReader(event)
    while (reader.remaining > 0) {
      const revoked = readRevocation(reader)
      if (revoked !== undefined) {
        this.heard.push('revoked')
        this.#open.splice(0, Infinity, ...this.#open.filter(({ token }) => token !== revoked))
        continue
      }
      const { token, id, payload } = readDelivery(reader)
      this.#open.push({ token, id })
      this.heard.push(new TextDecoder().decode(payload))
    }
  }
}

test('a consumer is told once that more waits, however much it settles meanwhile, and once that nothing does', () => {
  const scene = new Scene()
  scene.send(40)
  scene.open()
  for (let round = 0; round < 4; round++) scene.settle(CREDIT)
  expect(scene.delivered).toBe(40)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more'])
  scene.settle(1)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more', 'nothing'])
  scene.settle(CREDIT)
  scene.send(CREDIT)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more', 'nothing'])
  scene.send(1)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more', 'nothing', 'more'])
})

test('a consumer that is given more credit is told again, one whose credit is taken is not', () => {
  const scene = new Scene()
  scene.send(40)
  scene.open()
  scene.credit(-2)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more'])
  scene.settle(CREDIT)
  expect(scene.delivered).toBe(CREDIT + CREDIT - 2)
  scene.credit(1)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more', 'more'])
})

test('a consumer is told when everything that its credit has brought is there', () => {
  const scene = new Scene()
  scene.send(40)
  scene.open()
  scene.credit(2)
  scene.credit(-2)
  expect(scene.servedAfter).toEqual([1 + CREDIT, 1 + CREDIT + 1 + 2])
})

describe('the shards of a node', () => {
  test('have the credit of a consumption in common: all of it is there for the one that has messages', () => {
    const application = new Application()
    const shards = [new Scene(application), new Scene(application), new Scene(application)] as const
    for (const shard of shards) shard.open(2)
    shards[1].send(10)
    expect(shards[1].delivered).toBe(6)
    shards[2].send(1)
    expect(shards.map(({ heard }) => heard.includes('more'))).toEqual([false, true, false])
    shards[1].settle(2)
    expect([shards[1].delivered, shards[2].delivered]).toEqual([8, 0])
    shards[1].settle(1)
    expect([shards[1].delivered, shards[2].delivered]).toEqual([8, 1])
  })

  test('take turns when it is scarce', () => {
    const application = new Application()
    const shards = [new Scene(application), new Scene(application)] as const
    for (const shard of shards) shard.open(1)
    shards[0].send(40)
    shards[1].send(40)
    for (let round = 0; round < 20; round++) for (const shard of shards) shard.settle(1)
    expect(shards[0].delivered + shards[1].delivered).toBeGreaterThan(40)
    expect(Math.abs(shards[0].delivered - shards[1].delivered)).toBeLessThanOrEqual(3)
  })

  test('lose the part of a shard that moves, and nothing else', () => {
    const application = new Application()
    const shards = [new Scene(application), new Scene(application)] as const
    shards[0].open(3)
    shards[1].open(2)
    shards[0].send(9)
    expect(shards[0].delivered).toBe(5)
    shards[1].send(4)
    shards[0].move()
    expect(shards[1].heard).toEqual(['more', 'm', 'm'])
  })
})

test('a message that is cancelled is taken back from who has it, and makes room for the next', () => {
  const scene = new Scene()
  scene.send(CREDIT + 2)
  scene.open()
  scene.cancel()
  expect(scene.heard.slice(CREDIT + 1)).toEqual(['revoked', 'm'])
  scene.settle(CREDIT)
  expect(scene.delivered).toBe(CREDIT + 2)
  scene.settle(CREDIT)
  expect(scene.house.shard.view.queues.takeRevoked()).toEqual([])
})

test('a new leader does not begin a rate anew: it delivers one message, and the next in their time', () => {
  const scene = new Scene()
  scene.house.ok(configuring({ rate: 4, ratePeriodMs: 1000 }))
  scene.send(20)
  scene.house.ms += 1000
  scene.open()
  expect(scene.delivered).toBe(4)
  for (const [passed, delivered] of [
    [0, 5],
    [0, 6],
    [250, 7],
  ] as const) {
    scene.move()
    scene.house.ms += passed
    scene.open()
    expect(scene.delivered).toBe(delivered)
  }
  scene.house.ms += 500
  scene.send(1)
  expect(scene.delivered).toBe(9)
})
