import { startInlineEngine } from '../../src/platform/inline-engine.ts'
import { parseOptions } from '../../src/runtime/options.ts'
import { conform } from './conform.ts'
import { driverOf } from './native-driver.ts'

conform('native (one node, in its own process)', async () => {
  const engine = await startInlineEngine(parseOptions())
  return driverOf([engine], async () => engine.connect(), [engine.address])
})
