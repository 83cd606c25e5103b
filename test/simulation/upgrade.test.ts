import { afterEach, expect, test } from 'vitest'
import type { NodeId } from '../../src/base/identity.ts'
import { defineMap, defineQueue } from '../../src/index.ts'
import { LEVEL } from '../../src/machine/level.ts'
import { Scene } from './scene.ts'

const NEXT = LEVEL + 1
const values = defineMap<number>('values')
let scene: Scene

afterEach(() => scene.close())

const levelOf = (node: NodeId) => scene.cluster.status(node)?.level

async function upgrade(node: NodeId, level = NEXT): Promise<void> {
  scene.cluster.install(node, level)
  await scene.restart(node, 100)
}

/** A write on either side of each step. */
async function write(at: number): Promise<void> {
  const map = scene.application().troupe.map(values)
  await scene.settled(map.set('k', at))
  expect((await scene.settled(map.get('k')))?.value).toBe(at)
}

test('members agree on a higher level when the last one executes it, and serve all the while', async () => {
  scene = await Scene.begin({ shards: 2 })
  const { cluster } = scene
  for (const [at, node] of cluster.nodes.entries()) {
    expect(cluster.nodes.map((other) => levelOf(other))).toEqual([LEVEL, LEVEL, LEVEL])
    await write(at)
    await upgrade(node)
  }
  await scene.pass(2000)
  expect(cluster.nodes.map((node) => levelOf(node))).toEqual([NEXT, NEXT, NEXT])
  await write(9)
  // What was agreed outlives all of them.
  for (const node of cluster.nodes) cluster.crash(node)
  for (const node of cluster.nodes) cluster.restart(node)
  await scene.pass(100)
  expect(cluster.nodes.map((node) => levelOf(node))).toEqual([NEXT, NEXT, NEXT])
  await write(10)
  cluster.checkDigests()
})

test('a node does not start with an earlier version than its cluster has agreed on, and says so', async () => {
  scene = await Scene.begin()
  const { cluster } = scene
  for (const node of cluster.nodes) await upgrade(node)
  await scene.pass(2000)
  const [node] = scene.followers
  if (node === undefined) throw new Error('nobody follows')
  cluster.crash(node)
  cluster.install(node, LEVEL)
  cluster.restart(node)
  await expect(scene.pass(1000)).rejects.toMatchObject({ code: 'VERSION_SKEW', details: { level: NEXT } })
})

test('a node that went back to an earlier version before it heard of the agreement stops when it does', async () => {
  scene = await Scene.begin()
  const { cluster } = scene
  for (const node of cluster.nodes) cluster.install(node, NEXT)
  const last = cluster.nodes.find((node) => node !== scene.leader) ?? scene.leader
  for (const node of cluster.nodes) if (node !== last) await upgrade(node)
  cluster.crash(last)
  cluster.restart(last)
  const others = cluster.nodes.filter((node) => node !== last)
  await scene.until(scene.now + 10_000, () => others.some((node) => levelOf(node) === NEXT))
  expect(levelOf(last)).toBe(LEVEL)
  cluster.crash(last)
  cluster.install(last, LEVEL)
  cluster.restart(last)
  await expect(scene.pass(5000)).rejects.toMatchObject({ code: 'VERSION_SKEW', details: { level: NEXT } })
})

test('one member that is not upgraded keeps the others from what it cannot execute', async () => {
  scene = await Scene.begin()
  const [first, second] = scene.cluster.nodes
  if (first === undefined || second === undefined) throw new Error('there are three')
  await upgrade(first)
  await upgrade(second)
  await scene.pass(60_000)
  expect(scene.cluster.nodes.map((node) => levelOf(node))).toEqual([LEVEL, LEVEL, LEVEL])
  await write(1)
})

test('what a later version brought is refused until all members know it, and then is there', async () => {
  scene = await Scene.begin({ level: 1 })
  const queue = scene.application().troupe.queue(defineQueue<number>('numbers'))
  await scene.settled(queue.send(1))
  for (const node of scene.cluster.nodes) {
    await expect(scene.settled(queue.delete())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await scene.settled(queue.send(1))
    await upgrade(node, 2)
  }
  await scene.pass(2000)
  // Where it was refused nothing was changed.
  expect(await scene.settled(queue.delete())).toBe(4)
  expect(await scene.settled(queue.send(2))).toMatchObject({ isDuplicate: false })
  scene.cluster.checkDigests()
})
