import { afterEach, expect, test } from 'vitest'
import { defineMap } from '../../src/index.ts'
import { Scene } from './scene.ts'

const values = defineMap<number>('values')
let scene: Scene

afterEach(() => scene.close())

test('a watch that finds no leader says when it stands, and misses nothing from then on', async () => {
  scene = await Scene.begin({ shards: 1 })
  const { troupe } = scene.application()
  await scene.settled(troupe.map(values).set('k', 0))
  for (const node of scene.cluster.nodes) scene.cluster.crash(node)
  const seen: unknown[] = []
  let stands = 0
  const watching = (async () => {
    for await (const change of troupe.map(values).watch({ onStanding: () => stands++ })) {
      seen.push(change.type === 'set' ? change.value : undefined)
    }
  })()
  await scene.pass(5000)
  expect(stands).toBe(0)
  for (const node of scene.cluster.nodes) scene.cluster.restart(node)
  await scene.until(scene.now + 30_000, () => stands > 0)
  await scene.settled(troupe.map(values).set('k', 1))
  await scene.restart(scene.leader, 1000)
  await scene.settled(troupe.map(values).set('k', 2))
  await scene.pass(3000)
  expect([stands, seen]).toEqual([1, [1, 2]])
  await scene.settled(troupe.close())
  await watching
})
