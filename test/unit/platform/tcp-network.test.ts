import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { NodeId } from '../../../src/base/identity.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { DeadBuffers } from '../../../src/platform/dead-buffers.ts'
import { connectChannel } from '../../../src/platform/tcp-channel.ts'
import { type NetworkLimits, TcpNetwork } from '../../../src/platform/tcp-network.ts'
import type { Channel } from '../../../src/wire/channel.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

interface Node {
  readonly id: NodeId
  readonly network: TcpNetwork
  readonly address: string
  /** `+b@1`: connected to b in its generation 1; `-b`: disconnected. */
  readonly log: string[]
  readonly frames: Uint8Array[]
  readonly clients: Channel[]
}

interface NodeSettings {
  readonly generation?: number
  readonly cluster?: string
  readonly secret?: Uint8Array
  readonly listen?: string
  readonly limits?: Partial<NetworkLimits>
  readonly deadBuffers?: DeadBuffers
}

async function startNode(name: string, settings: NodeSettings = {}): Promise<Node> {
  const { generation = 1, cluster = 'shop', secret, listen = '127.0.0.1:0', limits = {}, deadBuffers } = settings
  const network = await TcpNetwork.bind({ listen, secret, random: new SeededRandom(1), limits, deadBuffers })
  cleanups.push(() => network.close())
  const id = name as NodeId
  const node: Node = { id, network, address: network.address ?? '', log: [], frames: [], clients: [] }
  network.onPeer({
    connected: (peer, itsGeneration) => node.log.push(`+${peer}@${itsGeneration}`),
    disconnected: (peer) => node.log.push(`-${peer}`),
    frame: (_, frame) => node.frames.push(frame),
  })
  network.onClient((channel) => {
    node.clients.push(channel)
    channel.onFrame((frame) => channel.send(frame))
  })
  network.start({ cluster, node: id, generation })
  return node
}

const introduce = (...nodes: Node[]): void => {
  // Each lists itself, too, as all nodes of a cluster have the same list.
  for (const { network } of nodes) network.dial(nodes.map(({ address }) => address))
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 4_000, interval: 5 })

async function pair(settings: NodeSettings = {}): Promise<[Node, Node]> {
  const a = await startNode('a', settings)
  const b = await startNode('b', settings)
  introduce(a, b)
  await until(() => expect([a.log.at(-1), b.log.at(-1)]).toEqual(['+b@1', '+a@1']))
  return [a, b]
}

async function rawSocket(address: string): Promise<Socket> {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1').on('error', () => {})
  cleanups.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

describe('peers', () => {
  test('hold one connection, in both directions, with frames in order', async () => {
    const [a, b] = await pair()
    const count = 2_000
    for (let at = 0; at < count; at++) {
      expect(a.network.send(b.id, new Uint8Array(at % 300).fill(at))).toBe(true)
      expect(b.network.send(a.id, Uint8Array.of(at & 255, at >> 8))).toBe(true)
    }
    await until(() => expect([a.frames.length, b.frames.length]).toEqual([count, count]))
    expect(b.frames.every((frame, at) => frame.length === at % 300 && frame.every((byte) => byte === (at & 255)))).toBe(
      true,
    )
    expect(a.frames.every((frame, at) => frame[0] === (at & 255) && frame[1] === at >> 8)).toBe(true)
    expect([a.network.counters.connected, b.network.counters.connected]).toEqual([1, 1])
  })

  test('carry frames of 16 MiB, and small ones between them', async () => {
    const [a, b] = await pair()
    const large = new Uint8Array(16 * 2 ** 20)
    for (let at = 0; at < large.length; at += 4_093) large[at] = at & 255
    a.network.send(b.id, large)
    a.network.send(b.id, Uint8Array.of(1))
    await until(() => expect(b.frames.length).toBe(2))
    expect(Buffer.compare(b.frames[0] ?? large.subarray(1), large)).toBe(0)
    expect(b.frames[1]).toEqual(new Uint8Array([1]))
  })

  test('tell where dead buffers go of large frames alone, and give back no chunk that somebody has a view of', async () => {
    const passed: string[] = []
    const deadBuffersOf = (name: string): DeadBuffers => {
      const deadBuffers = new DeadBuffers()
      deadBuffers.passed = (bytes) => passed.push(`${name} ${bytes}`)
      return deadBuffers
    }
    const a = await startNode('a', { deadBuffers: deadBuffersOf('left') })
    const b = await startNode('b', { deadBuffers: deadBuffersOf('came') })
    introduce(a, b)
    await until(() => expect(a.log).toEqual(['+b@1']))
    // Of any length, and around the parts in which they leave.
    const lengths = Array.from({ length: 300 }, (_, at) => [120_000, (at * 7_919) % 100_000, 65_436 + at][at % 3] ?? 0)
    const frames = lengths.map((length) => new Uint8Array(length).map((_, at) => (at * 31 + length) & 255))
    for (const frame of frames) expect(a.network.send(b.id, frame)).toBe(true)
    await until(() => expect(b.frames.length).toBe(frames.length))
    expect(frames.filter((frame, at) => Buffer.compare(frame, b.frames[at] ?? new Uint8Array()) !== 0)).toEqual([])
    expect(new Set(passed)).toEqual(new Set(['left 120000', 'came 120000']))
    expect(passed).toHaveLength(200)
  })

  test('find each other by address alone, each pair once', async () => {
    const nodes = await Promise.all(['a', 'b', 'c'].map((name) => startNode(name)))
    introduce(...nodes)
    const everyOther = [
      ['+b@1', '+c@1'],
      ['+a@1', '+c@1'],
      ['+a@1', '+b@1'],
    ]
    await until(() => expect(nodes.map(({ log }) => log.toSorted())).toEqual(everyOther))
    expect(nodes.map(({ network }) => network.counters.disconnected)).toEqual([0, 0, 0])
  })

  test.each(['a', 'b'])('are connected when only %s knows where the other is', async (name) => {
    const nodes = await Promise.all(['a', 'b'].map((id) => startNode(id)))
    const [knowing, known] = name === 'a' ? nodes : nodes.toReversed()
    knowing?.network.dial([known?.address ?? ''])
    await until(() => expect(nodes.map(({ log }) => log)).toEqual([['+b@1'], ['+a@1']]))
  })

  test.each(['a', 'b'])('that one of them (%s) does not want meet again only after a while', async (name) => {
    const [a, b] = await pair({ limits: { lastRetryMs: 100 } })
    const [refusing, refused] = name === 'a' ? [a, b] : [b, a]
    refusing.network.disconnect(refused.id)
    expect(refusing.log.at(-1)).toBe(`-${refused.id}`)
    await until(() => expect(refusing.log.at(-1)).toBe(`+${refused.id}@1`))
    await until(() => expect(refused.log.at(-1)).toBe(`+${refusing.id}@1`))
  })

  test.each(['a', 'b'])('are connected as soon as %s has restarted, and hear its new generation', async (name) => {
    // Only the restarted one can be the reason: the other would not try again for a minute.
    const patient = { firstRetryMs: 60_000, lastRetryMs: 60_000 }
    const nodes = await pair({ limits: patient })
    const [restarting, staying] = name === 'a' ? nodes : [nodes[1], nodes[0]]
    restarting.network.close()
    await until(() => expect(staying.log.at(-1)).toBe(`-${name}`))
    const again = await startNode(name, { generation: 2, listen: restarting.address, limits: patient })
    again.network.dial([staying.address])
    await until(() => expect(staying.log.at(-1)).toBe(`+${name}@2`))
  })

  test('that connect while an older connection seems to stand replace it', async () => {
    const [a, b] = await pair()
    const again = await startNode('a', { generation: 2 })
    again.network.dial([b.address])
    await until(() => expect(again.log).toContain('+b@1'))
    expect(b.log.slice(0, 3)).toEqual(['+a@1', '-a', '+a@2'])
    await until(() => expect(a.log).toContain('-b'))
  })

  test('notice at once that the other is gone', async () => {
    const [a, b] = await pair()
    b.network.close()
    await until(() => expect(a.log).toEqual(['+b@1', '-b']))
    expect(a.network.send(b.id, new Uint8Array(1))).toBe(false)
  })

  test('of which one starts much later are connected when it does', async () => {
    const b = await startNode('b', { limits: { lastRetryMs: 50 } })
    const reserved = await startNode('z')
    reserved.network.close()
    b.network.dial([reserved.address])
    await until(() => expect(b.network.counters.dialFailures).toBeGreaterThan(2))
    expect(b.network.troubles.get(reserved.address)?.code).toBe('UNREACHABLE')
    await startNode('a', { listen: reserved.address })
    await until(() => expect(b.log).toEqual(['+a@1']))
  })

  test('that are no longer listed are not dialed again', async () => {
    const [a, b] = await pair({ limits: { lastRetryMs: 20 } })
    a.network.dial([])
    b.network.close()
    await until(() => expect(a.log.at(-1)).toBe('-b'))
    const failures = a.network.counters.dialFailures
    const c = await startNode('c')
    introduce(a, c)
    await until(() => expect(a.log.at(-1)).toBe('+c@1'))
    expect(a.network.counters.dialFailures).toBe(failures)
  })

  test('of another cluster, or with another secret, stay apart and say why', async () => {
    const a = await startNode('a', { secret: new Uint8Array(32).fill(1) })
    const b = await startNode('b', { secret: new Uint8Array(32).fill(2) })
    const c = await startNode('c', { cluster: 'bank', secret: new Uint8Array(32).fill(1) })
    introduce(a, b, c)
    await until(() => {
      expect(a.network.troubles.get(b.address)?.code).toBe('UNAUTHENTICATED')
      expect(a.network.troubles.get(c.address)?.code).toBe('WRONG_CLUSTER')
    })
    expect([a.log, b.log, c.log]).toEqual([[], [], []])
  })

  test('of one name stay apart and say why', async () => {
    const [one, other] = [await startNode('a'), await startNode('a')]
    introduce(one, other)
    await until(() => expect(one.network.troubles.get(other.address)?.message).toContain("calls itself 'a'"))
    expect([one.log, other.log]).toEqual([[], []])
  })

  test('refuse a frame beyond the byte budget, and take frames again once it drains', async () => {
    const [a, b] = await pair({ limits: { peerBudgetBytes: 2 ** 20 } })
    const frame = new Uint8Array(300_000)
    let taken = 0
    while (a.network.send(b.id, frame)) taken++
    expect(taken).toBeGreaterThan(2)
    expect(a.network.counters.overBudget).toBe(1)
    await until(() => expect(b.frames.length).toBe(taken))
    expect(a.network.send(b.id, frame)).toBe(true)
  })

  test('give up a connection on which nothing comes back', async () => {
    const [a, b] = await pair({ limits: { silenceMs: 40 } })
    // Only one side speaks: to it the other one might as well be behind a cut cable.
    await until(() => {
      a.network.send(b.id, new Uint8Array(10))
      expect(a.log).toContain('-b')
    })
    expect(a.network.counters.silent).toBeGreaterThan(0)
    await until(() => expect(a.log.at(-1)).toBe('+b@1'))
  })
})

describe('clients', () => {
  test('learn node and cluster, and exchange frames', async () => {
    const node = await startNode('a')
    const { channel, peer } = await connectChannel(node.address)
    expect(peer).toMatchObject({ node: 'a', cluster: 'shop' })
    const echoed = new Promise<Uint8Array>((resolve) => channel.onFrame(resolve))
    channel.send(Uint8Array.of(1, 2, 3))
    expect([...(await echoed)]).toEqual([1, 2, 3])
    channel.close()
  })

  test('need the secret', async () => {
    const secret = new Uint8Array(32).fill(5)
    const node = await startNode('a', { secret })
    await expect(connectChannel(node.address)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await expect(connectChannel(node.address, { secret: new Uint8Array(32) })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    })
    const { channel } = await connectChannel(node.address, { secret })
    channel.close()
    await until(() => expect(node.network.counters).toMatchObject({ clients: 1, refused: 2, hostile: 0 }))
  })

  test('hear of a closed connection on both sides, once', async () => {
    const node = await startNode('a')
    const { channel } = await connectChannel(node.address)
    channel.onFrame(() => {})
    await until(() => expect(node.clients.length).toBe(1))
    const reasons: unknown[] = []
    channel.onClose((reason) => reasons.push(reason))
    node.clients[0]?.close()
    await until(() => expect(reasons).toMatchObject([{ code: 'UNREACHABLE' }]))
    expect(channel.send(new Uint8Array(1))).toBe(false)
    channel.close()
    expect(reasons.length).toBe(1)
  })

  test('get what was sent before the channel was closed', async () => {
    const node = await startNode('a')
    const { channel } = await connectChannel(node.address)
    const lengths: number[] = []
    channel.onFrame((frame) => lengths.push(frame.length))
    await until(() => expect(node.clients.length).toBe(1))
    node.clients[0]?.send(new Uint8Array(3_000_000))
    node.clients[0]?.close()
    await until(() => expect(lengths).toEqual([3_000_000]))
  })

  test('that do not read cost no more than their budget', async () => {
    const node = await startNode('a', { limits: { clientBudgetBytes: 2 ** 20 } })
    await connectChannel(node.address).then(({ channel }) => cleanups.push(() => channel.close()))
    await until(() => expect(node.clients.length).toBe(1))
    let taken = 0
    await until(() => {
      while (node.clients[0]?.send(new Uint8Array(100_000))) taken++
      expect(taken).toBeGreaterThan(5)
    })
    expect(node.clients[0]?.send(new Uint8Array(2 ** 20))).toBe(false)
  })

  test('that do not read cost no more than their budget together, and those who read do not suffer for it', async () => {
    const limits = { clientBudgetBytes: 8 * 2 ** 20, clientsBudgetBytes: 2 ** 20 }
    const node = await startNode('a', { limits })
    const ended: number[] = []
    let read = 0
    for (let at = 0; at < 3; at++) {
      const { channel } = await connectChannel(node.address)
      cleanups.push(() => channel.close())
      await until(() => expect(node.clients.length).toBe(at + 1))
      node.clients[at]?.onClose(() => ended.push(at))
      if (at === 2) channel.onFrame((frame) => (read += frame.length))
    }
    // The second is filled until the node has to keep something for it; the first goes on until both are too much.
    const deaf = [0, 1].map((at) => node.clients[at])
    await until(() => {
      deaf[1]?.send(new Uint8Array(100_000))
      for (let count = 0; count < 4; count++) deaf[0]?.send(new Uint8Array(100_000))
      expect(ended).toEqual([0])
    })
    expect(node.clients[2]?.send(new Uint8Array(600_000))).toBe(true)
    await until(() => expect(read).toBe(600_000))
    expect(ended).toEqual([0])
  })

  test('give up when the signal says so or nobody answers', async () => {
    const silent: Server = createServer(() => {})
    silent.listen({ host: '127.0.0.1', port: 0 })
    cleanups.push(() => silent.close())
    await once(silent, 'listening')
    const bound = silent.address()
    const address = `127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`
    await expect(connectChannel(address, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'UNREACHABLE' })
    const reason = new Error('enough')
    await expect(connectChannel(address, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const abort = new AbortController()
    const attempt = connectChannel(address, { signal: abort.signal })
    abort.abort(reason)
    await expect(attempt).rejects.toBe(reason)
    await expect(connectChannel('nonsense')).rejects.toMatchObject({ code: 'ADDRESS_INVALID' })
  })
})

describe('the listening socket', () => {
  test('on a busy port is refused with the remedy', async () => {
    const { address } = await startNode('a')
    await expect(startNode('b', { listen: address })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
  })

  test.each(['203.0.113.7:0', 'nonsense', '127.0.0.1', '127.0.0.1:99999'])('at %s is refused', async (listen) => {
    await expect(startNode('a', { listen })).rejects.toMatchObject({ code: 'ADDRESS_INVALID' })
  })

  test('is bound to the host that was asked for and no other', async () => {
    const { address } = await startNode('a')
    const elsewhere = connect(Number(address.split(':')[1]), '127.0.0.2')
    await expect(once(elsewhere, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

/** What passes between a client and a node, whose last byte is altered in the first chunk after `damage`. */
async function damagingRelay(target: string): Promise<{ readonly address: string; damage: () => void }> {
  let isDamaging = false
  const server = createServer((near) => {
    const far = connect(Number(target.split(':')[1]), '127.0.0.1').on('error', () => {})
    near.on('error', () => {}).on('close', () => far.destroy())
    near.on('data', (chunk) => {
      if (isDamaging) chunk[chunk.length - 1] = (chunk.at(-1) ?? 0) ^ 1
      isDamaging = false
      far.write(chunk)
    })
    far.on('data', (chunk) => near.write(chunk)).on('close', () => near.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const bound = server.address()
  const port = typeof bound === 'object' ? bound?.port : 0
  return {
    address: `127.0.0.1:${port}`,
    damage: () => {
      isDamaging = true
    },
  }
}

test('a frame that was damaged on the way closes its connection and is given to nobody', async () => {
  const node = await startNode('a')
  const relay = await damagingRelay(node.address)
  const { channel } = await connectChannel(relay.address)
  const answers: Uint8Array[] = []
  let closed = false
  channel.onFrame((frame) => answers.push(frame))
  channel.onClose(() => {
    closed = true
  })
  channel.send(Uint8Array.of(1, 2, 3))
  await until(() => expect(answers).toEqual([Uint8Array.of(1, 2, 3)]))
  relay.damage()
  channel.send(Uint8Array.of(4, 5, 6))
  await until(() => expect(closed).toBe(true))
  expect(answers).toHaveLength(1)
  expect(node.network.counters.hostile).toBe(1)
})

describe('hostile bytes', () => {
  test('close their connection, are counted, and move nobody', { timeout: 20_000 }, async () => {
    const [a, b] = await pair()
    const recorded = await recordHandshake()
    const random = new SeededRandom(42)
    const attempts = 2_000
    let closed = 0
    const attack = async (): Promise<void> => {
      const socket = await rawSocket(a.address)
      socket.resume().end(mutate(recorded, random))
      if (!socket.closed) await once(socket, 'close')
      closed++
    }
    for (let at = 0; at < attempts; at += 40) await Promise.all(Array.from({ length: 40 }, attack))
    expect(closed).toBe(attempts)
    expect(a.network.counters.hostile).toBeGreaterThan(attempts / 4)
    a.network.send(b.id, Uint8Array.of(9))
    await until(() => expect(b.frames.length).toBe(1))
    expect([a.log, b.log]).toEqual([['+b@1'], ['+a@1']])
  })

  test('after the handshake close the connection too', async () => {
    const node = await startNode('a')
    const socket = await rawSocket(node.address)
    socket.resume().write(await recordHandshake())
    await until(() => expect(node.network.counters.clients).toBe(1))
    socket.write(Uint8Array.of(255, 255, 255, 255))
    await once(socket, 'close')
    expect(node.network.counters.hostile).toBe(1)
  })

  test('too many for a handshake are not waited for', async () => {
    const node = await startNode('a')
    const socket = await rawSocket(node.address)
    socket.resume().write(Uint8Array.of(1, 16, 0, 0))
    await once(socket, 'close')
    expect(node.network.counters.hostile).toBe(1)
  })

  test('that never come are waited for only so long, and in limited number', async () => {
    const node = await startNode('a', { limits: { strangers: 4, handshake: { timeoutMs: 60, bytes: 4_096 } } })
    const sockets = await Promise.all(Array.from({ length: 10 }, () => rawSocket(node.address)))
    await Promise.all(sockets.map(async (socket) => socket.closed || once(socket.resume(), 'close')))
    expect(node.network.counters).toMatchObject({ crowded: 6, refused: 4 })
    const { channel } = await connectChannel(node.address)
    channel.close()
  })

  test('that say nothing keep nobody out, however many they are', async () => {
    const node = await startNode('a', { limits: { strangers: 4 } })
    await Promise.all(Array.from({ length: 40 }, () => rawSocket(node.address)))
    const { channel } = await connectChannel(node.address)
    channel.close()
    expect(node.network.counters).toMatchObject({ clients: 1, crowded: 37 })
  })
})

/** The bytes with which a client without a secret gets in. */
async function recordHandshake(): Promise<Uint8Array> {
  const node = await startNode('recorded')
  const chunks: Uint8Array[] = []
  const [host, port] = node.address.split(':')
  const proxy = createServer((near) => {
    const far = connect(Number(port), host)
    near.on('data', (chunk) => {
      chunks.push(chunk)
      far.write(chunk)
    })
    far.pipe(near)
  })
  proxy.listen({ host: '127.0.0.1', port: 0 })
  cleanups.push(() => proxy.close())
  await once(proxy, 'listening')
  const bound = proxy.address()
  const { channel } = await connectChannel(`127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`)
  channel.close()
  return Buffer.concat(chunks)
}

function mutate(recorded: Uint8Array, random: SeededRandom): Uint8Array {
  if (random.below(3) === 0) return Uint8Array.from({ length: random.below(6_000) }, () => random.below(256))
  const bytes = recorded.slice(0, random.below(2) === 0 ? recorded.length : random.below(recorded.length))
  for (let flips = 1 + random.below(8); flips > 0; flips--) bytes[random.below(bytes.length)] = random.below(256)
  return bytes
}
