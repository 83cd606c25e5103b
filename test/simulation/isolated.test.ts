import { expect, test } from 'vitest'
import { defineMap } from '../../src/index.ts'
import { Scene } from './scene.ts'

const values = defineMap<number>('values')

test('a follower that is cut off for a minute and comes back costs no term and no write', async () => {
  const scene = await Scene.begin({ shards: 1 })
  const { cluster } = scene
  const { troupe } = scene.application()
  const terms = async () => {
    const { groups } = await scene.settled(troupe.status())
    return groups.map(({ group, leader, term }) => ({ group, leader, term }))
  }
  await scene.settled(troupe.map(values).set('k', 0))
  const before = await terms()
  const isolated = scene.followers.find((node) => before.every(({ leader }) => leader !== node)) ?? ''
  const others = cluster.nodes.filter((node) => node !== isolated)
  const written: Promise<unknown>[] = []
  const writeFor = async (seconds: number): Promise<void> => {
    for (let at = 0; at < seconds * 10; at++) {
      written.push(troupe.map(values).set(`k${at}`, at))
      await scene.pass(100)
    }
  }
  const cutOff = cluster.nodes.filter((node) => node === isolated)
  expect([cutOff.length, others.length]).toEqual([1, 2])
  for (const node of cutOff)
    for (const other of others) {
      cluster.cut(node, other)
      cluster.cut(other, node)
    }
  await writeFor(60)
  for (const node of cutOff)
    for (const other of others) {
      cluster.heal(node, other)
      cluster.heal(other, node)
    }
  await writeFor(20)
  expect(await scene.settled(Promise.all(written))).toHaveLength(800)
  expect(await terms()).toEqual(before)
  scene.close()
})
