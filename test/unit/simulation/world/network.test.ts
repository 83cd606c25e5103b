import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/identity.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { Network } from '../../../../src/host/port.ts'
import { Trace } from '../../../../src/simulation/trace.ts'
import { connectChannels } from '../../../../src/simulation/world/client-channel.ts'
import { Computer } from '../../../../src/simulation/world/computer.ts'
import { EventQueue } from '../../../../src/simulation/world/event-queue.ts'
import type { LinkQuality } from '../../../../src/simulation/world/link.ts'
import { SimulatedNetwork } from '../../../../src/simulation/world/network.ts'
import { FRAME } from '../../../../src/wire/request.ts'

const A = 'a' as NodeId
const B = 'b' as NodeId
const FAIR: LinkQuality = { mode: 'stream', delayMs: [1, 2], loss: 0, duplicate: 0, tail: 0, tailMs: 0 }

interface Station {
  readonly port: Network
  readonly computer: Computer
  readonly heard: string[]
}

function world(quality: Partial<LinkQuality> = {}, seed = 1) {
  const queue = new EventQueue()
  const trace = new Trace(queue)
  const random = new SeededRandom(seed)
  const network = new SimulatedNetwork({ ...FAIR, ...quality }, { queue, random, trace })
  return { queue, trace, network, random, advance: (ms: number) => runUntil(queue, queue.now() + ms), start }

  function start(node: NodeId, peers: readonly NodeId[], generation = 1): Station {
    const computer = new Computer(queue, node)
    const port = network.join(node, computer, generation)
    const heard: string[] = []
    port.onPeer({
      connected: (peer, theirs) => heard.push(`+${peer}${theirs}`),
      disconnected: (peer) => heard.push(`-${peer}`),
      frame: (from, frame) => heard.push(`${from}:${frame.join()}`),
    })
    port.dial(peers.map((peer) => `${peer}:7400`))
    return { port, computer, heard }
  }
}

function runUntil(queue: EventQueue, until: number): void {
  while (queue.step(until));
}

function pairOf(quality: Partial<LinkQuality> = {}, seed = 1) {
  const { start, ...rest } = world(quality, seed)
  const a = start(A, [B])
  const b = start(B, [A])
  rest.advance(1000)
  expect(a.heard.splice(0)).toEqual(['+b1'])
  expect(b.heard.splice(0)).toEqual(['+a1'])
  return { ...rest, start, a, b }
}

const numbers = (from: number, until: number): number[] => Array.from({ length: until - from }, (_, at) => from + at)
const frames = (heard: readonly string[]): number[] =>
  heard.filter((line) => line.includes(':')).map((line) => Number(line.slice(2).split(',').at(-1)))

describe('a stream', () => {
  test('that is slow one way carries so many bytes in a millisecond, and all that waits at once when it is quick again', () => {
    const { a, b, network, advance } = pairOf()
    network.slowDown(A, B, 0.1)
    for (const number of numbers(0, 20)) a.port.send(B, new Uint8Array(50).fill(number))
    b.port.send(A, Uint8Array.of(1))
    advance(2800)
    expect(frames(b.heard)).toEqual(numbers(0, 5))
    expect(frames(a.heard)).toEqual([1])
    network.slowDown(A, B, undefined)
    advance(20)
    expect(frames(b.heard)).toEqual(numbers(0, 20))
  })

  test('has what somebody sends who stands still when that is over, and never when the power fails before', () => {
    const { a, b, advance } = pairOf()
    const sends = (first: number): void => {
      a.computer.defer(() => {
        for (const number of [first, first + 1]) {
          a.port.send(B, Uint8Array.of(number))
          a.computer.standStill(100)
        }
      })
    }
    sends(0)
    advance(90)
    expect(frames(b.heard)).toEqual([0])
    advance(200)
    expect(frames(b.heard)).toEqual([0, 1])
    sends(2)
    advance(90)
    a.computer.powerOff()
    advance(200)
    expect(frames(b.heard)).toEqual([0, 1, 2])
  })

  test('keeps the order of frames whatever is lost and delayed on the way', () => {
    const { a, b, advance } = pairOf({ loss: 0.3, tail: 0.3, tailMs: 500 })
    for (const number of numbers(0, 100)) a.port.send(B, Uint8Array.of(number))
    advance(10_000)
    expect(frames(b.heard)).toEqual(numbers(0, 100))
  })

  test('loses nothing but with the connection: after a cut either all arrives late or the connection was lost', () => {
    const outcomes = new Set<string>()
    for (const seed of numbers(0, 20)) {
      const { a, b, network, advance } = pairOf({}, seed)
      network.cut(A, B)
      a.port.send(B, Uint8Array.of(7))
      advance(6000)
      expect(frames(b.heard)).toEqual([])
      network.heal(A, B)
      advance(20_000)
      const isLost = b.heard.includes('-a')
      expect(isLost || frames(b.heard).join() === '7').toBe(true)
      expect(b.heard.includes('+a1')).toBe(isLost)
      outcomes.add(isLost ? 'lost' : 'late')
    }
    expect([...outcomes].sort()).toEqual(['late', 'lost'])
  })

  test('takes no more than its byte budget', () => {
    const { a, network } = pairOf()
    network.cut(A, B)
    const frame = new Uint8Array(16 * 1024 * 1024)
    expect([a.port.send(B, frame), a.port.send(B, frame), a.port.send(B, frame)]).toEqual([true, true, false])
  })
})

test('a cut in one direction stops that direction only', () => {
  const { a, b, network, advance } = pairOf({}, 5)
  network.cut(A, B)
  a.port.send(B, Uint8Array.of(1))
  b.port.send(A, Uint8Array.of(2))
  advance(50)
  expect(frames(a.heard)).toEqual([2])
  expect(frames(b.heard)).toEqual([])
})

test('datagrams are lost, repeated and overtaken', () => {
  const { a, b, advance } = pairOf({ mode: 'datagram', loss: 0.2, duplicate: 0.2, delayMs: [1, 20] })
  for (const number of numbers(0, 200)) a.port.send(B, Uint8Array.of(FRAME.envelope, number))
  advance(10_000)
  const heard = frames(b.heard)
  expect(new Set(heard).size).toBeLessThan(200)
  expect(heard.length).toBeGreaterThan(new Set(heard).size)
  expect(heard).not.toEqual([...heard].sort((x, y) => x - y))
})

test('what is forwarded for applications keeps its order, whatever happens to datagrams', () => {
  const { a, b, advance } = pairOf({ mode: 'datagram', loss: 0.2, duplicate: 0.2, delayMs: [1, 20] })
  for (const number of numbers(0, 200)) a.port.send(B, Uint8Array.of(FRAME.requests, number))
  advance(60_000)
  expect(frames(b.heard)).toEqual(numbers(0, 200))
})

test('a crash is noticed by the peer, and a restarted node connects with its new generation', () => {
  const { a, b, advance, start } = pairOf()
  b.computer.powerOff()
  b.port.close()
  advance(10)
  expect(a.heard).toEqual(['-b'])
  expect(a.port.send(B, Uint8Array.of(1))).toBe(false)
  const again = start(B, [A], 2)
  advance(2000)
  expect(a.heard).toEqual(['-b', '+b2'])
  expect(again.heard).toEqual(['+a1'])
})

test('a node that hangs up is connected again later', () => {
  const { a, b, advance } = pairOf()
  a.port.disconnect(B)
  advance(2000)
  expect(a.heard).toEqual(['-b', '+b1'])
  expect(b.heard).toEqual(['-a', '+a1'])
})

test('a paused computer hears everything once it resumes', () => {
  const { a, b, advance } = pairOf()
  b.computer.pause()
  for (const number of [1, 2, 3]) a.port.send(B, Uint8Array.of(number))
  advance(1000)
  expect(b.heard).toEqual([])
  b.computer.resume()
  advance(1)
  expect(frames(b.heard)).toEqual([1, 2, 3])
})

test('the same seed gives the same trace, another seed another one', () => {
  const run = (seed: number): string => {
    const { a, b, advance, trace } = pairOf({ mode: 'datagram', loss: 0.2, duplicate: 0.1 }, seed)
    for (const number of numbers(0, 50))
      (number % 3 === 0 ? a : b).port.send(number % 3 === 0 ? B : A, Uint8Array.of(FRAME.envelope, number))
    advance(5000)
    return trace.hash
  }
  expect(run(3)).toBe(run(3))
  expect(run(3)).not.toBe(run(4))
})

describe('a client channel', () => {
  test('carries frames both ways in order and closes both ends', () => {
    const { queue, trace, random, advance } = world()
    const [near, far] = connectChannels([new Computer(queue, 'app'), new Computer(queue, 'node')], () => FAIR, {
      queue,
      trace,
      random,
    })
    const heard: string[] = []
    far.onFrame((frame) => heard.push(`far ${frame.join()}`))
    near.onFrame((frame) => heard.push(`near ${frame.join()}`))
    near.onClose((reason) => heard.push(`near closed ${reason === undefined}`))
    far.onClose((reason) => heard.push(`far closed ${reason === undefined}`))
    near.send(Uint8Array.of(1))
    near.send(Uint8Array.of(2))
    advance(100)
    far.send(Uint8Array.of(3))
    advance(100)
    near.close()
    expect(near.send(Uint8Array.of(4))).toBe(false)
    advance(100)
    expect(heard).toEqual(['far 1', 'far 2', 'near 3', 'near closed true', 'far closed false'])
  })
})
