import { describe, expect, test } from 'vitest'
import type { Delivered, Driver, Hold } from '../../../src/driver/contract.ts'
import { TestCluster } from './cluster.ts'
import { RULES } from './rules.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const MUTEX = { permits: 1, of: 1, ttl: 3000, lockDelay: 0, wait: true, value: bytes('me'), timeout: 60_000 }
const PLAIN = { headers: {}, delay: 0, ttl: Number.POSITIVE_INFINITY, priority: 0, deduplication: undefined }

function facets(driver: Driver): Required<Driver> {
  return driver as Required<Driver>
}

describe('locks of a cluster', () => {
  test('pass on in line, with tokens that grow, and fence what comes late', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [facets(cluster.application(true)), facets(cluster.application(true))]
    const holds: Hold[] = []
    void one.lease.acquire('nightly', MUTEX).then((hold) => holds.push(hold))
    await cluster.run(3000)
    void two.lease.acquire('nightly', MUTEX).then((hold) => holds.push(hold))
    await cluster.run(10_000)
    expect(holds.length).toBe(1)
    expect(holds[0]?.lost.aborted).toBe(false)
    void holds[0]?.release({})
    await cluster.run(200)
    expect(holds.length).toBe(2)
    const [first, second] = holds.map(({ token }) => token)
    expect((second ?? 0n) > (first ?? 0n)).toBe(true)
    const codes: unknown[] = []
    const set = (token = 0n) => one.keyValue.set('m', 'k', bytes('v'), { fence: { name: 'nightly', token } })
    void set(second).then(() => codes.push('ok'))
    await cluster.run(100)
    void set(first).catch((error: { code: string }) => codes.push(error.code))
    void one.lease.verify('nightly', first ?? 0n, {}).then((holds) => codes.push(holds))
    await cluster.run(100)
    expect(new Set(codes)).toEqual(new Set(['FENCED', false, 'ok']))
  })

  test('are lost by a holder that is cut off before another has them', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [facets(cluster.application(true)), facets(cluster.application(true))]
    let lostAt = 0
    let gainedAt = 0
    void one.lease.acquire('nightly', MUTEX).then((hold) =>
      hold.lost.addEventListener('abort', () => {
        lostAt = cluster.queue.now()
      }),
    )
    await cluster.run(3000)
    void two.lease.acquire('nightly', MUTEX).then(() => {
      gainedAt = cluster.queue.now()
    })
    await cluster.run(1000)
    cluster.cutOff(one)
    await cluster.run(10_000)
    expect(lostAt).toBeGreaterThan(0)
    // A sixteenth of the time to live, for clocks that run at different speeds.
    expect(gainedAt - lostAt).toBeGreaterThanOrEqual(MUTEX.ttl / 16)
    expect(gainedAt - lostAt).toBeLessThan(2000)
  })

  test('with a delay stay shut for so long when their holder is lost, and not when it lets go', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [facets(cluster.application(true)), facets(cluster.application(true))]
    const gainedAt: number[] = []
    const holds: Hold[] = []
    const acquire = ({ lease }: Required<Driver>) =>
      lease.acquire('nightly', { ...MUTEX, lockDelay: 5000 }).then((hold) => {
        gainedAt.push(cluster.queue.now())
        holds.push(hold)
      })
    void acquire(two)
    await cluster.run(3000)
    void acquire(one)
    await cluster.run(100)
    void acquire(two)
    const releasedAt = cluster.queue.now()
    void holds[0]?.release({})
    await cluster.run(500)
    expect((gainedAt[1] ?? 0) - releasedAt).toBeLessThan(100)
    const cutAt = cluster.queue.now()
    cluster.cutOff(one)
    await cluster.run(20_000)
    expect((gainedAt[2] ?? 0) - cutAt).toBeGreaterThan(MUTEX.ttl * 0.6 + 5000)
    expect((gainedAt[2] ?? 0) - cutAt).toBeLessThan(MUTEX.ttl + 5200)
  })

  test('of a process that was suspended for too long are lost to it before anything it does has succeeded', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const one = facets(cluster.application(true))
    const seen: unknown[] = []
    void one.lease.acquire('nightly', MUTEX).then(({ lost }) => {
      lost.addEventListener('abort', () => seen.push('lost'))
    })
    await cluster.run(4000)
    cluster.computerOf(one).pause()
    await cluster.run(10_000)
    void one.keyValue.set('m', 'k', bytes('late'), {}).then(() => seen.push('written'))
    cluster.computerOf(one).resume()
    await cluster.run(1000)
    expect(seen).toEqual(['lost', 'written'])
  })

  test('are known to be lost by who looks before any timer has run', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const one = facets(cluster.application(true))
    const holds: Hold[] = []
    void one.lease.acquire('nightly', MUTEX).then((hold) => holds.push(hold))
    await cluster.run(4000)
    expect(holds.map(({ lost }) => lost.aborted)).toEqual([false])
    cluster.computerOf(one).pause()
    await cluster.run(10_000)
    expect(holds.map(({ lost }) => lost.aborted)).toEqual([true])
  })

  test.each([true, false])('of a driver that closes are the next one’s at once (direct: %s)', async (direct) => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [facets(cluster.application(direct)), facets(cluster.application(true))]
    const events: string[] = []
    const names = ['nightly', 'hourly', 'daily', 'weekly']
    for (const name of names) {
      void one.lease.acquire(name, MUTEX).then((hold) => {
        hold.lost.addEventListener('abort', () => events.push(`${name} lost`))
      })
    }
    await cluster.run(3000)
    for (const name of names) void two.lease.acquire(name, MUTEX).then(() => events.push(`${name} gained`))
    await cluster.run(1000)
    expect(events).toEqual([])
    void one.close().then(() => events.push('closed'))
    expect([...events].sort()).toEqual(names.map((name) => `${name} lost`).sort())
    await cluster.run(50)
    expect(events.slice(4).sort()).toEqual(['closed', ...names.map((name) => `${name} gained`)].sort())
  })

  test('do not keep a driver from closing that reaches nobody', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const [one, two] = [facets(cluster.application(true)), facets(cluster.application(true))]
    for (const each of [one, two]) void each.lease.acquire(`of ${each === one}`, MUTEX)
    await cluster.run(3000)
    const closed: string[] = []
    cluster.cutOff(one)
    await cluster.run(10)
    void one.close().then(() => closed.push('cut off'))
    await cluster.run(10)
    expect(closed).toEqual(['cut off'])
    for (const computer of cluster.computers) computer.pause()
    void two.close().then(() => closed.push('unanswered'))
    await cluster.run(900)
    expect(closed).toEqual(['cut off'])
    await cluster.run(200)
    expect(closed).toEqual(['cut off', 'unanswered'])
  })

  test('an attached key goes with its lease', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = facets(cluster.application(true))
    const found: unknown[] = []
    const look = () => driver.keyValue.get('m', 'k', {}).then(({ value }) => found.push(value !== undefined))
    const work = async () => {
      const lease = await driver.lease.lease({ ttl: 3000 })
      await lease.set('m', 'k', bytes('v'), {})
      await look()
      await lease.end({})
      await look()
    }
    void work()
    await cluster.run(5000)
    expect(found).toEqual([true, false])
  })
})

describe('schedules of a cluster', () => {
  test('fire once for each time of a cron, though no message is sent in between', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = facets(cluster.application(true))
    const queue = { name: 'ticks', rules: RULES }
    const firings: (string | undefined)[] = []
    await Promise.resolve()
    const rule = { cron: '*/10 * * * * *', timeZone: 'UTC' }
    const more = { until: undefined, missed: 'all', payload: bytes('tick'), headers: {} } as const
    void driver.queue.schedule(queue, 'tick', { rule, ...more }, {})
    const work = async () => {
      for await (const message of driver.queue.consume(queue, { consumer: 'w', credit: 4 })) {
        firings.push(message.headers['troupe-firing'])
        await message.acknowledge({})
      }
    }
    void work()
    await cluster.run(305_000)
    expect(new Set(firings).size).toBe(firings.length)
    expect(firings.length).toBeGreaterThanOrEqual(29)
    expect(firings.length).toBeLessThanOrEqual(31)
  })
})

describe('an atomic handler', () => {
  test('changes a map and sends to other shards with its acknowledgement, each once', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = facets(cluster.application(true))
    const jobs = { name: 'jobs@tenant', rules: RULES }
    const mails = { name: 'mails', rules: RULES }
    const got: string[] = []
    void driver.queue.send(jobs, { ...PLAIN, key: 'a', payload: bytes('job') }, {})
    const handle = async (message: Delivered) => {
      const set = { type: 'set', map: 'balance@tenant', key: 'a', value: bytes('1') } as const
      const sends = ['x', 'y', 'z', 'u', 'v'].map((key) => {
        return { type: 'send', queue: mails, message: { ...PLAIN, key, payload: bytes(key) } } as const
      })
      await message.commit([set, ...sends], {})
    }
    const work = async () => {
      for await (const message of driver.queue.consume(jobs, { consumer: 'w', credit: 4 })) await handle(message)
    }
    const read = async () => {
      for await (const message of driver.queue.consume(mails, { consumer: 'w', credit: 4 })) {
        got.push(message.key)
        await message.acknowledge({})
      }
    }
    void work()
    void read()
    await cluster.run(6000)
    const found = driver.keyValue.get('balance@tenant', 'a', {})
    await cluster.run(100)
    expect((await found).value).toEqual(bytes('1'))
    expect(got.sort()).toEqual(['u', 'v', 'x', 'y', 'z'])
  })
})
