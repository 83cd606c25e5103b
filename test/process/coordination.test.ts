import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defineMap, defineQueue, type Troupe } from '../../src/index.ts'
import { Application } from './application.ts'
import { ProcessCluster } from './cluster.ts'

const TTL_MS = 2_000
/** Tests share their machine. */
const PATIENCE_MS = 3_000

let cluster: ProcessCluster
let client: Troupe
beforeAll(async () => {
  cluster = await ProcessCluster.start()
  client = await cluster.client()
})
afterAll(() => cluster.close())

describe('the holder of a lock', () => {
  const map = defineMap<string>('guarded')
  const queue = defineQueue<number | string>('guarded')

  test('that sleeps for three times its time to live learns of its loss before it writes again, and every write is FENCED', async () => {
    const names = { map: { name: 'guarded' }, queue: { name: 'guarded' } }
    const sleeper = new Application({ role: 'hold', addresses: cluster.addresses, ttl: TTL_MS, ...names })
    await sleeper.hasSaid('written', 10)
    sleeper.kill('SIGSTOP')
    const stoppedAt = performance.now()
    const lock = await client.lock('office')
    await client.map(map).set('key', 'mine', { fence: lock })
    const { id } = await client.queue(queue).send('mine', { key: 'key', fence: lock })
    await sleep(Math.max(0, stoppedAt + 3 * TTL_MS - performance.now()))

    const before = sleeper.events.length
    sleeper.kill('SIGCONT')
    await sleeper.hasSaid('refused', 10)
    const [first, ...more] = sleeper.events.slice(before).filter(({ type }) => type !== 'held')
    expect(first).toMatchObject({ type: 'lost', code: 'LEASE_LOST' })
    for (const each of more) expect(each).toMatchObject({ type: 'refused', code: 'FENCED' })
    expect(new Set(more.map(({ what }) => what))).toEqual(new Set(['map', 'queue']))
    expect(lock.token).toBeGreaterThan(BigInt(Number(sleeper.events[0]?.token)))
    expect((await client.map(map).get('key'))?.value).toBe('mine')
    let newest = ''
    for await (const message of client.queue(queue).peek({ limit: 10_000 })) newest = message.id
    expect(newest).toBe(id)
    await sleeper.end()
    await lock.release()
  })
})

describe('the keys of a lease', () => {
  const map = defineMap<number>('presence')

  test('go within their time to live and a second when their process is killed, and a watch says so', async () => {
    const count = 20
    const started = performance.now()
    const present = new Application({
      role: 'attach',
      addresses: cluster.addresses,
      ttl: TTL_MS,
      count,
      map: { name: 'presence' },
    })
    await present.hasSaid('attached')
    // They stay for longer than their time to live, for their process lives.
    await sleep(Math.max(0, started + 3 * TTL_MS - performance.now()))
    const kept = new Set<string>()
    for await (const { key } of client.map(map).scan()) kept.add(key)
    expect(kept.size).toBe(count)

    const told = new Set<string>()
    const everybody = new Promise<number>((resolve, reject) => {
      const watch = async (): Promise<void> => {
        for await (const change of client.map(map).watch()) {
          if (change.type === 'delete') told.add(change.key)
          if (told.size === count) return resolve(performance.now())
        }
      }
      watch().catch(reject)
    })
    await sleep(200)
    const killedAt = performance.now()
    await present.end('SIGKILL')
    expect((await everybody) - killedAt).toBeLessThan(TTL_MS + PATIENCE_MS)
    expect(told).toEqual(kept)
    for await (const { key } of client.map(map).scan()) expect.unreachable(`${key} is still there`)
  })
})
