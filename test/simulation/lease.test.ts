import { expect, test } from 'vitest'
import type { Millis } from '../../src/base/time.ts'
import { Scene } from './scene.ts'

/** When its leader is cut off, as to what it does every now and then. */
const PHASES: readonly Millis[] = Array.from({ length: 8 }, (_, at) => at * 130)

test.each(PHASES)(
  'who holds a lock beside a leader that is cut off is told before somebody else has it (%i ms)',
  async (phase) => {
    const scene = await Scene.begin({ seed: 5 + phase })
    const { leader, followers } = scene
    const lock = await scene.settled(scene.application([leader]).troupe.lock('l', { ttl: 1000 }))
    const next = scene.application().troupe.lock('l', { ttl: 1000, timeout: 30_000 })
    await scene.pass(3000 + phase)
    expect(lock.signal.aborted).toBe(false)
    for (const follower of followers) {
      scene.cluster.cut(leader, follower)
      scene.cluster.cut(follower, leader)
    }
    expect((await scene.settled(next)).token).toBeGreaterThan(lock.token)
    expect(lock.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
    scene.close()
  },
)
