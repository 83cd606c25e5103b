import { describe, expect, test } from 'vitest'
import { BatchWriter } from '../../../src/machine/batch.ts'
import { decodeCommandReply } from '../../../src/machine/command.ts'
import { LEVEL } from '../../../src/machine/level.ts'
import { QUEUE_COMMAND } from '../../../src/machine/queue/command.ts'
import { encodeDelete } from '../../../src/machine/queue/encode.ts'
import { Shard } from '../../../src/machine/shard.ts'
import { encodePublish, TOPIC_COMMAND } from '../../../src/machine/topic/command.ts'
import { command, configuring, QUEUE, sending } from './queue/operations.ts'

const deletingSome = (limit: number) =>
  command(QUEUE_COMMAND.queueDelete, (writer) => encodeDelete(writer, QUEUE, limit))
const deleting = deletingSome(1000)
const deletingTopic = command(TOPIC_COMMAND.topicDelete, (writer) => writer.text('t'))
const publishing = command(TOPIC_COMMAND.publish, (writer) =>
  encodePublish(writer, { topic: 't', partition: 0, key: '', headers: new Uint8Array(0), payload: new Uint8Array(1) }),
)

function applied(shard: Shard, level: number, ...commands: readonly Uint8Array[]) {
  const batch = new BatchWriter()
  for (const each of commands) batch.add(each)
  const replies: (readonly [string, number])[] = []
  shard.apply(batch.finish(1_000_000, level), (_, reply) => {
    const { status, revision } = decodeCommandReply(reply)
    replies.push([status, revision])
  })
  return replies
}

function restored(shard: Shard): Shard {
  const copy = new Shard()
  const frozen = shard.freeze()
  copy.restore(frozen.chunks())
  frozen.release()
  return copy
}

describe('a queue or topic that is deleted', () => {
  test('leaves the shard as if it had never been, but for its ids', () => {
    const shard = new Shard()
    const [, , first] = applied(shard, LEVEL, configuring({}), sending('m'), sending('m'))
    applied(shard, LEVEL, publishing)
    expect(applied(shard, LEVEL, deleting, deletingTopic)).toEqual([
      ['ok', 2],
      ['ok', 1],
    ])
    expect(applied(shard, LEVEL, deleting, deletingTopic)).toEqual([
      ['absent', 0],
      ['absent', 0],
    ])
    expect(shard.dueAt).toBe(Number.POSITIVE_INFINITY)
    const [again] = applied(shard, LEVEL, sending('m'))
    expect(again?.[1]).toBeGreaterThan(first?.[1] ?? Number.POSITIVE_INFINITY)
  })

  test('goes message by message when there are many, and with the last', () => {
    const shard = new Shard()
    applied(shard, LEVEL, configuring({}), ...Array.from({ length: 5 }, () => sending('m')))
    expect(applied(shard, LEVEL, deletingSome(3), deletingSome(3), deletingSome(3))).toEqual([
      ['ok', 3],
      ['ok', 2],
      ['absent', 0],
    ])
  })

  test('is told to whom sends to it next, until its rules are said, also after a restart', () => {
    const shard = new Shard()
    const statuses = (on: Shard) => applied(on, LEVEL, sending('m'), publishing).map(([status]) => status)
    applied(shard, LEVEL, configuring({}))
    expect(statuses(shard)).toEqual(['ok', 'unruled'])
    applied(shard, LEVEL, deleting)
    expect(statuses(shard)).toEqual(['unruled', 'unruled'])
    const copy = restored(shard)
    expect(copy.digest()).toBe(shard.digest())
    expect(statuses(copy)).toEqual(['unruled', 'unruled'])
    applied(copy, LEVEL, configuring({}))
    expect(statuses(copy)).toEqual(['ok', 'unruled'])
    expect(statuses(restored(copy))).toEqual(['ok', 'unruled'])
  })

  test('is unknown in an entry that was made for machines that do not know it, and nothing is told there', () => {
    const shard = new Shard()
    expect(applied(shard, 1, sending('m'), publishing).map(([status]) => status)).toEqual(['ok', 'ok'])
    const before = shard.digest()
    expect(applied(shard, 1, deleting, deletingTopic).map(([status]) => status)).toEqual(['unsupported', 'unsupported'])
    expect(shard.digest()).toBe(before)
  })
})
