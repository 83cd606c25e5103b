import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isTroupeError } from '../../src/base/error.ts'
import { quantile } from '../../src/cli/measure.ts'
import { defineMap } from '../../src/data/map.ts'
import type { ClusterStatus } from '../../src/driver/contract.ts'
import type { Troupe } from '../../src/runtime/troupe.ts'
import { HashSharding } from '../../src/sharding/hash.ts'
import { ProcessCluster } from './cluster.ts'
import { Load, type LoadResult } from './load.ts'

/** `npm run kills -- --kills N` sets it. */
const KILLS = Number(process.env.KILLS ?? 3)
const probes = defineMap<number>('probes')

let cluster: ProcessCluster
beforeEach(async () => {
  cluster = await ProcessCluster.start()
})
afterEach(() => cluster.close())

function expectNothingLost(result: LoadResult): void {
  expect(result.lost).toEqual([])
  keepIfRefuted(result)
  expect(result.verdict).toMatchObject({ verdict: 'linearizable' })
  expect(result.acknowledgedWrites).toBeGreaterThan(50)
  expect(result.operations).toBeGreaterThan(50)
}

/** A history that was refuted is kept for whoever looks into it. */
function keepIfRefuted({ verdict, history }: LoadResult): void {
  if (verdict.verdict === 'linearizable') return
  const path = join(tmpdir(), `troupe-history-${process.pid}.jsonl`)
  writeFileSync(path, history.toJsonLines())
  console.error(`the history is in ${path}`)
}

/** A key of the probes' map in each shard that `node` leads. */
function keysLedBy({ groups }: ClusterStatus, node: string): string[] {
  const sharding = new HashSharding(groups.length - 1)
  const wanted = groups.filter((group) => group.leader === node && group.shard !== 'meta').map((group) => group.shard)
  const keys = Array.from({ length: 1000 }, (_, at) => `probe-${at}`)
  return wanted.flatMap((shard) => keys.find((key) => sharding.shardOf('probes', key) === shard) ?? [])
}

/** Milliseconds from `began` to the next acknowledged write of each of these keys. */
function timesToWrite(troupe: Troupe, keys: readonly string[], began: number): Promise<number[]> {
  return Promise.all(
    keys.map(async (key) => {
      await troupe.map(probes).set(key, began, { timeout: 20_000 })
      return performance.now() - began
    }),
  )
}

describe('three nodes under load', () => {
  test(
    `a leader killed with -9, ${KILLS} times: writes go on in every shard it led, and nothing acknowledged is lost`,
    async () => {
      const client = await cluster.client()
      const load = new Load(client)
      const times: number[] = []
      for (let kill = 0; kill < KILLS; kill++) {
        const status = await cluster.healthy()
        const victim = leaderOfMost(status)
        const keys = keysLedBy(status, victim)
        expect(keys.length).toBeGreaterThan(0)
        const began = performance.now()
        // No write is tried before the victim is certainly dead, so that none of them is its last.
        await cluster.process(victim).end('SIGKILL')
        times.push(...(await timesToWrite(client, keys, began)))
        await cluster.startNode(victim)
      }
      await cluster.healthy()
      const result = await load.finish(client)
      const ascending = times.sort((a, b) => a - b)
      const [p50, p99] = [quantile(ascending, 0.5), quantile(ascending, 0.99)]
      console.log(
        JSON.stringify({
          kills: KILLS,
          killToNextWriteMs: { p50, p99, max: quantile(ascending, 1), samples: times.length },
          acknowledgedWrites: result.acknowledgedWrites,
          lost: result.lost.length,
          operations: result.operations,
          unknown: result.unknown,
          verdict: result.verdict.verdict,
        }),
      )
      expectNothingLost(result)
      // The promise (RAFT-M2) is for a machine and a disk of one's own: a vote is synced; tests share theirs.
      expect(p50).toBeLessThan(process.env.KILLS === undefined ? 5_000 : 500)
      expect(p99).toBeLessThan(process.env.KILLS === undefined ? 5_000 : 1_500)
    },
    60_000 + KILLS * 10_000,
  )

  test('ten thousand writes, and their leader killed with -9 in the middle of them: each that was acknowledged is read back', async () => {
    const client = await cluster.client()
    const victim = leaderOfMost(await cluster.healthy())
    const acknowledged: string[] = []
    let next = 0
    const write = async (): Promise<void> => {
      while (next < 10_000) {
        const key = `w${next++}`
        const isThere = await client
          .map(probes)
          .set(key, next, { timeout: 20_000 })
          .then(
            () => true,
            (error: unknown) => !isTroupeError(error) && Promise.reject(error),
          )
        if (isThere) acknowledged.push(key)
        if (next === 4_000) cluster.process(victim).kill('SIGKILL')
      }
    }
    await Promise.all(Array.from({ length: 64 }, write))
    await cluster.startNode(victim)
    await cluster.healthy()
    const present = new Set<string>()
    for await (const { key } of client.map(probes).scan()) present.add(key)
    expect(acknowledged.length).toBeGreaterThan(9_000)
    expect(acknowledged.filter((key) => !present.has(key))).toEqual([])
  })

  test('all three killed at once: they serve within 5 s of their restart, and nothing acknowledged is lost', async () => {
    const client = await cluster.client()
    const load = new Load(client)
    await expect.poll(() => load.acknowledgedWrites, { timeout: 20_000 }).toBeGreaterThan(500)
    await Promise.all(cluster.names.map((name) => cluster.process(name).end('SIGKILL')))
    const began = performance.now()
    await Promise.all(cluster.names.map((name) => cluster.startNode(name)))
    const other = await cluster.client()
    const keys = Array.from({ length: 64 }, (_, at) => `after-${at}`)
    await Promise.all(keys.map((key) => other.map(probes).set(key, 1, { timeout: 20_000 })))
    expect(performance.now() - began).toBeLessThan(5_000)
    expectNothingLost(await load.finish(other))
  })

  test('SIGTERM drains: leaderships are handed over, no operation fails, exit code 0', async () => {
    const client = await cluster.client()
    const load = new Load(client)
    await expect.poll(() => load.acknowledgedWrites, { timeout: 20_000 }).toBeGreaterThan(200)
    const victim = leaderOfMost(await cluster.healthy())
    const ended = await cluster.process(victim).end('SIGTERM')
    const before = load.acknowledgedWrites
    await expect.poll(() => load.acknowledgedWrites, { timeout: 20_000 }).toBeGreaterThan(before + 200)
    const result = await load.finish(client)
    expectNothingLost(result)
    expect(result.failed).toEqual([])
    expect(result.unknown).toBe(0)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
  })

  test('a stopped leader (SIGSTOP) is replaced, and lies to nobody when it goes on', async () => {
    const client = await cluster.client()
    const load = new Load(client)
    const status = await cluster.healthy()
    const victim = leaderOfMost(status)
    cluster.process(victim).kill('SIGSTOP')
    const times = await timesToWrite(client, keysLedBy(status, victim), performance.now())
    expect(Math.max(...times)).toBeLessThan(10_000)
    cluster.process(victim).kill('SIGCONT')
    const before = load.acknowledgedWrites
    await expect.poll(() => load.acknowledgedWrites, { timeout: 20_000 }).toBeGreaterThan(before + 200)
    // A follower that was away asks before it stands for election: no term changes on its account (pre-vote).
    const terms = ({ groups }: ClusterStatus) =>
      groups.filter((group) => followed.has(group.group)).map(({ group, leader, term }) => [group, leader, term])
    const followed = new Set(status.groups.filter((group) => group.leader !== victim).map((group) => group.group))
    expect(terms(await cluster.healthy())).toEqual(terms(status))
    expectNothingLost(await load.finish(client))
  })

  test('one of three refuses what needs a majority, answers local reads with their age, and recovers with the others', async () => {
    const client = await cluster.client()
    const map = client.map(probes)
    await map.set('k', 1)
    const [left = '', ...others] = cluster.names
    await expect
      .poll(() =>
        cluster.client([cluster.addressOf(left)]).then((only) => only.map(probes).get('k', { read: 'local' })),
      )
      .toMatchObject({ value: 1 })
    await Promise.all(others.map((name) => cluster.process(name).end('SIGKILL')))
    const refused = await map.set('k', 2, { timeout: 4_000 }).catch((error: unknown) => error)
    expect(isTroupeError(refused, 'NO_QUORUM', 'OUTCOME_UNKNOWN')).toBe(true)
    const definite = await map.set('k', 3, { timeout: 4_000 }).catch((error: unknown) => error)
    expect(definite).toMatchObject({ code: 'NO_QUORUM', outcome: 'failed' })
    expect(await map.get('k', { timeout: 2_000 }).catch((error: unknown) => error)).toMatchObject({ code: 'NO_QUORUM' })
    const local = await map.get('k', { read: 'local' })
    expect(local).toMatchObject({ value: 1, receipt: { guarantee: 'local' } })
    expect(local?.receipt.ageMs).toBeGreaterThan(4_000)
    await Promise.all(others.map((name) => cluster.startNode(name)))
    await cluster.healthy()
    const isUnknown = isTroupeError(refused, 'OUTCOME_UNKNOWN')
    const asked = isUnknown ? await client.outcome(String(refused.details.operationId)) : 'not-committed'
    expect((await map.get('k'))?.value).toBe(asked === 'committed' ? 2 : 1)
  })
})

function leaderOfMost({ members, groups }: ClusterStatus): string {
  const leads = (node: string): number =>
    groups.filter((group) => group.leader === node && group.shard !== 'meta').length
  const [first] = members.map(({ node }) => node).sort((a, b) => leads(b) - leads(a))
  return first ?? ''
}
