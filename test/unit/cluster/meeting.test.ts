import { describe, expect, test } from 'vitest'
import { defineMap } from '../../../src/data/map.ts'
import type { Driver } from '../../../src/driver/contract.ts'
import { createTroupe, type Troupe } from '../../../src/runtime/troupe.ts'
import { TestCluster } from './cluster.ts'

interface Process {
  readonly driver: Driver
  readonly troupe: Troupe
}

/** Three processes, each a client of a cluster of three nodes. */
async function started(): Promise<{ cluster: TestCluster; processes: readonly [Process, Process, Process] }> {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const start = (): Process => {
    const driver = cluster.application(true)
    const computer = cluster.computerOf(driver)
    const parts = { driver, clock: computer, scheduler: computer, random: cluster.random.fork() }
    return { driver, troupe: createTroupe(parts) }
  }
  const processes = [start(), start(), start()] as const
  await cluster.run(3000)
  return { cluster, processes }
}

describe('processes of a cluster meet', () => {
  test('at a barrier, round by round, and none goes on without the others', async () => {
    const { cluster, processes } = await started()
    const passed = [0, 0, 0]
    for (const [at, { troupe }] of processes.entries()) {
      const run = async () => {
        for (let round = 0; round < 3; round++) {
          await troupe.barrier('b', 3).arrive({ timeout: 60_000 })
          passed[at] = round + 1
          expect(Math.max(...passed) - Math.min(...passed)).toBeLessThanOrEqual(1)
          // The last one is late, each time.
          const { driver } = processes[at] as Process
          const computer = cluster.computerOf(driver)
          await new Promise<void>((resolve) => void computer.at(computer.now() + at * 1000, resolve))
        }
      }
      void run()
    }
    await cluster.run(1500)
    expect(passed).toEqual([1, 1, 1])
    await cluster.run(10_000)
    expect(passed).toEqual([3, 3, 3])
  })

  test('at a latch, which opens for all with its last step and stays open', async () => {
    const { cluster, processes } = await started()
    const opened: number[] = []
    for (const [at, { troupe }] of processes.entries()) {
      void troupe
        .latch('l', 3)
        .wait({ timeout: 60_000 })
        .then(() => opened.push(at))
    }
    for (const { troupe } of processes) {
      expect(opened).toEqual([])
      void troupe.latch('l', 3).countDown()
      await cluster.run(1000)
    }
    expect(new Set(opened)).toEqual(new Set([0, 1, 2]))
    void processes[0].troupe
      .latch('l', 3)
      .wait()
      .then(() => opened.push(3))
    await cluster.run(200)
    expect(opened).toContain(3)
  })

  test('once: one of them does it, and when that one dies in the middle another one', async () => {
    const { cluster, processes } = await started()
    const [first, ...others] = processes
    const runs: string[] = []
    const results: string[] = []
    void first.troupe.once('migrate', () => {
      runs.push('first')
      return new Promise<string>(() => {})
    })
    await cluster.run(1000)
    for (const { troupe } of others) {
      const task = async () => {
        runs.push('other')
        return 'done'
      }
      void troupe.once('migrate', task, { timeout: 60_000 }).then((result) => results.push(result))
    }
    await cluster.run(1000)
    expect(runs).toEqual(['first'])
    cluster.computerOf(first.driver).powerOff()
    await cluster.run(20_000)
    expect(runs).toEqual(['first', 'other'])
    expect(results).toEqual(['done', 'done'])
  })

  test('once: of two who ran it because the first was out of touch for too long, both have one result', async () => {
    const { cluster, processes } = await started()
    const [first, second] = processes
    const results: string[] = []
    let finish: (result: string) => void = () => {}
    void first.troupe
      .once('migrate', () => new Promise<string>((resolve) => (finish = resolve)))
      .then((result) => results.push(result))
    await cluster.run(1000)
    cluster.computerOf(first.driver).pause()
    void second.troupe.once('migrate', async () => 'second', { timeout: 60_000 }).then((result) => results.push(result))
    await cluster.run(20_000)
    expect(results).toEqual(['second'])
    cluster.computerOf(first.driver).resume()
    finish('first')
    await cluster.run(20_000)
    expect(results).toEqual(['second', 'second'])
  })
})

test('when a process is killed, the keys of its leases are gone within their time and a second, and watchers are told', async () => {
  const { cluster, processes } = await started()
  const [holder, watcher] = processes
  const map = defineMap<string>('online')
  const seen: [string, string, number][] = []
  const watching = async () => {
    for await (const { type, key } of watcher.driver.keyValue.watch('online', { from: '', until: '' }, {})) {
      seen.push([type, key, cluster.queue.now()])
    }
  }
  void watching()
  const keys = ['ann', 'bob', 'cyd', 'dan']
  const set = async () => {
    const lease = await holder.troupe.lease({ ttl: 3000 })
    for (const key of keys) await lease.set(map, key, 'here')
  }
  void set()
  await cluster.run(10_000)
  expect(seen.map(([type]) => type)).toEqual(['set', 'set', 'set', 'set'])
  const killedAt = cluster.queue.now()
  cluster.computerOf(holder.driver).powerOff()
  await cluster.run(10_000)
  const gone = seen.filter(([type]) => type === 'delete')
  expect(gone.map(([, key]) => key).sort()).toEqual(keys)
  expect(Math.max(...gone.map(([, , at]) => at)) - killedAt).toBeLessThan(4000)
  expect(await settled(cluster, watcher.driver.keyValue.get('online', 'ann', {}))).toMatchObject({ value: undefined })
})

async function settled<Result>(cluster: TestCluster, promise: Promise<Result>): Promise<Result> {
  await cluster.run(200)
  return promise
}
