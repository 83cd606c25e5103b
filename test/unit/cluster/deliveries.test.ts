import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import { Deliveries, type DeliveryPorts } from '../../../src/cluster/deliveries.ts'
import type { LeaderTime } from '../../../src/cluster/leader-time.ts'
import type { Source } from '../../../src/cluster/source.ts'
import { readDelivery } from '../../../src/wire/delivery.ts'
import { REPLY } from '../../../src/wire/request.ts'
import { bytes } from '../machine/operations.ts'
import { acknowledging, House, QUEUE } from '../machine/queue-operations.ts'

const CREDIT = 8

/** A leader whose commands are executed at once, and a consumer that writes down what it hears. */
class Scene {
  readonly house = new House()
  /** Payloads, `more` waits, `nothing` waits. */
  readonly heard: string[] = []
  readonly #open: { readonly token: number; readonly id: number }[] = []
  readonly #source = {
    reply: (id: number, status: number, event: Uint8Array) => {
      if (id !== CREDIT || status !== REPLY.event) return
      if (event.length < 2) this.heard.push(event.length === 0 ? 'more' : 'nothing')
      else this.#read(new ByteReader(event.slice()))
    },
  } as unknown as Source
  readonly #deliveries = new Deliveries({
    clock: { now: () => 0, wallTime: () => 0 },
    scheduler: { at: () => ({ cancel: () => undefined }), defer: () => undefined },
    time: { now: () => this.house.ms * 1000 } as unknown as LeaderTime,
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

  open(): void {
    this.#deliveries.open(this.#source, CREDIT, { queue: QUEUE, consumer: 'c', credit: CREDIT })
  }

  credit(messages: number): void {
    this.#deliveries.credit(this.#source, CREDIT, messages)
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

  #read(reader: ByteReader): void {
    while (reader.remaining > 0) {
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
  expect(scene.heard.filter((what) => what === 'm')).toHaveLength(40)
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
  expect(scene.heard.filter((what) => what === 'm')).toHaveLength(CREDIT + CREDIT - 2)
  scene.credit(1)
  expect(scene.heard.filter((what) => what !== 'm')).toEqual(['more', 'more'])
})
