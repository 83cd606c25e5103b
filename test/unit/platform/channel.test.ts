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

/** Frames that begin with their number, of lengths that go through the slot, and of some that do not. */
function numbered(at: number): Uint8Array {
  const frame = new Uint8Array(at % 7 === 0 ? 9_000 : 5 + (at % 300))
  new DataView(frame.buffer).setUint32(0, at)
  return frame
}

const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer, frame.byteOffset).getUint32(0)

const AWAKE = { begin: () => true, isOver: () => false, end: () => {} }

describe('a port channel on which both ends stay awake', () => {
  /** Both ends, with what has gone through the port from the first one. */
  function ends(): { readonly one: PortChannel; readonly other: PortChannel; readonly posted: unknown[] } {
    const [near, far] = portEnds()
    const posted: unknown[] = []
    const post = near.port.postMessage.bind(near.port)
    near.port.postMessage = (message: unknown) => {
      posted.push(message)
      post(message)
    }
    const [one, other] = [new PortChannel(near, AWAKE), new PortChannel(far, AWAKE)]
    cleanups.push(() => one.close())
    return { one, other, posted }
  }

  test('carries small frames without a message', async () => {
    const { one, other, posted } = ends()
    const heard: number[] = []
    other.onFrame((frame) => other.send(frame))
    one.onFrame((frame) => {
      heard.push(numberOf(frame))
      if (heard.length < 100) one.send(numbered(heard.length * 7 + 1))
    })
    one.send(numbered(1))
    await until(() => expect(heard).toEqual(Array.from({ length: 100 }, (_, at) => at * 7 + 1)))
    // The first came while the other end had not yet said anything, and so did not look for answers.
    expect(posted.length).toBe(1)
  })

  test('gives way to a thread that it has woken until it answers, and never to one that was awake', async () => {
    const wait = vi.spyOn(Atomics, 'wait')
    cleanups.push(() => wait.mockRestore())
    const { one, other } = ends()
    let answers = 0
    let given = 0
    other.onFrame((frame) => other.send(frame))
    one.onFrame((frame) => {
      if (answers++ === 0) given = wait.mock.calls.length
      if (answers < 50) one.send(frame)
    })
    one.send(numbered(1))
    await until(() => expect(answers).toBe(50))
    expect(given).toBeGreaterThan(0)
    expect(wait).toHaveBeenCalledTimes(given)
  })

  test('sends what the slot has no room for through the port, and keeps the order', async () => {
    const { one, other, posted } = ends()
    const heard: number[] = []
    one.onFrame(() => {})
    other.onFrame((frame) => heard.push(numberOf(frame)))
    other.send(Uint8Array.of(0, 0, 0, 0))
    const frames = [1, 2, 7, 3].map(numbered)
    for (const frame of frames) one.send(frame)
    await until(() => expect(heard).toEqual([1, 2, 7, 3]))
    expect(posted.length).toBe(3)
  })

  test('delivers what is in the slot before it says that it was closed', async () => {
    const { one, other, posted } = ends()
    const log: unknown[] = []
    other.onFrame((frame) => log.push(numberOf(frame)))
    other.onClose(() => log.push('closed'))
    other.send(Uint8Array.of(0))
    // The other end has just looked in this round of the loop, and hears of the end at the beginning of the next.
    setImmediate(() => {
      one.send(numbered(1))
      one.close()
    })
    await until(() => expect(log).toEqual([1, 'closed']))
    expect(posted.length).toBe(0)
  })
})

test('a port channel whose end stops looking takes what was put there meanwhile', async () => {
  const [near, far] = portEnds()
  const one = new PortChannel(near)
  cleanups.push(() => one.close())
  const overtaken = {
    ...AWAKE,
    isOver: () => one.send(numbered(1)),
  }
  const other = new PortChannel(far, overtaken)
  const heard: number[] = []
  other.onFrame((frame) => heard.push(numberOf(frame)))
  other.send(Uint8Array.of(0))
  await until(() => expect(heard).toEqual([1]))
})

/** Answers each frame with its like, and falls asleep and wakes at any moment. */
const ECHO = `
  const { workerData: { entry, end } } = require('node:worker_threads')
  import(entry).then(({ PortChannel }) => {
    const restless = { begin: () => Math.random() < 0.9, isOver: () => Math.random() < 0.5, end() {} }
    const channel = new PortChannel(end, restless)
    channel.onFrame((frame) => channel.send(frame))
  })`

test('a port channel between threads that fall asleep at any moment loses no frame and keeps their order', async () => {
  const [near, far] = portEnds()
  const entry = new URL('../../../dist/platform/port-channel.js', import.meta.url).href
  const worker = new Worker(ECHO, { eval: true, workerData: { entry, end: far }, transferList: [far.port] })
  cleanups.push(() => void worker.terminate())
  const restless = {
    begin: () => Math.random() < 0.9,
    isOver: () => Math.random() < 0.5,
    end: () => {},
  }
  const channel = new PortChannel(near, restless)
  const total = 3_000
  const heard: number[] = []
  let sent = 0
  // Mostly one after the other, where a frame that is missed is missed for ever.
  const say = (): void => {
    const most = sent % 500 < 400 ? 1 : 4
    while (sent < total && sent < heard.length + most) channel.send(numbered(sent++))
  }
  channel.onFrame((frame) => {
    heard.push(numberOf(frame))
    say()
  })
  say()
  await vi.waitFor(() => expect(heard.length).toBe(total), { timeout: 15_000, interval: 20 })
  expect(heard.every((number, at) => number === at)).toBe(true)
})
