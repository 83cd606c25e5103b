import { describe, expect, test } from 'vitest'
import { keyValueConformance } from '../../../../src/driver/conformance/key-value.ts'
import { World, type WorldOptions } from './world.ts'

const ways: readonly (WorldOptions & { readonly name: string })[] = [
  { name: 'through one engine, which forwards', nodes: 1, shards: 16 },
  { name: 'to each of three engines', nodes: 3, shards: 5, direct: true },
]

describe.each(ways)('the contract holds $name', (options) => {
  const world = new World(options)
  const driver = world.driver()

  for (const [at, { name, run }] of keyValueConformance.entries()) {
    test(`${name}`, async () => {
      const context = { driver, map: `conformance-${at}`, connect: async () => world.driver() }
      await expect(world.time.until(run(context))).resolves.toBeUndefined()
    })
  }
})
