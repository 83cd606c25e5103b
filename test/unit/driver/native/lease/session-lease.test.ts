import { describe, expect, test, vi } from 'vitest'
import { SeededRandom } from '../../../../../src/base/random.ts'
import type { Millis } from '../../../../../src/base/time.ts'
import { Bodies } from '../../../../../src/driver/native/body.ts'
import { NativeLeases } from '../../../../../src/driver/native/lease/lease.ts'
import { type LeaseParts, SessionLease } from '../../../../../src/driver/native/lease/session-lease.ts'
import type { Router } from '../../../../../src/driver/native/route/router.ts'
import { VirtualTime } from '../world.ts'

/** A router whose shard answers everything after `delay`, or never within the time a call has; whether the lease exists says `exists`. */
function partsOf(time: VirtualTime, delay: Millis, exists = true): LeaseParts {
  const submit = (_: unknown, { timeout = Number.POSITIVE_INFINITY }: { timeout?: Millis }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (delay <= timeout) time.at(time.now() + delay, () => resolve(exists))
      else time.at(time.now() + timeout, () => reject(new Error('too late')))
    })
  const router = { submit, subscribers: new Set(), whenReady: async () => {}, shardOf: () => 0 } as unknown as Router
  return { router, bodies: new Bodies(), ports: { clock: time, scheduler: time, random: new SeededRandom(1) } }
}

describe('a session lease', () => {
  for (const delay of [1, 200, 400, 450]) {
    test(`of a second lives on, with a leader that answers after ${delay} ms`, async () => {
      const time = new VirtualTime()
      const { lease } = SessionLease.begin(partsOf(time, delay), 0, 1000, {})
      await time.advance(60_000)
      expect(lease.lost.aborted).toBe(false)
    })
  }

  test('is lost in time when no answer comes any more', async () => {
    const time = new VirtualTime()
    const { lease } = SessionLease.begin(partsOf(time, 1100), 0, 1000, {})
    await time.advance(936)
    expect(lease.lost.aborted).toBe(false)
    await time.advance(2)
    expect(lease.lost.reason).toMatchObject({ code: 'LEASE_LOST' })
  })

  test('that was lost here is ended in the cluster all the same, once: there it may live on', async () => {
    const time = new VirtualTime()
    const parts = partsOf(time, 1)
    const { lease } = SessionLease.begin(parts, 0, 1000, {})
    await time.advance(10)
    time.sleep(1000)
    expect(lease.lost.aborted).toBe(true)
    const submit = vi.spyOn(parts.router, 'submit')
    await time.until(lease.end({}))
    expect(submit).toHaveBeenCalledTimes(1)
    await time.until(lease.end({}))
    expect(submit).toHaveBeenCalledTimes(1)
  })

  test('that the cluster has ended is not ended again', async () => {
    const time = new VirtualTime()
    const parts = partsOf(time, 1, false)
    const { lease } = SessionLease.begin(parts, 0, 1000, {})
    await time.advance(500)
    expect(lease.lost.aborted).toBe(true)
    const submit = vi.spyOn(parts.router, 'submit')
    await time.until(lease.end({}))
    expect(submit).not.toHaveBeenCalled()
  })
})

describe('a lease with keys', () => {
  test('whose grant took as long as it lives is lost, and sets no key', async () => {
    const time = new VirtualTime()
    const { router, ports } = partsOf(time, 1100)
    const hold = await new NativeLeases(router, ports).lease({ ttl: 1000 })
    const lost = { code: 'LEASE_LOST' }
    await expect(time.until(hold.set('m', 'k', new Uint8Array(1), {}))).rejects.toMatchObject(lost)
    expect(hold.lost.reason).toMatchObject(lost)
  })
})
