import { expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../../../src/base/bytes.ts'
import type { NodeId } from '../../../src/base/identity.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { defineMap, defineQueue } from '../../../src/index.ts'
import type { RaftMessage } from '../../../src/protocol/raft/message.ts'
import { readGroupMessage, writeGroupMessage } from '../../../src/wire/envelope.ts'
import { FRAME } from '../../../src/wire/request.ts'
import { openWith } from '../message/open-with.ts'
import { TestCluster } from './cluster.ts'

const [HONEST, LIAR] = ['n1', 'n3'] as NodeId[] as [NodeId, NodeId]
const users = defineMap<number>('users')
const jobs = defineQueue<number>('jobs')
let random: SeededRandom

const EXTREMES = [0, 1, 2 ** 16, 2 ** 31, 2 ** 32 - 1, 2 ** 40, Number.MAX_SAFE_INTEGER]

/** One number of the message is another one. */
function falsified(message: RaftMessage): RaftMessage {
  const fields = Object.entries(message).filter(([, value]) => typeof value === 'number')
  const [field, value] = fields[random.below(fields.length)] ?? ['term', 0]
  const near = Math.max(0, Number(value) - 3 + random.below(7))
  const other = random.next() < 0.5 ? near : (EXTREMES[random.below(EXTREMES.length)] ?? 0)
  return { ...message, [field]: other }
}

function lie(frame: Uint8Array): Uint8Array {
  if (frame[0] !== FRAME.envelope || random.next() < 0.3) return scrambled(frame)
  const reader = new ByteReader(frame, 1)
  const writer = new ByteWriter()
  writer.u8(FRAME.envelope)
  while (reader.remaining > 0) {
    const { group, message } = readGroupMessage(reader)
    writeGroupMessage(writer, group, random.next() < 0.5 ? message : falsified(message))
  }
  return writer.take()
}

/** A few of its bytes are others, or it ends too early. */
function scrambled(frame: Uint8Array): Uint8Array {
  const copy = frame.slice()
  for (let left = 1 + random.below(3); left > 0; left--) copy[random.below(copy.length)] = random.below(256)
  return random.next() < 0.2 ? copy.slice(0, 1 + random.below(copy.length)) : copy
}

test.each([1, 2, 3, 4, 5, 6])(
  'nodes go on, and serve, beside one that lies with what frames it can (seed %i)',
  async (seed) => {
    random = new SeededRandom(seed)
    const cluster = new TestCluster(['n1', 'n2', 'n3'], 2)
    const sent: Uint8Array[] = []
    let isLying = false
    cluster.network.onSend((from, _, frame) => {
      if (from === LIAR && !isLying) sent.push(frame.slice())
    })
    await cluster.run(1000)
    const application = openWith(cluster.application(true))
    const quiet = (call: Promise<unknown>): void => void call.catch(() => {})
    for (let round = 0; round < 40; round++) {
      quiet(application.map(users).set(`key ${round}`, round, { timeout: 1000 }))
      quiet(application.queue(jobs).send(round, { timeout: 1000 }))
      for (let count = 0; count < 3; count++) {
        const frame = sent[sent.length - 1 - random.below(Math.min(sent.length, 20))]
        isLying = true
        if (frame !== undefined) cluster.network.send(LIAR, HONEST, lie(frame))
        isLying = false
      }
      await cluster.run(30)
    }
    cluster.crash(LIAR)
    await cluster.run(8000)
    const written = application.map(users).set('after', 7, { timeout: 20_000 })
    quiet(written)
    await cluster.run(5000)
    await written
    expect(cluster.nodes[0]?.status().groups.every(({ term }) => term < 2 ** 32)).toBe(true)
  },
)
