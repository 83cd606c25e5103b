import { createServer } from 'node:net'
import { SeededRandom } from '../../src/base/random.ts'
import type { Driver } from '../../src/driver/contract.ts'
import type { Connect } from '../../src/driver/native/links.ts'
import { nativeDriver } from '../../src/driver/native/native.ts'
import { RealClock, RealScheduler } from '../../src/platform/clock.ts'
import { type InlineEngine, startInlineEngine } from '../../src/platform/inline-engine.ts'
import { randomSeed } from '../../src/platform/random.ts'
import { connectChannel } from '../../src/platform/tcp-channel.ts'
import { parseOptions } from '../../src/runtime/options.ts'
import { conform } from './conform.ts'

const clock = new RealClock()
const scheduler = new RealScheduler(clock)

conform('native (one node, in its own process)', async () => {
  const engine = await startInlineEngine(parseOptions())
  return driverOf([engine], async () => engine.connect(), [engine.address])
})

conform('native (three nodes, through one that forwards)', async () => {
  const engines = await threeNodes()
  const [entrance] = engines
  return driverOf(engines, async () => entrance.connect(), [entrance.address])
})

conform('native (three nodes, each leader directly over TCP)', async () => {
  const engines = await threeNodes()
  const connect: Connect = async (address) => {
    return (await connectChannel(address, { secret: undefined, cluster: '' })).channel
  }
  return driverOf(
    engines,
    connect,
    engines.map(({ address }) => address),
    true,
  )
})

/** A driver that takes along its engines when it closes. */
function driverOf(
  engines: readonly InlineEngine[],
  connect: Connect,
  seeds: readonly string[],
  direct = false,
): Driver {
  const random = new SeededRandom(randomSeed())
  const driver = nativeDriver({ clock, scheduler, random, connect, seeds, direct })
  const close = async (): Promise<void> => {
    await driver.close()
    await Promise.all(engines.map((engine) => engine.close()))
  }
  return { ...driver, close }
}

async function threeNodes(): Promise<readonly [InlineEngine, ...InlineEngine[]]> {
  const [first, ...others] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`)
  if (first === undefined) throw new Error('three ports are at least one')
  const join = [first, ...others]
  const start = (listen: string): Promise<InlineEngine> => startInlineEngine(parseOptions({ listen, join }))
  return [await start(first), ...(await Promise.all(others.map(start)))]
}

/** Ports that were free a moment ago: the members must know each other's before any of them starts. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map((server) => {
      return new Promise<number>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: '127.0.0.1', port: 0 }, () => {
          const address = server.address()
          if (typeof address === 'object' && address !== null) resolve(address.port)
        })
      })
    }),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
