import { describe, expect, test } from 'vitest'
import type { Driver, Hold } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const MUTEX = { permits: 1, of: 1, ttl: 60_000, lockDelay: 0, wait: true, value: bytes('me'), timeout: 60_000 }
const KEYS = Array.from({ length: 40 }, (_, at) => `k${at}`)

async function started(): Promise<{ cluster: TestCluster; driver: Required<Driver> }> {
  const cluster = new TestCluster(['n1', 'n2', 'n3'], 8)
  const driver = cluster.application(true) as Required<Driver>
  await cluster.run(3000)
  return { cluster, driver }
}

/** What becomes of it while time passes. */
async function done<Result>(cluster: TestCluster, promise: Promise<Result>): Promise<Result> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  promise.then(over, over)
  for (let step = 0; step < 1000 && !isOver; step++) await cluster.run(10)
  return promise
}

async function codesOf(writes: readonly Promise<unknown>[]): Promise<string[]> {
  return Promise.all(
    writes.map((write) =>
      write.then(
        () => 'ok',
        ({ code }: { code: string }) => code,
      ),
    ),
  )
}

describe('the tokens of a lock', () => {
  test('never go back in any shard, whoever writes and whoever leads', async () => {
    const { cluster, driver } = await started()
    const holds: Hold[] = []
    const writes: Promise<unknown>[] = []
    const write = ({ name, token }: Hold, key: string) => {
      writes.push(driver.keyValue.set('m', key, bytes(`${token}`), { fence: { name, token } }).catch(() => {}))
    }
    const written = new Map<string, bigint[]>()
    const watching = async () => {
      for await (const change of driver.keyValue.watch('m', { from: '', until: '' }, {})) {
        if (change.type !== 'set') continue
        const tokens = written.get(change.key) ?? []
        written.set(change.key, [...tokens, BigInt(new TextDecoder().decode(change.value))])
      }
    }
    void watching()
    for (let round = 0; round < 12; round++) {
      const hold = await done(cluster, driver.lease.acquire('l', MUTEX))
      holds.push(hold)
      // All who ever held it write, the newest somewhere in the middle, and nobody waits for anybody.
      for (const key of KEYS) for (const each of holds.slice(-4)) if (cluster.random.below(3) === 0) write(each, key)
      const node = cluster.nodes[round % 3]
      if (round % 4 === 1) node?.drain(50, () => {})
      await cluster.run(cluster.random.below(20))
      await done(cluster, hold.release({}))
    }
    await done(cluster, Promise.all(writes))
    await cluster.run(1000)
    const newest = KEYS.map((key) => written.get(key)?.length ?? 0)
    expect(Math.min(...newest)).toBeGreaterThan(0)
    for (const tokens of written.values()) {
      expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
    }
    expect(new Set([...written.values()].flat()).size).toBeGreaterThan(8)
  })

  test('are closed out of a shard by the first write of the next holder, to any key of it', async () => {
    const { cluster, driver } = await started()
    const old = await done(cluster, driver.lease.acquire('l', MUTEX))
    await done(cluster, old.release({}))
    const next = await done(cluster, driver.lease.acquire('l', MUTEX))
    const set = (key: string, { name, token }: Hold) =>
      driver.keyValue.set('m', key, bytes('v'), { fence: { name, token } })
    const before = await done(cluster, codesOf(KEYS.map((key) => set(key, old))))
    // In the shard where the lock lives its holder is known, in the others nobody has heard of the next one.
    expect(new Set(before)).toEqual(new Set(['ok', 'FENCED']))
    expect(before.filter((code) => code === 'ok').length).toBeGreaterThan(KEYS.length / 2)
    await done(cluster, Promise.all(KEYS.slice(20).map((key) => set(key, next))))
    expect(new Set(await done(cluster, codesOf(KEYS.map((key) => set(key, old)))))).toEqual(new Set(['FENCED']))
    const remove = KEYS.map((key) => driver.keyValue.delete('m', key, { fence: { name: 'l', token: old.token } }))
    expect(new Set(await done(cluster, codesOf(remove)))).toEqual(new Set(['FENCED']))
  })

  test('of a lock beside a key are refused there as soon as they no longer hold it', async () => {
    const { cluster, driver } = await started()
    for (const key of KEYS) {
      const name = `l@m#${key}`
      const hold = await done(cluster, driver.lease.acquire(name, MUTEX))
      const set = () => driver.keyValue.set('m', key, bytes('v'), { fence: { name, token: hold.token } })
      await done(cluster, set())
      await done(cluster, hold.release({}))
      expect(await done(cluster, codesOf([set()]))).toEqual(['FENCED'])
    }
  })
})
