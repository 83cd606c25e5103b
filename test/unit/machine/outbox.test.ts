import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../../src/base/bytes.ts'
import { STATUS } from '../../../src/machine/command.ts'
import { emitPart, encodeRelay, encodeRelayed, OutboxTable } from '../../../src/machine/outbox.ts'
import { QUEUE_COMMAND } from '../../../src/machine/queue/command.ts'
import { encodeSend } from '../../../src/machine/queue/encode.ts'
import { Shard } from '../../../src/machine/shard.ts'
import type { Task } from '../../../src/machine/table.ts'
import type { Part } from '../../../src/machine/transaction.ts'
import { part, restored, together } from './lease/operations.ts'
import { anyone, apply, bytes, contents, get, setting } from './operations.ts'
import { configuring, outgoing, purging } from './queue/operations.ts'

const emitting = (target: number, key: string, value: number) => emitPart(target, part(setting(key, value)))
const relaying = (source: number, body: Uint8Array) => bytes((writer) => encodeRelay(writer, source, body))
const relayed = (target: number, sequence: number) =>
  bytes((writer) => encodeRelayed(writer, { shard: target, name: '' }, sequence))
const pending = (shard: Shard, target: number) => shard.view.outbox.pending({ shard: target, name: '' }, 1000)
const sequences = (shard: Shard, target: number) => pending(shard, target).map(({ sequence }) => sequence)

const targets = (shard: Shard) => Array.from(shard.view.outbox.lanes(), (lane) => lane.shard)

describe('what a transaction emits', () => {
  test('waits for each target in its order until that has executed it', () => {
    const shard = new Shard()
    apply(shard, 1, together([emitting(7, 'a', 1), emitting(8, 'b', 1), emitting(7, 'c', 1)]))
    expect(targets(shard)).toEqual([7, 8])
    expect([sequences(shard, 7), sequences(shard, 8)]).toEqual([[1, 2], [1]])
    expect(apply(shard, 2, relayed(7, 1), relayed(7, 1), relayed(9, 5))).toMatchObject([
      { status: 'ok' },
      { status: 'absent' },
      { status: 'absent' },
    ])
    expect(sequences(shard, 7)).toEqual([2])
    apply(shard, 3, relayed(7, 2), relayed(8, 1), together([emitting(7, 'd', 1)]))
    expect([targets(shard), sequences(shard, 7)]).toEqual([[7], [3]])
  })

  test('is nothing when the transaction does not happen, and no command of its own', () => {
    const shard = new Shard()
    const refused = part(setting('k', 1, anyone, 99))
    expect(apply(shard, 1, together([emitting(7, 'a', 1), refused]))).toEqual([{ status: 'conflict', revision: 0 }])
    const alone = setting('k', 1)
    alone[0] = emitting(7, 'a', 1).kind
    expect(apply(shard, 1, alone)).toEqual([{ status: 'unsupported', revision: 0 }])
    expect(targets(shard)).toEqual([])
  })

  test('is refused once there is no room', () => {
    const table = new OutboxTable({ pending: 32, bytes: 1_000_000 })
    const small = new OutboxTable({ pending: 1000, bytes: 1 })
    for (const each of [table, small]) expect(judge(each)).toBe(STATUS.ok)
    for (const each of [table, small]) keep(each)
    expect([judge(table), judge(small)]).toEqual([STATUS.ok, STATUS.full])
    keep(table)
    expect(judge(table)).toBe(STATUS.full)
  })
})

describe('lanes', () => {
  const send = (queue: string, payload: string) =>
    emitPart(7, {
      kind: QUEUE_COMMAND.send,
      encode: (writer) => encodeSend(writer, { ...outgoing(payload), queue }),
    })

  test('of different queues have orders of their own, also after a snapshot, so that one that is full holds up no other', () => {
    const source = new Shard()
    apply(source, 1, together([send('jobs', 'a'), send('other', 'b'), send('jobs', 'c'), emitting(7, 'k', 1)]))
    const lanes = Array.from(restored(source).view.outbox.lanes(), ({ shard, name }) => [shard, name])
    expect(lanes).toEqual([
      [7, 'jobs'],
      [7, 'other'],
      [7, ''],
    ])
    let target = new Shard()
    apply(target, 1, configuring({ limit: 1 }))
    const relays = (name: string) =>
      source.view.outbox.pending({ shard: 7, name }, 9).map(({ body }) => relaying(3, body))
    const [first = new Uint8Array(0), second = new Uint8Array(0)] = relays('jobs')
    expect(apply(target, 2, first, second, ...relays('other'), ...relays(''))).toMatchObject([
      { status: 'ok', revision: 1 },
      { status: 'full' },
      { status: 'ok', revision: 1 },
      { status: 'ok', revision: 1 },
    ])
    target = restored(target)
    expect(apply(target, 3, first, second)).toMatchObject([{ status: 'duplicate' }, { status: 'full' }])
    apply(target, 4, purging('all'))
    expect(apply(target, 5, second)).toEqual([{ status: 'ok', revision: 2 }])
  })

  test('have a part of the room, so that one that stands still leaves the others theirs', () => {
    const table = new OutboxTable({ pending: 160, bytes: 1_000_000 })
    const task = (queue: string) => taskOf(send(queue, 'x'))
    for (let sent = 0; sent < 10; sent++) table.apply(task('jobs'))
    expect([judge(table, task('jobs')), judge(table, task('other'))]).toEqual([STATUS.full, STATUS.ok])
  })
})

describe('a relayed command', () => {
  const bodies = (...values: number[]) => {
    const source = new Shard()
    apply(source, 1, together(values.map((value) => emitting(7, 'k', value))))
    return pending(source, 7).map(({ body }) => body)
  }

  test('is executed once, in its place, for each source', () => {
    const target = new Shard()
    const [one = new Uint8Array(0), two = new Uint8Array(0)] = bodies(1, 2)
    expect(apply(target, 2, relaying(3, two), relaying(3, one), relaying(3, one), relaying(3, two))).toEqual([
      { status: 'conflict', revision: 1 },
      { status: 'ok', revision: 1 },
      { status: 'duplicate', revision: 2 },
      { status: 'ok', revision: 2 },
    ])
    expect(get(target, 'k').value).toEqual(Uint8Array.of(2))
    expect(apply(target, 3, relaying(4, one))).toEqual([{ status: 'ok', revision: 1 }])
    expect(get(target, 'k').value).toEqual(Uint8Array.of(1))
  })

  test('counts as executed whatever it comes to, and never carries a command of the machine', () => {
    const target = new Shard()
    const source = new Shard()
    const garbage = emitPart(7, { kind: 32, encode: (writer) => writer.u8(9) })
    apply(source, 1, together([garbage, emitPart(7, part(setting('k', 1, anyone, 99))), emitting(7, 'after', 1)]))
    const replies = apply(target, 2, ...pending(source, 7).map(({ body }) => relaying(3, body)))
    expect(replies).toEqual([1, 2, 3].map((revision) => ({ status: 'ok', revision })))
    expect(contents(target)).toEqual([['after', 1]])
    const nested = together([part(setting('k', 1))])
    expect(apply(source, 3, together([emitPart(7, part(nested))]))).toEqual([{ status: 'unsupported', revision: 0 }])
  })
})

test('however often and in whatever order relays arrive, the target executes all in order and each once', () => {
  const deliveries = fc.array(fc.nat(9), { maxLength: 60 })
  fc.assert(
    fc.property(deliveries, fc.nat(60), (arriving, cut) => {
      let source = new Shard()
      let target = new Shard()
      for (let value = 0; value < 10; value++) apply(source, value, together([emitting(7, 'k', value)]))
      const bodies = pending(source, 7).map(({ body }) => body)
      let executed = 0
      ;[...arriving, ...bodies.keys()].forEach((at, turn) => {
        if (turn === cut) [source, target] = [restored(source), restored(target)]
        const [reply] = apply(target, 100 + turn, relaying(3, bodies[at] ?? new Uint8Array(0)))
        expect(reply?.status).toBe(at === executed ? 'ok' : at < executed ? 'duplicate' : 'conflict')
        if (reply?.status === 'ok') executed++
        expect(get(target, 'k').value).toEqual(executed === 0 ? new Uint8Array(0) : Uint8Array.of(executed - 1))
        if (reply?.status === 'ok') apply(source, 100 + turn, relayed(7, executed))
        expect(sequences(source, 7)).toEqual(Array.from({ length: 10 - executed }, (_, index) => executed + index + 1))
      })
      expect([executed, targets(source)]).toEqual([10, []])
      const copy = restored(source)
      expect(copy.digest()).toBe(source.digest())
      for (const each of [copy, source]) apply(each, 1000, together([emitting(7, 'k', 1)]))
      expect(sequences(copy, 7)).toEqual([11])
    }),
    { numRuns: 50 },
  )
})

function judge(table: OutboxTable, task: Task = taskOf()): number {
  table.check(task)
  return task.outcome.status
}

function keep(table: OutboxTable): void {
  table.apply(taskOf())
}

function taskOf({ kind, encode }: Part = emitting(7, 'k', 1)): Task {
  const body = bytes(encode)
  return {
    kind,
    reader: new ByteReader(body),
    end: body.length,
    time: 1,
    outcome: { status: 0, revision: 0 },
    level: 1,
  }
}
