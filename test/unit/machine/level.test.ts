import { expect, test } from 'vitest'
import { BatchWriter } from '../../../src/machine/batch.ts'
import { type CommandReply, decodeCommandReply } from '../../../src/machine/command.ts'
import { Shard } from '../../../src/machine/shard.ts'
import { encodeTopicConfigure, TOPIC_COMMAND } from '../../../src/machine/topic/command.ts'
import { command } from './queue/operations.ts'

const NO_LIMIT = Number.POSITIVE_INFINITY

function partitions(shard: Shard, level: number, count: number): CommandReply | undefined {
  const settings = { partitions: count, keepMs: NO_LIMIT, keepBytes: NO_LIMIT, keepCount: NO_LIMIT, compact: false }
  const batch = new BatchWriter()
  batch.add(command(TOPIC_COMMAND.topicConfigure, (writer) => encodeTopicConfigure(writer, 't', settings)))
  let answer: CommandReply | undefined
  shard.apply(batch.finish(1, level), (_, reply) => {
    answer = decodeCommandReply(reply)
  })
  return answer
}

test('partitions become more in entries of level 1, and are for good from level 2 on', () => {
  const shard = new Shard()
  expect(partitions(shard, 1, 2)).toEqual({ status: 'ok', revision: 2 })
  expect(partitions(shard, 1, 3)).toEqual({ status: 'ok', revision: 3 })
  expect(partitions(shard, 1, 2)).toEqual({ status: 'conflict', revision: 3 })
  expect(partitions(shard, 2, 4)).toEqual({ status: 'conflict', revision: 3 })
  expect(partitions(shard, 2, 2)).toEqual({ status: 'conflict', revision: 3 })
  expect(partitions(shard, 2, 3)).toEqual({ status: 'ok', revision: 0 })
})
