import { describe, expect, test } from 'vitest'
import { ByteReader } from '../../../../src/base/bytes.ts'
import { OutboxCarrier } from '../../../../src/cluster/duty/outbox-carrier.ts'
import type { ReplyTarget } from '../../../../src/cluster/source.ts'
import { STATUS } from '../../../../src/machine/command.ts'
import { EventQueue } from '../../../../src/simulation/world/event-queue.ts'
import { REPLY } from '../../../../src/wire/request.ts'

const LANE = { shard: 3, name: 'mails' }
const HEAD_BYTES = 25

type Answer = readonly [reply: number, status: number]
const EXECUTED: Answer = [REPLY.answered, STATUS.ok]
const BEFORE: Answer = [REPLY.answered, STATUS.duplicate]

/** A shard with five commands for another one, which gives each batch that it is sent these answers. */
function world(...answers: readonly (readonly Answer[])[]) {
  const queue = new EventQueue()
  let left = [1, 2, 3, 4, 5]
  let version = 1
  const batches: number[][] = []
  const reports: number[] = []
  let carrying: { target: ReplyTarget; id: number }[] = []
  const carrier: OutboxCarrier = new OutboxCarrier({
    clock: queue,
    scheduler: queue,
    isActive: () => true,
    outbox: () => ({
      version,
      lanes: () => (left.length > 0 ? [LANE] : []),
      pending: (_, limit) => left.slice(0, limit).map((sequence) => ({ sequence, body: new Uint8Array([sequence]) })),
    }),
    carriage: {
      shard: 0,
      carry: (_, command, target, id) => {
        carrying.push({ target, id })
        if (carrying.length === 1) batches.push([])
        batches.at(-1)?.push(command.at(-1) ?? 0)
        return true
      },
    },
    propose: (target, id, command) => {
      const reader = new ByteReader(command, HEAD_BYTES)
      expect([reader.u32(), reader.text()]).toEqual([LANE.shard, LANE.name])
      const through = reader.u53()
      reports.push(through)
      left = left.filter((sequence) => sequence > through)
      version++
      target.reply(id, REPLY.answered, new Uint8Array(9))
    },
  })
  carrier.advance()
  for (const batch of answers) {
    const sent = carrying
    carrying = []
    for (const { target, id } of sent) {
      const [reply, status] = batch[id] ?? EXECUTED
      target.reply(id, reply, new Uint8Array([status, 0, 0, 0, 0, 0, 0, 0, 0]))
    }
    const until = queue.now() + 1000
    while (queue.step(until));
  }
  return { batches, reports, left }
}

describe('what an outbox has for another shard', () => {
  test('is carried there together, and reported once all of it was executed', () => {
    expect(world([EXECUTED, BEFORE])).toEqual({ batches: [[1, 2, 3, 4, 5]], reports: [5], left: [] })
  })

  test.each<Answer>([
    [REPLY.answered, STATUS.full],
    [REPLY.answered, STATUS.conflict],
    [REPLY.refused, STATUS.ok],
    [REPLY.leaderLost, STATUS.ok],
  ])('stays from the first on that was not executed, and is carried again (reply %i, status %i)', (...failed) => {
    const { batches, reports, left } = world([EXECUTED, EXECUTED, failed, EXECUTED, EXECUTED], [])
    expect(batches).toEqual([
      [1, 2, 3, 4, 5],
      [3, 4, 5],
    ])
    expect(reports).toEqual([2, 5])
    expect(left).toEqual([])
  })

  test('is not reported at all when the first was not executed', () => {
    expect(world([[REPLY.answered, STATUS.full]])).toMatchObject({ reports: [], left: [1, 2, 3, 4, 5] })
  })
})
