import { expect, test } from 'vitest'
import { defineMap, isTroupeError } from '../../src/index.ts'
import { Scene } from './scene.ts'

const values = defineMap<number>('values')
const WRITES = 10_000
const WRITERS = 100

test('ten thousand writes, and power cuts that take what was not synced: each that was acknowledged is read back', async () => {
  const scene = await Scene.begin({ shards: 4 })
  const { cluster } = scene
  const { troupe } = scene.application()
  const acknowledged: number[] = []
  let next = 0
  const write = async (): Promise<void> => {
    while (next < WRITES) {
      const number = next++
      const isThere = await troupe
        .map(values)
        .set(`k${number}`, number, { timeout: 30_000 })
        .then(
          () => true,
          (error: unknown) => !isTroupeError(error) && Promise.reject(error),
        )
      if (isThere) acknowledged.push(number)
    }
  }
  const writing = Promise.all(Array.from({ length: WRITERS }, write))
  // First the leader, then all at once.
  for (const [part, nodes] of [[0.3, [scene.leader]] as const, [0.6, cluster.nodes] as const]) {
    await scene.until(scene.now + 600_000, () => next >= part * WRITES)
    for (const node of nodes) cluster.crash(node)
    await scene.pass(500)
    for (const node of nodes) cluster.restart(node)
  }
  await scene.settled(writing)
  const found = new Map<string, number>()
  const read = async (): Promise<void> => {
    for await (const { key, value } of troupe.map(values).scan()) found.set(key, value)
  }
  await scene.settled(read())
  scene.close()
  expect(acknowledged.length).toBeGreaterThan(0.9 * WRITES)
  expect(acknowledged.filter((number) => found.get(`k${number}`) !== number)).toEqual([])
}, 60_000)
