import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, type ByteWriter } from '../../../../src/base/bytes.ts'
import { hashBytes } from '../../../../src/base/hash.ts'
import { encodeHead } from '../../../../src/machine/command.ts'
import {
  encodeSchedulePlan,
  encodeScheduleSet,
  SCHEDULE_COMMAND,
  SCHEDULE_QUERY,
  type ScheduleDefinition,
} from '../../../../src/machine/schedule/command.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import {
  encodeCommit,
  encodeJoin,
  encodePublish,
  encodeTopicConfigure,
  encodeYield,
  TOPIC_COMMAND,
  TOPIC_QUERY,
} from '../../../../src/machine/topic/command.ts'
import { TopicTable } from '../../../../src/machine/topic/topic.ts'
import { encodeTransaction, type Part } from '../../../../src/machine/transaction.ts'
import { anyone, apply, bytes } from '../operations.ts'
import { configure, give, neighbourhood, offsetsOf, publish, readAll, restored, sectionsOf } from './operations.ts'

const payload = (value: number, length = 1) => new Uint8Array(length).fill(value)
const everySecond: ScheduleDefinition = {
  rule: 'every',
  spec: '',
  timeZone: '',
  everyMs: 1000,
  at: 0,
  until: 0,
  missed: 'all',
  headers: new Uint8Array(0),
  payload: payload(1),
}
const hashes = (sections: Uint8Array[]) => sections.map((section) => hashBytes(section))
const table = () => new TopicTable(neighbourhood())
const offsets = (topics: TopicTable) => readAll(topics).map(({ offset }) => offset)

describe('a partition', () => {
  test('gives each record the next offset, and gives it back as it was', () => {
    const topics = table()
    expect(publish(topics, 5, payload(1), 'a')).toEqual({ status: 'ok', revision: 0 })
    expect(publish(topics, 7, payload(2), 'ü')).toEqual({ status: 'ok', revision: 1 })
    const empty = new Uint8Array(0)
    expect(readAll(topics)).toEqual([
      { offset: 0, time: 5, key: 'a', headers: empty, payload: payload(1) },
      { offset: 1, time: 7, key: 'ü', headers: empty, payload: payload(2) },
    ])
  })

  test('is read from any offset, whole records up to a limit of bytes', () => {
    const topics = table()
    const sizes = fc.array(fc.oneof(fc.nat(300), fc.constantFrom(70_000, 200_000, 300_000)), { maxLength: 12 })
    fc.assert(
      fc.property(sizes, fc.nat(14), fc.nat(100_000), (lengths, from, limit) => {
        const before = offsetsOf(topics).next
        for (const length of lengths) publish(topics, 1, payload(length % 256, length))
        const records = readAll(topics, before + from, limit)
        expect(records.map(({ payload: bytes }) => [bytes.length, bytes[0]])).toEqual(
          lengths.slice(from).map((length) => [length, length === 0 ? undefined : length % 256]),
        )
      }),
      { numRuns: 30 },
    )
  })

  test('finds the first record of a time', () => {
    const topics = table()
    for (let at = 0; at < 20_000; at++) publish(topics, Math.floor(at / 3) * 10, payload(1, 20))
    for (const time of [0, 1, 10, 11, 9_990, 33_333, 66_660]) {
      expect(offsetsOf(topics, time).at).toBe(Math.ceil(time / 10) * 3)
    }
    expect(offsetsOf(topics, 66_661).at).toBe(20_000)
  })

  test('that the topic does not have is refused with the number of those it has', () => {
    const topics = table()
    configure(topics, { partitions: 2 })
    const record = { topic: 't', partition: 2, key: '', headers: payload(0, 0), payload: payload(1) }
    const reply = give(topics, 1, TOPIC_COMMAND.publish, (writer) => encodePublish(writer, record))
    expect(reply).toEqual({ status: 'conflict', revision: 2 })
    expect(configure(topics, { partitions: 1 })).toEqual({ status: 'conflict', revision: 2 })
  })
})

test('a shard has at most 10,000 topics, and those go on', () => {
  const topics = table()
  publish(topics, 1, payload(1))
  for (let n = 1; n < 10_000; n++) configure(topics, {}, `t${n}`)
  expect(configure(topics, {}, 'more').status).toBe('full')
  expect(configure(topics, { partitions: 3 }).status).toBe('ok')
  expect(publish(topics, 1, payload(1)).status).toBe('ok')
})

describe('retention', () => {
  test('by count keeps the newest records, and reading from before begins at the first of them', () => {
    const topics = table()
    configure(topics, { keepCount: 3 })
    for (let at = 0; at < 10; at++) publish(topics, at, payload(at))
    expect(offsets(topics)).toEqual([7, 8, 9])
    expect(offsetsOf(topics)).toMatchObject({ first: 7, next: 10, count: 3 })
  })

  test('by bytes keeps the newest records that fit, and always one', () => {
    const topics = table()
    configure(topics, { keepBytes: 1000 })
    for (let at = 0; at < 10; at++) publish(topics, at, payload(at, 300))
    expect(offsets(topics)).toEqual([7, 8, 9])
    expect(offsetsOf(topics).bytes).toBe(3 * (16 + 12 + 300))
    publish(topics, 10, payload(1, 5000))
    expect(offsets(topics)).toEqual([10])
  })

  test('by age drops what is too old by itself, an eighth of the age late at most', () => {
    const topics = table()
    configure(topics, { keepMs: 8000 })
    for (let second = 1; second <= 20; second++) publish(topics, second * 1e6, payload(second))
    const kept = () => readAll(topics).map(({ time }) => time / 1e6)
    expect(kept()[0]).toBeGreaterThanOrEqual(11)
    expect(topics.dueAt).toBeLessThanOrEqual(21e6)
    topics.advance(topics.dueAt)
    expect(kept()[0]).toBeGreaterThanOrEqual(12)
    let wakes = 0
    for (; topics.dueAt < Number.POSITIVE_INFINITY; wakes++) topics.advance(topics.dueAt)
    expect(wakes).toBeLessThanOrEqual(9)
    expect(offsetsOf(topics)).toMatchObject({ first: 20, next: 20, count: 0, bytes: 0, lastTime: 20e6 })
    expect(publish(topics, 40e6, payload(1)).revision).toBe(20)
  })
})

describe('compaction', () => {
  const keys = (topics: TopicTable) => readAll(topics).map(({ key, payload: bytes }) => [key, bytes[0]])

  test('keeps of a million updates to a thousand keys at most 2,000 records, the newest of each key among them', () => {
    const topics = table()
    configure(topics, { compact: true })
    const latest = new Map<string, number>()
    for (let at = 0; at < 1_000_000; at++) {
      const key = `k${(at * 31 + (at >> 3)) % 1000}`
      latest.set(key, at % 251)
      publish(topics, at, payload(at % 251, 30), key)
    }
    const { count } = offsetsOf(topics)
    expect(count).toBeLessThanOrEqual(2000)
    expect(readAll(topics)).toHaveLength(count)
    expect(new Map(keys(topics) as [string, number][])).toEqual(latest)
  }, 120_000)

  test('never loses the newest record of a key, nor one without a key, nor their order', () => {
    const step = fc.record({ key: fc.constantFrom('', 'a', 'b', 'c', 'd'), length: fc.constantFrom(0, 1, 9_000) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 60, maxLength: 400 }), (steps) => {
        const topics = table()
        configure(topics, { compact: true })
        steps.forEach(({ key, length }, at) => {
          publish(topics, at, payload(1, length), key)
        })
        const present = new Set(offsets(topics))
        expect([...present]).toEqual([...present].sort((a, b) => a - b))
        const newest = steps.flatMap(({ key }, at) => {
          return key === '' || !steps.slice(at + 1).some((later) => later.key === key) ? [at] : []
        })
        expect(newest.filter((offset) => !present.has(offset))).toEqual([])
        expect(restored(sectionsOf(topics), table()).read('t', 0, 0, 1).next).toBe(topics.read('t', 0, 0, 1).next)
      }),
      { numRuns: 60 },
    )
  })

  test('knows after a snapshot which record of a key is its newest', () => {
    const first = table()
    configure(first, { compact: true })
    publish(first, 1, payload(1), 'rare')
    for (let at = 0; at < 100; at++) publish(first, 2, payload(2), 'x')
    const topics = restored(sectionsOf(first), table())
    for (let at = 0; at < 300; at++) publish(topics, 3, payload(3), 'y')
    expect(offsetsOf(topics).count).toBeLessThan(300)
    expect(new Map(keys(topics) as [string, number][])).toEqual(
      new Map([
        ['rare', 1],
        ['x', 2],
        ['y', 3],
      ]),
    )
  })

  test('forgets a key a day after its empty record', () => {
    const topics = table()
    configure(topics, { compact: true })
    publish(topics, 1, payload(1), 'gone')
    publish(topics, 2, payload(0, 0), 'gone')
    const fill = (time: number) => {
      for (let at = 0; at < 300; at++) publish(topics, time, payload(2), `k${at % 5}`)
    }
    fill(3)
    expect(keys(topics)).toContainEqual(['gone', undefined])
    expect(keys(topics)).not.toContainEqual(['gone', 1])
    fill(25 * 3600e6)
    expect(keys(topics).map(([key]) => key)).not.toContain('gone')
  })
})

describe('an empty record', () => {
  test('that came while a pass was under way stays until what it deletes has gone', () => {
    const topics = table()
    configure(topics, { compact: true })
    const find = () => readAll(topics, 0, 300_000).filter(({ key }) => key === 'gone')
    publish(topics, 1, payload(1), 'gone')
    for (let at = 1; at < 64; at++) publish(topics, 1, payload(2, 60_000), 'x')
    publish(topics, 2, payload(0, 0), 'gone')
    for (let at = 0; at < 18; at++) publish(topics, 25 * 3600e6, payload(2, 60_000), 'x')
    expect(offsetsOf(topics).count).toBeLessThan(30)
    expect(find().map(({ payload: bytes }) => bytes.length)).toEqual([1, 0])
    for (let at = 0; at < 300; at++) publish(topics, 25 * 3600e6, payload(2, 60_000), 'x')
    expect(find()).toEqual([])
  })
})

describe('topics in a shard', () => {
  const record = (key: string, partition = 0) => ({
    topic: 't',
    partition,
    key,
    headers: payload(0, 0),
    payload: payload(1),
  })
  const publishPart = (partition: number): Part => ({
    kind: TOPIC_COMMAND.publish,
    encode: (writer) => encodePublish(writer, record('k', partition)),
  })
  const publishing = () =>
    bytes((writer) => {
      encodeHead(writer, TOPIC_COMMAND.publish, anyone)
      encodePublish(writer, record('k'))
    })
  const configuring = bytes((writer) => {
    encodeHead(writer, TOPIC_COMMAND.topicConfigure, anyone)
    encodeTopicConfigure(writer, 't', { partitions: 2, keepMs: 1, keepBytes: 1e9, keepCount: 1e9, compact: true })
  })
  const transaction = (...parts: Part[]) => bytes((writer) => encodeTransaction(writer, anyone, parts))
  const count = (shard: Shard) => shard.view.topics.read('t', 0, 0, 1e6).count

  test('publish in a transaction, all or none', () => {
    const shard = new Shard()
    apply(shard, 1, configuring)
    expect(apply(shard, 2, transaction(publishPart(0), publishPart(2)))).toEqual([{ status: 'conflict', revision: 2 }])
    expect(count(shard)).toBe(0)
    expect(apply(shard, 3, transaction(publishPart(0), publishPart(0)))).toEqual([{ status: 'ok', revision: 1 }])
    expect(count(shard)).toBe(2)
  })

  test('are in its snapshots, and let it wake for what is too old', () => {
    const shard = new Shard()
    apply(shard, 1, configuring, publishing(), publishing())
    const copy = new Shard()
    copy.restore(shard.freeze().chunks())
    expect([copy.digest(), count(copy), copy.dueAt]).toEqual([shard.digest(), 2, shard.dueAt])
    apply(copy, copy.dueAt)
    expect([count(copy), copy.dueAt]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  test('answer whatever a client sends, and stay sound', () => {
    const bodies: ((writer: ByteWriter) => void)[] = [
      (writer) => encodePublish(writer, record('k')),
      (writer) => encodeCommit(writer, { topic: 't', group: 'g', lease: 0, partition: 1, offset: 2, generation: 3 }),
      (writer) => encodeJoin(writer, { topic: 't', group: 'g', lease: 1 }, 2),
      (writer) => encodeYield(writer, { topic: 't', group: 'g', lease: 1 }, 2),
      (writer) => encodeScheduleSet(writer, { queue: 'q', id: 's' }, everySecond),
      (writer) => encodeSchedulePlan(writer, { queue: 'q', id: 's' }, 1, [2, 3]),
    ]
    const kinds = [...Object.values(TOPIC_COMMAND), ...Object.values(SCHEDULE_COMMAND)]
    const hostile = fc.record({
      kind: fc.constantFrom(...kinds),
      body: fc.nat(bodies.length - 1),
      at: fc.nat(200),
      value: fc.nat(255),
      isDamaged: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 12 }), (list) => {
        const shard = new Shard()
        const commands = list.map(({ kind, body, at, value, isDamaged }) => {
          const command = bytes((writer) => {
            encodeHead(writer, kind, anyone)
            bodies[body]?.(writer)
          })
          const from = 25
          if (isDamaged) command[from + (at % (command.length - from))] = value
          return command
        })
        expect(apply(shard, 10, ...commands)).toHaveLength(commands.length)
        for (const kind of [...Object.values(TOPIC_QUERY), ...Object.values(SCHEDULE_QUERY)]) {
          expect(shard.query(Uint8Array.of(kind)).length).toBeGreaterThan(0)
          for (const body of bodies) {
            const query = bytes((writer) => {
              writer.u8(kind)
              body(writer)
            })
            expect(shard.query(query).length).toBeGreaterThan(0)
          }
        }
        const copy = new Shard()
        copy.restore(shard.freeze().chunks())
        expect([copy.digest(), copy.dueAt]).toEqual([shard.digest(), shard.dueAt])
      }),
    )
  })
})

describe('a frozen table of topics', () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), length: fc.constantFrom(1, 0, 20_000, 70_000) })
  const steps = fc.array(step, { maxLength: 100 })
  const settings = fc.record({
    compact: fc.boolean(),
    keepCount: fc.constantFrom(Number.POSITIVE_INFINITY, 5, 100),
    keepMs: fc.constantFrom(Number.POSITIVE_INFINITY, 50),
  })

  test('stays what it was, and becomes a table that goes on as the first does', () => {
    fc.assert(
      fc.property(settings, steps, steps, (rules, before, after) => {
        const first = table()
        configure(first, rules)
        let time = 1000
        const run = (topics: TopicTable, list: typeof before) => {
          for (const { key, length } of list) {
            time += 1000
            publish(topics, time, payload(1, length), key)
          }
        }
        run(first, before)
        const frozen = first.freeze()
        const expected = hashes(sectionsOf(first))
        const start = time
        run(first, after)
        const sections = [...frozen.sections()]
        expect(hashes(sections)).toEqual(expected)
        frozen.release()
        const second = restored(sections, table())
        expect(hashes(sectionsOf(second))).toEqual(expected)
        time = start
        run(second, after)
        expect(hashes(sectionsOf(second))).toEqual(hashes(sectionsOf(first)))
        for (const section of sections) expect(section.length).toBeLessThanOrEqual(71_000)
      }),
      { numRuns: 40 },
    )
  })

  test('is refused when its bytes are damaged', () => {
    const topics = table()
    publish(topics, 1, payload(1), 'a')
    const [topic = payload(0), partition = payload(0), records = payload(0)] = sectionsOf(topics)
    const load = (...sections: Uint8Array[]) => restored(sections, table())
    expect(() => load(partition)).toThrow('out of place')
    expect(() => load(records)).toThrow('no such section')
    expect(() => load(topic, topic)).toThrow('twice')
    expect(() => load(topic, partition, records, records)).toThrow('out of order')
    expect(() => load(topic.slice(0, -1))).toThrow('malformed')
    expect(() => table().load(new ByteReader(Uint8Array.of(9, 1)))).toThrow('version')
  })
})
