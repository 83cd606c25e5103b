import { expect, test } from 'vitest'
import { Scene } from './scene.ts'

test('an office whose handover got no answer is given up: the next in line has it once its time is over', async () => {
  const scene = await Scene.begin()
  const { troupe } = scene.application()
  const office = await scene.settled(troupe.campaign('office', { ttl: 2000 }))
  const next = scene.application().troupe.campaign('office', { ttl: 2000 })
  await scene.pass(100)
  for (const node of scene.cluster.nodes) scene.cluster.pause(node)
  await expect(scene.settled(office.handover('nobody', { timeout: 500 }))).rejects.toMatchObject({ code: 'TIMEOUT' })
  for (const node of scene.cluster.nodes) scene.cluster.resume(node)
  expect((await scene.settled(next)).token).toBeGreaterThan(office.token)
  scene.close()
}, 60_000)
