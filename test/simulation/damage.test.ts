import { afterEach, expect, test } from 'vitest'
import type { NodeId } from '../../src/base/identity.ts'
import { defineQueue, fixedDelay } from '../../src/index.ts'
import { Scene } from './scene.ts'

const films = defineQueue<Uint8Array>('films', { maxAttempts: 2, retry: fixedDelay(100) })
/** Larger than what stays whole in the simulation, so that it goes in pieces, to one file on each node. */
const FILM = Uint8Array.from({ length: 900 }, (_, at) => at * 5)
const isPiece = (file: string): boolean => file.startsWith('pieces-')
let scene: Scene

afterEach(() => scene.close())

/** What a worker is given within a while, and how many dead letters there are then. */
async function worked(handle: () => void = () => {}): Promise<{ received: Uint8Array[]; dead: number }> {
  const queue = scene.application().troupe.queue(films)
  const received: Uint8Array[] = []
  const worker = queue.work(({ value }) => {
    received.push(value)
    handle()
  })
  await scene.pass(20_000)
  await scene.settled(worker.drain())
  return { received, dead: (await scene.settled(queue.stats())).dead }
}

async function sent(): Promise<NodeId> {
  scene = await Scene.begin({ shards: 1 })
  await scene.settled(scene.application().troupe.queue(films).send(FILM))
  await scene.pass(1000)
  return scene.leader
}

test('a payload that the leader has damaged comes from a replica that has it, and stays mended', async () => {
  const leader = await sent()
  expect(scene.cluster.damage(leader, isPiece)).toBe(1)
  const mended = (): number | undefined => scene.cluster.status(leader)?.mendedPieces
  let attempts = 0
  const outcome = await worked(() => {
    expect(mended()).toBe(1)
    if (++attempts > 1) return
    // Nobody else has it now: what comes next is this node's own.
    for (const node of scene.followers) expect(scene.cluster.damage(node, isPiece)).toBe(1)
    throw new Error('once more')
  })
  expect(outcome).toEqual({ received: [FILM, FILM], dead: 0 })
  expect(mended()).toBe(1)
})

test('a payload that all replicas have damaged makes its message a dead letter', async () => {
  await sent()
  for (const node of scene.cluster.nodes) expect(scene.cluster.damage(node, isPiece)).toBe(1)
  expect(await worked()).toEqual({ received: [], dead: 1 })
})
