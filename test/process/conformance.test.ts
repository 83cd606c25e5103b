import type { Connect } from '../../src/driver/native/route/links.ts'
import { type InlineEngine, startInlineEngine } from '../../src/platform/inline-engine.ts'
import { connectChannel } from '../../src/platform/tcp-channel.ts'
import { parseOptions } from '../../src/runtime/options.ts'
import { conform } from '../conformance/conform.ts'
import { driverOf } from '../conformance/native-driver.ts'
import { freePorts } from './os-process.ts'

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

async function threeNodes(): Promise<readonly [InlineEngine, ...InlineEngine[]]> {
  const [first, ...others] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`)
  if (first === undefined) throw new Error('three ports are at least one')
  const join = [first, ...others]
  const start = (listen: string): Promise<InlineEngine> => startInlineEngine(parseOptions({ listen, join }))
  return [await start(first), ...(await Promise.all(others.map(start)))]
}
