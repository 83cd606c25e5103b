import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { PortChannel, portEnds } from '../../../src/platform/port-channel.ts'
import type { Channel } from '../../../src/wire/channel.ts'
import { directChannels } from '../../../src/wire/direct-channel.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 4_000, interval: 5 })

const kinds: [string, (budgetBytes?: number) => [Channel, Channel]][] = [
  ['a direct channel', (budgetBytes) => directChannels({ defer: (task) => void setImmediate(task) }, budgetBytes)],
  [
    'a port channel',
    (budgetBytes) => {
      const [one, other] = portEnds(budgetBytes)
      return [new PortChannel(one), new PortChannel(other)]
    },
  ],
]

describe.each(kinds)('%s', (_, open) => {
  const opened = (budgetBytes?: number): [Channel, Channel] => {
    const channels = open(budgetBytes)
    for (const channel of channels) cleanups.push(() => channel.close())
    return channels
  }

  test('carries frames in order, in both directions, and never within the call', async () => {
    const [one, other] = opened()
    const atOne: number[] = []
    const atOther: number[] = []
    one.onFrame((frame) => atOne.push(frame[0] ?? -1))
    other.onFrame((frame) => {
      atOther.push(frame[0] ?? -1)
      other.send(Uint8Array.of((frame[0] ?? 0) + 100))
    })
    for (let at = 0; at < 100; at++) expect(one.send(Uint8Array.of(at))).toBe(true)
    expect(atOther).toEqual([])
    await until(() => expect(atOne).toEqual(Array.from({ length: 100 }, (__, at) => at + 100)))
    expect(atOther.length).toBe(100)
  })

  test('carries only the frame, not the buffer it is a view of', async () => {
    const [one, other] = opened()
    const buffer = Uint8Array.from({ length: 100 }, (__, at) => at)
    const frames: Uint8Array[] = []
    other.onFrame((frame) => frames.push(frame))
    one.send(buffer.subarray(10, 13))
    await until(() => expect(frames.map((frame) => [...frame])).toEqual([[10, 11, 12]]))
    expect(buffer[10]).toBe(10)
  })

  test('takes no more than its budget until the other side has read', async () => {
    const [one, other] = opened(1_000)
    let received = 0
    other.onFrame((frame) => {
      received += frame.length
    })
    for (let round = 1; round <= 3; round++) {
      expect(one.send(new Uint8Array(600))).toBe(true)
      expect(one.send(new Uint8Array(600))).toBe(false)
      expect(one.send(new Uint8Array(400))).toBe(true)
      expect(one.send(new Uint8Array(1))).toBe(false)
      await until(() => expect(received).toBe(round * 1_000))
    }
  })

  test('that is closed delivers what was sent before, tells both sides once, and takes nothing more', async () => {
    const [one, other] = opened()
    const log: string[] = []
    one.onFrame(() => log.push('frame at one'))
    one.onClose((reason) => log.push(`one closed: ${reason}`))
    other.onFrame(() => log.push('frame at other'))
    other.onClose((reason) => log.push(`other closed: ${reason?.name}`))
    one.send(new Uint8Array(1))
    one.close()
    one.close()
    expect(one.send(new Uint8Array(1))).toBe(false)
    await until(() => expect(log).toEqual(['one closed: undefined', 'frame at other', 'other closed: TroupeError']))
    expect(other.send(new Uint8Array(1))).toBe(false)
    other.close()
    expect(log.length).toBe(3)
  })
})

test('a port channel hears the end of the thread on its other side', async () => {
  const [near, far] = portEnds()
  const worker = new Worker('require("node:worker_threads").workerData.port.on("message", () => process.exit())', {
    eval: true,
    workerData: far,
    transferList: [far.port],
  })
  cleanups.push(() => void worker.terminate())
  const channel = new PortChannel(near)
  const reasons: unknown[] = []
  channel.onFrame(() => {})
  channel.onClose((reason) => reasons.push(reason))
  channel.send(new Uint8Array(1))
  await until(() => expect(reasons).toMatchObject([{ code: 'CLOSED' }]))
})
