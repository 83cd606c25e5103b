import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { defineMap } from '../../../src/data/map.ts'
import { memoryDriver } from '../../../src/driver/memory/memory.ts'
import { defineQueue } from '../../../src/message/queue.ts'
import { open } from '../../../src/platform/open.ts'
import { connectChannel } from '../../../src/platform/tcp-channel.ts'
import type { OpenOptions } from '../../../src/runtime/options.ts'
import type { Troupe } from '../../../src/runtime/troupe.ts'

const opened: Troupe[] = []
afterEach(async () => {
  for (const troupe of opened.splice(0).reverse()) await troupe.close()
})

async function start(options: OpenOptions): Promise<Troupe> {
  const troupe = await open(options)
  opened.push(troupe)
  return troupe
}

async function addressOf(troupe: Troupe): Promise<string> {
  return (await troupe.status()).members[0]?.address ?? ''
}

const users = defineMap('users')
const pictures = defineQueue('pictures')
const secret = 'a secret of at least thirty-two bytes'

describe('open', () => {
  test('without a place to listen opens no port', async () => {
    const troupe = await start({ engine: 'inline' })
    expect(await addressOf(troupe)).toBe('')
    await troupe.map(users).set('ann', { name: 'Ann' })
    expect(await troupe.map(users).get('ann')).toMatchObject({ value: { name: 'Ann' } })
  })

  test('with connect is a client of a node that listens', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0', cluster: 'shop' })
    const address = await addressOf(node)
    const client = await start({ connect: [address] })
    await client.map(users).set('ann', 1)
    expect(await node.map(users).get('ann')).toMatchObject({ value: 1 })
    expect(await client.status()).toMatchObject({ cluster: 'shop' })
  })

  test('as a client reads, and is delivered, more at once than a frame may hold', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0', shards: 1 })
    const client = await start({ connect: [await addressOf(node)] })
    const sizes = Array.from({ length: 20 }, (_, at) => 1_000_000 + at)
    for (const size of sizes) {
      await client.map(users).set(`${size}`, new Uint8Array(size))
      await client.queue(pictures).send(new Uint8Array(size))
    }
    const read = await Promise.all(sizes.map((size) => client.map(users).get(`${size}`)))
    expect(read.map((found) => (found?.value as Uint8Array | undefined)?.length)).toEqual(sizes)
    const delivered = new Set<number>()
    const keep = ({ value }: { readonly value: unknown }) => void delivered.add((value as Uint8Array).length)
    client.queue(pictures).work(keep, { concurrency: 64, prefetch: 64 })
    await vi.waitFor(() => expect(delivered).toEqual(new Set(sizes)), { timeout: 15_000 })
  }, 30_000)

  test('as a client goes on to the next address, and fails at once when nobody is there', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0' })
    const gone = await start({ engine: 'inline', listen: '127.0.0.1:0' })
    const [address, nobody] = [await addressOf(node), await addressOf(gone)]
    await gone.close()
    const client = await start({ connect: [nobody, address] })
    await client.map(users).set('ann', 1)
    await expect(open({ connect: [nobody] })).rejects.toMatchObject({
      code: 'UNREACHABLE',
      details: { addresses: [nobody] },
    })
  })

  test('as a client without the secret, or of another cluster, is refused', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0', secret, cluster: 'shop' })
    const connect = [await addressOf(node)]
    await expect(open({ connect })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await expect(open({ connect, secret: secret.toUpperCase() })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await expect(open({ connect, secret, cluster: 'bank' })).rejects.toMatchObject({ code: 'WRONG_CLUSTER' })
    await (await start({ connect, secret, cluster: 'shop' })).map(users).set('ann', 1)
  })

  test('on a busy port fails and leaves nothing behind', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0' })
    const listen = await addressOf(node)
    await expect(open({ engine: 'inline', listen })).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
    await node.close()
    await start({ engine: 'inline', listen })
  })

  test('with a driver needs no engine', async () => {
    const troupe = await start({ driver: memoryDriver() })
    await troupe.map(users).set('ann', 1)
    expect((await troupe.status()).members).toEqual([])
  })

  test('of three nodes that list each other forms a cluster, which any of them serves', {
    timeout: 20_000,
  }, async () => {
    const warnings = warningsOfNow()
    const join = await freeAddresses(3)
    const nodes = await Promise.all(join.map((listen, at) => start({ engine: 'inline', node: `n${at}`, listen, join })))
    await nodes[0]?.map(users).set('ann', 1)
    for (const node of nodes) expect(await node.map(users).get('ann')).toMatchObject({ value: 1 })
    expect((await nodes[1]?.status())?.members.map(({ node, state }) => [node, state])).toEqual([
      ['n0', 'up'],
      ['n1', 'up'],
      ['n2', 'up'],
    ])
    expect(warnings).toEqual([])
  })

  test('of nodes that are listed by the name of their host forms a cluster', { timeout: 20_000 }, async () => {
    const warnings = warningsOfNow()
    const join = (await freeAddresses(3)).map((address) => address.replace('127.0.0.1', 'localhost'))
    const nodes = await Promise.all(join.map((listen, at) => start({ engine: 'inline', node: `n${at}`, listen, join })))
    await nodes[0]?.map(users).set('ann', 1)
    expect((await nodes[1]?.status())?.members.map(({ address }) => address)).toEqual(join)
    expect(warnings).toEqual([])
  })

  test('as a member whose secret or list differs warns about it', { timeout: 20_000 }, async () => {
    const warnings = warningsOfNow()
    const [one = '', two = '', three = '', four = ''] = await freeAddresses(4)
    const member = { engine: 'inline', secret, join: [one, two, three] } as const
    await start({ ...member, node: 'n1', listen: one })
    await start({ ...member, node: 'n2', listen: two, secret: secret.toUpperCase() })
    await vi.waitFor(() => expect(warnings).toContainEqual(expect.stringContaining('different secrets')))
    await start({ ...member, node: 'n3', listen: three, join: [one, two, three, four] })
    await vi.waitFor(() => expect(warnings).toContainEqual(expect.stringContaining('n3 expects 4 nodes')))
  })
})

describe('close', () => {
  test('ends calls, connections and the listening socket', async () => {
    const node = await start({ engine: 'inline', listen: '127.0.0.1:0' })
    const address = await addressOf(node)
    await node.drain()
    await expect(node.map(users).get('ann')).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(connectChannel(address)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })
})

/** What the process is warned of from now on, until the test ends. */
function warningsOfNow(): string[] {
  const warnings: string[] = []
  const listen = ({ name, message }: Error): void => {
    if (name === 'TroupeWarning') warnings.push(message)
  }
  process.on('warning', listen)
  onTestFinished(() => void process.off('warning', listen))
  return warnings
}

/** Addresses that were free a moment ago. */
async function freeAddresses(count: number): Promise<string[]> {
  const nodes = await Promise.all(
    Array.from({ length: count }, () => open({ engine: 'inline', listen: '127.0.0.1:0' })),
  )
  const addresses = await Promise.all(nodes.map(addressOf))
  await Promise.all(nodes.map((node) => node.close()))
  return addresses
}
