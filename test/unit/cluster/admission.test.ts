import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import { type Envelope, encodeHead, NO_SESSION } from '../../../src/machine/command.ts'
import { encodeRelay } from '../../../src/machine/outbox.ts'
import { QUEUE_COMMAND } from '../../../src/machine/queue/command.ts'
import { encodePause } from '../../../src/machine/queue/encode.ts'
import { FRAME, OPERATION, REPLY, type Reply, readReply, writeRequest } from '../../../src/wire/request.ts'
import { TestCluster } from './cluster.ts'

const ANYONE: Envelope = { session: NO_SESSION, sequence: 1, acknowledged: 1 }
/** Of shard 0; group 0 is the meta group. */
const GROUP = 1

function bytes(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  write(writer)
  return writer.take()
}

/** What a node answers to requests that no driver would send. */
async function ask(cluster: TestCluster, requests: readonly (readonly [number, Uint8Array])[]): Promise<Reply[]> {
  const replies: Reply[] = []
  let receive: (frame: Uint8Array) => void = () => undefined
  cluster.nodes[0]?.accept({
    send(frame) {
      const reader = new ByteReader(frame, 1)
      while (reader.remaining > 0) replies.push(readReply(reader))
      return true
    },
    onFrame: (handler) => {
      receive = handler
    },
    onClose: () => undefined,
    close: () => undefined,
  })
  const write = (writer: ByteWriter): void => {
    writer.u8(FRAME.requests)
    for (const [id, [operation, content]] of requests.entries()) {
      writeRequest(writer, { id, operation, group: GROUP, bytes: content })
    }
  }
  receive(bytes(write))
  await cluster.run(1000)
  return replies.sort((a, b) => a.id - b.id)
}

test('an engine refuses what only engines may send, alone and as a settlement, and goes on', async () => {
  const cluster = new TestCluster(['n1'], 1)
  await cluster.run(3000)
  const relay = bytes((writer) => encodeRelay(writer, 0, new Uint8Array(16)))
  const lapse = bytes((writer) => {
    writer.u16(1)
    writer.u53(7)
    encodeHead(writer, QUEUE_COMMAND.lapse, ANYONE)
  })
  const pause = bytes((writer) => {
    encodeHead(writer, QUEUE_COMMAND.pause, ANYONE)
    encodePause(writer, 'jobs', true)
  })
  const replies = await ask(cluster, [
    [OPERATION.command, relay],
    [OPERATION.settle, lapse],
    [OPERATION.command, pause],
  ])
  expect(replies.map(({ status }) => status)).toEqual([REPLY.refused, REPLY.refused, REPLY.answered])
  expect(replies.slice(0, 2).map((reply) => new ByteReader(reply.bytes).text())).toEqual([
    'INVALID_ARGUMENT',
    'INVALID_ARGUMENT',
  ])
})

test('an engine takes no command that would not fit into a frame to its peers', async () => {
  const cluster = new TestCluster(['n1'], 1)
  await cluster.run(3000)
  const [reply] = await ask(cluster, [[OPERATION.command, new Uint8Array(9 * 1024 * 1024)]])
  expect(reply?.status).toBe(REPLY.refused)
  expect(new ByteReader(reply?.bytes ?? new Uint8Array(0)).text()).toBe('TOO_LARGE')
})
