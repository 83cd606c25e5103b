import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { COMMAND, decodeCommandReply } from '../../../../src/machine/command.ts'
import { MemoryPieces } from '../../../../src/machine/pieces.ts'
import { QUEUE_COMMAND, type QueueSettings } from '../../../../src/machine/queue/command.ts'
import {
  encodeLapse,
  encodeMessageId,
  encodeMove,
  encodeProgress,
  encodeResult,
  encodeSend,
} from '../../../../src/machine/queue/encode.ts'
import { QueueTable } from '../../../../src/machine/queue/queue.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { encodeTransaction, type Part } from '../../../../src/machine/transaction.ts'
import { anyone, apply, bytes, get, neighbours } from '../operations.ts'
import {
  acknowledging,
  command,
  configuring,
  House,
  lapsing,
  outgoing,
  pausing,
  purging,
  QUEUE,
  redriving,
  rejecting,
  removing,
  retrying,
  sending,
  text,
  textOf,
} from './operations.ts'

function houseOf(settings: Partial<QueueSettings> = {}): House {
  const house = new House()
  house.ok(configuring(settings))
  return house
}

describe('a message with the deduplication id of an earlier one', () => {
  test('is dropped until the window has passed, even when the earlier one is done', () => {
    const house = houseOf()
    const id = house.send('one', { deduplication: 'd', windowMs: 5000 })
    expect(house.do(sending('two', { deduplication: 'd', windowMs: 5000 }))).toEqual([
      { status: 'duplicate', revision: id },
    ])
    expect(house.work()).toEqual(['one'])
    expect(house.do(sending('three', { deduplication: 'd' }))[0]?.status).toBe('duplicate')
    house.pass(5000)
    house.send('four', { deduplication: 'd' })
    expect(house.work()).toEqual(['four'])
  })

  test('without a window, is dropped as long as the earlier one is there', () => {
    const house = houseOf()
    house.send('one', { deduplication: 'd' })
    house.pass(1_000_000)
    expect(house.do(sending('two', { deduplication: 'd' }))[0]?.status).toBe('duplicate')
    house.work()
    house.send('three', { deduplication: 'd' })
    expect(house.work()).toEqual(['three'])
  })

  test('replaces its content, which stays due when it was', () => {
    const house = houseOf()
    house.send('one', { deduplication: 'd', mode: 'replace', due: 5_000_000 })
    house.pass(4000)
    house.do(sending('two', { deduplication: 'd', mode: 'replace', due: 5_000_000 }))
    expect(house.stats()).toMatchObject({ waiting: 0, delayed: 1 })
    house.pass(1000)
    expect(house.work()).toEqual(['two'])
  })

  test('is not lost when it replaces one that a worker has', () => {
    const house = houseOf()
    house.send('one', { deduplication: 'd', mode: 'replace' })
    const held = house.hold()
    house.do(sending('two', { deduplication: 'd', mode: 'replace' }))
    expect(house.do(acknowledging(held?.id ?? 0))[0]?.status).toBe('absent')
    expect(house.work()).toEqual(['two'])
  })

  test('debounced, is due again from now, so that a burst is delivered once', () => {
    const house = houseOf()
    house.send('0', { deduplication: 'd', mode: 'debounce', due: 5_000_000 })
    for (let n = 1; n <= 5; n++) {
      house.pass(4000)
      house.do(sending(`${n}`, { deduplication: 'd', mode: 'debounce', due: 5_000_000 }))
    }
    expect(house.work()).toEqual([])
    house.pass(5000)
    expect(house.work()).toEqual(['5'])
  })

  test('requeued, follows once the earlier one is done, with the latest content', () => {
    const house = houseOf()
    house.send('one', { deduplication: 'd', mode: 'requeue', key: 'k' })
    const held = house.hold()
    for (const payload of ['two', 'three'])
      house.do(sending(payload, { deduplication: 'd', mode: 'requeue', key: 'k' }))
    const copy = house.copy()
    expect(house.hold()).toBeUndefined()
    for (const one of [house, copy]) {
      one.ok(acknowledging(held?.id ?? 0))
      expect(one.work()).toEqual(['three'])
    }
    expect(copy.shard.digest()).toBe(house.shard.digest())
  })
})

describe('the order between messages', () => {
  test('is that of their priorities, of which the lowest keeps a share', () => {
    const house = houseOf()
    for (let n = 0; n < 1000; n++) house.send('low')
    for (let n = 0; n < 1000; n++) house.send('high', { priority: 9 })
    expect(house.hold()?.payload).toBe('high')
    const low = house.work(999).filter((payload) => payload === 'low').length
    expect(low).toBeGreaterThanOrEqual(10)
    expect(low).toBeLessThan(20)
  })

  test.each(['key', 'none'] as const)(
    'gives keys their turns by weight, also where they come and go (order %s)',
    (order) => {
      const house = houseOf({ order, keyWeights: { A: 4, B: 2 } })
      for (const key of ['A', 'B', 'C']) for (let n = 0; n < 100; n++) house.send(key, { key })
      const counts = { A: 0, B: 0, C: 0 }
      for (const key of house.work(70)) counts[key as 'A' | 'B' | 'C']++
      expect(counts).toEqual({ A: 40, B: 20, C: 10 })
      const held = house.hold()
      house.unhold(held?.id ?? 0)
      expect(house.hold()?.id).toBe(held?.id)
      expect(house.copy().work(7).join('')).toBe('AAAABBC')
    },
  )

  test.each(['key', 'none'] as const)(
    'gives a key with few messages its turns beside one with many (order %s)',
    (order) => {
      const house = houseOf({ order })
      for (let n = 0; n < 1000; n++) house.send('A', { key: 'A' })
      for (let n = 0; n < 10; n++) house.send('B', { key: 'B' })
      expect(house.work(20).filter((payload) => payload === 'B')).toHaveLength(10)
    },
  )

  test('does not change for a key whose message was taken and put back', () => {
    const house = houseOf()
    for (const key of ['a', 'b', 'c']) house.send(key, { key })
    const first = house.hold()
    expect(house.hold()?.payload).toBe('b')
    house.unhold(first?.id ?? 0)
    expect(house.work()).toEqual(['a', 'c'])
  })

  test('follows the first message of a key, whose urgent ones wait for it', () => {
    const house = houseOf()
    house.send('k1', { key: 'k' })
    house.send('other', { priority: 5 })
    house.send('k2', { key: 'k', priority: 9 })
    expect(house.work()).toEqual(['other', 'k1', 'k2'])
  })

  test('is kept when a message of a key leaves, or falls due late', () => {
    const house = houseOf()
    house.send('late', { key: 'k', due: 1_000_000 })
    const first = house.send('k1', { key: 'k' })
    for (const payload of ['k2', 'k3']) house.send(payload, { key: 'k' })
    house.ok(removing(first))
    house.pass(1000)
    expect(house.work()).toEqual(['late', 'k2', 'k3'])
  })

  test('holds among many keys, whatever is configured while some are held, and whichever come and go', () => {
    const house = houseOf()
    for (const round of [1, 2]) for (let key = 0; key < 100; key++) house.send(`${key}.${round}`, { key: `k${key}` })
    expect(house.holdAll(40)).toEqual(Array.from({ length: 40 }, (_, key) => `${key}.1`))
    house.ok(configuring({ keyConcurrency: 1, order: 'none' }))
    expect(new Set(house.holdAll())).toEqual(new Set(Array.from({ length: 60 }, (_, at) => `${at + 40}.1`)))
    house.ok(configuring({}))
    expect(house.hold()).toBeUndefined()
    house.shard.view.queues.unholdAll()
    const done = house.work(100)
    expect(new Set(done)).toEqual(new Set(Array.from({ length: 100 }, (_, key) => `${key}.1`)))
    for (let key = 100; key < 150; key++) house.send(`${key}.1`, { key: `k${key}` })
    expect(house.work()).toHaveLength(150)
    expect(house.stats()).toMatchObject({ waiting: 0, leased: 0, bytes: 0 })
  })

  test('lets a moved message go when it is told', () => {
    const house = houseOf()
    const id = house.send('far', { key: 'k', due: 86_400_000_000 })
    house.ok(command(QUEUE_COMMAND.move, (writer) => encodeMove(writer, { queue: QUEUE, id }, '', 0)))
    expect(house.inspect(id)).toMatchObject({ state: 'waiting', key: 'k' })
    house.ok(
      command(QUEUE_COMMAND.move, (writer) =>
        encodeMove(writer, { queue: QUEUE, id }, 'other', (house.ms + 2000) * 1000),
      ),
    )
    expect(house.inspect(id)).toMatchObject({ state: 'delayed', key: 'other' })
    house.pass(2000)
    expect(house.work()).toEqual(['far'])
  })
})

describe('limits', () => {
  test('of deliveries at once hold for the queue and for each key', () => {
    const house = houseOf({ order: 'none', concurrency: 5, keyConcurrency: 2 })
    for (const key of ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c']) house.send(key, { key })
    const held = house.holdAll()
    expect(held).toHaveLength(5)
    expect(held.filter((key) => key === 'a').length).toBeLessThanOrEqual(2)
    expect(house.shard.view.queues.nextAt(QUEUE, house.ms * 1000)).toBe(Number.POSITIVE_INFINITY)
  })

  test('of the rate say when the next message may go', () => {
    const house = houseOf({ rate: 2, ratePeriodMs: 1000 })
    for (const payload of ['a', 'b', 'c', 'd']) house.send(payload)
    expect(house.work()).toEqual(['a', 'b'])
    const nextAt = house.shard.view.queues.nextAt(QUEUE, house.ms * 1000)
    expect(nextAt).toBe((house.ms + 500) * 1000)
    house.ms += 499
    expect(house.hold()).toBeUndefined()
    house.ms += 1
    expect(house.work()).toEqual(['c'])
  })

  test('count what is taken, and not who looks for it', () => {
    const house = houseOf({ rate: 2, ratePeriodMs: 1000, keyRate: 1, keyRatePeriodMs: 10_000 })
    house.send('a', { key: 'k' })
    const { queues } = house.shard.view
    const isReady = () => queues.isReady(QUEUE, house.ms * 1000)
    expect([isReady(), isReady(), isReady(), house.hold()?.payload]).toEqual([true, true, true, 'a'])
    house.send('b', { key: 'k' })
    expect([isReady(), house.hold()]).toEqual([false, undefined])
  })

  test('of the rate of a key leave other keys alone, and outlast its messages', () => {
    const house = houseOf({ keyRate: 1, keyRatePeriodMs: 1000 })
    house.send('a1', { key: 'a' })
    expect(house.work()).toEqual(['a1'])
    for (const payload of ['a2', 'a3', 'b1']) house.send(payload, { key: payload[0] ?? '' })
    expect(house.work()).toEqual(['b1'])
    const nextAt = house.shard.view.queues.nextAt(QUEUE, house.ms * 1000)
    expect(nextAt).toBe((house.ms + 1000) * 1000)
    house.ms += 1000
    expect(house.work()).toEqual(['a2'])
  })

  test('of the length refuse a message, or make the oldest give way to it', () => {
    const house = houseOf({ limit: 2 })
    house.send('a')
    house.send('b')
    house.hold()
    expect(house.do(sending('c'))[0]?.status).toBe('full')
    house.ok(configuring({ limit: 2, overflow: 'drop-oldest' }))
    house.send('c')
    expect(house.work()).toEqual(['b', 'c'])
    expect(house.peek('dead').map(({ payload, death }) => [textOf(payload), death])).toEqual([['a', 'overflow']])
  })

  test('of the length hold for dead letters too', () => {
    const house = houseOf({ limit: 2 })
    for (const payload of ['a', 'b', 'c']) house.ok(rejecting(house.send(payload)))
    expect(house.peek('dead').map(({ payload }) => textOf(payload))).toEqual(['b', 'c'])
    expect(house.stats()).toMatchObject({ dead: 2, dropped: 1 })
  })
})

describe('a message that is not done', () => {
  test('dies with its attempts, its first error and its last', () => {
    const house = houseOf({ maxAttempts: 3 })
    const id = house.send('poison')
    house.hold()
    for (const error of ['one', 'two', 'three']) house.ok(retrying(id, 0, error))
    const letter = house.inspect(id)
    expect(letter).toMatchObject({ state: 'dead', death: 'attempts', attempts: 3 })
    expect([textOf(letter?.firstError), textOf(letter?.lastError)]).toEqual(['one', 'three'])
    expect(house.hold()).toBeUndefined()
  })

  test('keeps 4 KiB of an error', () => {
    const house = houseOf()
    const id = house.send('a')
    house.ok(retrying(id, 0, 'x'.repeat(10_000)))
    expect(house.inspect(id)?.lastError).toHaveLength(4096)
  })

  test('expires when its time is over, also while it is delayed', () => {
    const house = houseOf()
    house.send('soon', { expires: 1_000_000 })
    house.send('never', { expires: 1_000_000, due: 2_000_000 })
    house.pass(999)
    expect(house.stats()).toMatchObject({ waiting: 1, delayed: 1 })
    house.pass(1)
    expect(house.peek('dead').map(({ death }) => death)).toEqual(['expired', 'expired'])
    expect(house.hold()).toBeUndefined()
  })

  test('comes back by redrive to its place in its key, for reasons that are asked for', () => {
    const house = houseOf({ maxAttempts: 1 })
    const ids = ['a', 'b', 'c', 'd'].map((payload) => house.send(payload, { key: 'k' }))
    house.ok(retrying(ids[2] ?? 0))
    house.ok(retrying(ids[0] ?? 0))
    house.ok(rejecting(ids[1] ?? 0))
    expect(house.ok(redriving(1, 'attempts'))).toBe(1)
    expect(house.ok(redriving(10, 'attempts'))).toBe(1)
    expect(house.inspect(ids[0] ?? 0)).toMatchObject({ state: 'waiting', attempts: 0, death: undefined })
    expect(house.work()).toEqual(['a', 'c', 'd'])
    expect(house.ok(redriving())).toBe(1)
    expect(house.work()).toEqual(['b'])
  })

  test('is forgotten once it has been dead for long enough, whenever that was configured', () => {
    const house = houseOf()
    house.ok(rejecting(house.send('a')))
    house.ok(configuring({ deadKeepMs: 1000 }))
    const copy = house.copy()
    for (const one of [house, copy]) {
      one.pass(1000)
      expect(one.stats().dead).toBe(0)
      expect(one.shard.dueAt).toBe(Number.POSITIVE_INFINITY)
    }
    expect(copy.shard.digest()).toBe(house.shard.digest())
  })
})

describe('people', () => {
  test('look at pages of messages and change nothing', () => {
    const house = houseOf()
    for (let n = 0; n < 25; n++) house.send(`${n}`, { due: n % 5 === 0 ? 1_000_000 : 0 })
    const before = house.shard.digest()
    const seen: string[] = []
    for (let page = house.peek('waiting', 0, 7); page.length > 0; page = house.peek('waiting', page.at(-1)?.id, 7)) {
      seen.push(...page.map(({ payload }) => textOf(payload) ?? ''))
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => `${n}`).filter((_, n) => n % 5 !== 0))
    expect(house.peek('delayed')).toHaveLength(5)
    expect(house.shard.digest()).toBe(before)
  })

  test('purge no more than they are told, oldest first', () => {
    const house = houseOf()
    for (const payload of ['a', 'b', 'c']) house.send(payload)
    expect(house.ok(purging('all', 2))).toBe(2)
    expect(house.work()).toEqual(['c'])
  })

  test('purge what waits, what is dead, or all', () => {
    const house = houseOf()
    for (let n = 0; n < 5; n++) house.send('a', { due: n * 1000 })
    house.ok(rejecting(house.send('b')))
    expect(house.ok(purging('waiting'))).toBe(5)
    expect(house.stats()).toMatchObject({ waiting: 0, delayed: 0, dead: 1 })
    house.send('c')
    expect(house.ok(purging('all'))).toBe(2)
    expect(house.shard.dueAt).toBe(Number.POSITIVE_INFINITY)
  })

  test('see progress, and what came of it for as long as it is kept', () => {
    const house = houseOf()
    const id = house.send('a')
    const name = { queue: QUEUE, id }
    house.ok(command(QUEUE_COMMAND.progress, (writer) => encodeProgress(writer, name, text('half'))))
    expect(textOf(house.inspect(id)?.progress)).toBe('half')
    house.ok(
      transaction(
        { kind: QUEUE_COMMAND.acknowledge, encode: (writer) => encodeMessageId(writer, QUEUE, id) },
        { kind: QUEUE_COMMAND.result, encode: (writer) => encodeResult(writer, name, 1000, text('done')) },
      ),
    )
    const copy = house.copy()
    expect(copy.inspect(id)).toMatchObject({ state: 'done', result: text('done') })
    copy.pass(1000)
    expect(copy.inspect(id)).toBeUndefined()
  })
})

const transaction = (...parts: Part[]) => bytes((writer) => encodeTransaction(writer, anyone, parts))
const settingPart: Part = {
  kind: COMMAND.set,
  encode: (writer) => {
    writer.u8(0)
    writer.u53(0)
    writer.text('m')
    writer.text('key')
    writer.blob(text('value'))
  },
}
const acknowledgePart = (id: number): Part => ({
  kind: QUEUE_COMMAND.acknowledge,
  encode: (writer) => encodeMessageId(writer, QUEUE, id),
})
const sendPart = (payload: string): Part => ({
  kind: QUEUE_COMMAND.send,
  encode: (writer) => encodeSend(writer, outgoing(payload)),
})

describe('a transaction', () => {
  test('settles a message, changes a map and sends, all together', () => {
    const house = houseOf()
    const id = house.send('in')
    house.hold()
    house.ok(transaction(acknowledgePart(id), settingPart, sendPart('out')))
    expect(get(house.shard, 'key').status).toBe('ok')
    expect(house.work()).toEqual(['out'])
  })

  test('does nothing when the message is gone, or there is no room', () => {
    const house = houseOf({ limit: 1 })
    const id = house.send('in')
    const before = house.shard.digest()
    expect(house.do(transaction(acknowledgePart(id + 1), settingPart))[0]?.status).toBe('fenced')
    expect(house.do(transaction(sendPart('out'), settingPart))[0]?.status).toBe('full')
    expect(house.shard.digest()).toBe(before)
  })
})

describe('whatever bytes a client sends', () => {
  test('come to an answer, and the same state after a snapshot', () => {
    const name = { queue: QUEUE, id: 1000 * 1000 }
    const valid = [
      sending('a', { key: 'k', deduplication: 'd', mode: 'requeue', due: 1000, expires: 5000 }),
      configuring({ limit: 3, overflow: 'drop-oldest' }),
      retrying(name.id, 10, 'e'),
      rejecting(name.id, 'e'),
      lapsing(name.id, 0),
      pausing(true),
      purging('all'),
      redriving(2, 'expired'),
      command(QUEUE_COMMAND.lapse, (writer) => encodeLapse(writer, name, 0)),
      command(QUEUE_COMMAND.result, (writer) => encodeResult(writer, name, 10, text('r'))),
    ]
    const hostile = fc
      .tuple(fc.constantFrom(...valid), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean())
      .map(([one, at, value, isDamaged]) => {
        const damaged = one.slice()
        if (isDamaged) damaged[at % damaged.length] = value
        return damaged
      })
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 12 }), (commands) => {
        const shard = new Shard()
        const replies = apply(shard, 1_000_000, sending('first'), ...commands)
        expect(replies).toHaveLength(commands.length + 1)
        const copy = new Shard()
        copy.restore(shard.freeze().chunks())
        for (const one of [shard, copy]) apply(one, 2_000_000, sending('last'))
        expect(copy.digest()).toBe(shard.digest())
        expect(copy.dueAt).toBe(shard.dueAt)
      }),
      { numRuns: 300 },
    )
  })

  test('are answered as queries', () => {
    const house = houseOf()
    house.send('a')
    const query = (kind: number, rest: Uint8Array) => house.shard.query(Uint8Array.of(kind, ...rest))
    fc.assert(
      fc.property(fc.integer({ min: 64, max: 95 }), fc.uint8Array({ maxLength: 40 }), (kind, rest) => {
        expect(['ok', 'absent', 'malformed', 'unsupported']).toContain(decodeCommandReply(query(kind, rest)).status)
      }),
    )
  })
})

test('a message from within the shard is stored once for its deduplication id', () => {
  const table = new QueueTable(neighbours(), new MemoryPieces())
  const message = { queue: QUEUE, key: 'k', headers: text('h'), payload: text('p'), deduplicationId: 'firing' }
  expect(table.enqueue(message, 1000)).toBe(1)
  expect(table.enqueue(message, 2000)).toBe(0)
  const held = table.hold(QUEUE, 2000)
  const body = bytes((writer) => {
    writer.blob(text('h'))
    writer.blob(text('p'))
  })
  expect(held).toMatchObject({ id: 1, key: 'k', time: 1000, body, leaseMs: 30_000 })
  expect(table.hold(QUEUE, 2000)).toBeUndefined()
})

test('a frozen queue stays as it was while the queue goes on', () => {
  const house = houseOf()
  const ids = Array.from({ length: 2000 }, (_, n) => house.send(`message ${n}`.repeat(10), { key: `${n % 7}` }))
  const before = house.shard.digest()
  const frozen = house.shard.freeze()
  const chunks = frozen.chunks()[Symbol.iterator]()
  const early = [chunks.next().value ?? new Uint8Array(0)].map((chunk) => chunk.slice())
  for (const id of ids) house.ok(acknowledging(id))
  for (let n = 0; n < 2000; n++) house.send('another one, of another length')
  for (let next = chunks.next(); next.done !== true; next = chunks.next()) early.push(next.value.slice())
  frozen.release()
  expect(early.every((chunk) => chunk.length <= 65_536)).toBe(true)
  const copy = new Shard()
  copy.restore(early)
  expect(copy.digest()).toBe(before)
})
