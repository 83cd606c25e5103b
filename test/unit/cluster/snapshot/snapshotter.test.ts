import { expect, test } from 'vitest'
import type { GroupId, NodeId } from '../../../../src/base/identity.ts'
import type { Group } from '../../../../src/cluster/group.ts'
import { MemorySnapshots } from '../../../../src/host/snapshot/memory-snapshots.ts'
import { TestCluster } from '../cluster.ts'

const SHARE = 64 * 1024
/** The meta group has the other share. */
const compaction = { bytesBetween: 2 * SHARE, entriesBetween: Number.POSITIVE_INFINITY, entriesKept: 4096 }
const value = new Uint8Array(1000).fill(7)
const shard = 1 as GroupId

/** Counts what is written to snapshots. */
class CountedSnapshots extends MemorySnapshots {
  bytes = 0

  override begin(...place: Parameters<MemorySnapshots['begin']>): ReturnType<MemorySnapshots['begin']> {
    const writer = super.begin(...place)
    const write = (chunk: Uint8Array) => {
      this.bytes += chunk.length
      writer.write(chunk)
    }
    return { ...writer, write }
  }
}

function groupOf(cluster: TestCluster): Group | undefined {
  return cluster.nodes[0]?.groups.get(shard)
}

/** Writes so many values, a hundred in each second, to as many keys as `key` names. */
async function fill(cluster: TestCluster, count: number, key: (at: number) => string, restMs = 3000): Promise<void> {
  const { keyValue } = cluster.application(true)
  for (let at = 0; at < count; at++) {
    void keyValue.set('map', key(at), value, {})
    await cluster.run(10)
  }
  await cluster.run(restMs)
}

test('a group that has written its share of the log gets a snapshot, and the log behind it goes, but for half a share', async () => {
  const cluster = new TestCluster(['n1'], 1, { snapshots: () => new MemorySnapshots(), compaction })
  await fill(cluster, 500, (at) => `key ${at % 10}`)
  const core = groupOf(cluster)?.core
  expect(core?.last.index).toBeGreaterThan(400)
  const kept = core?.bytes(core.first.index, core.last.index) ?? 0
  expect(kept).toBeGreaterThan(SHARE / 4)
  // What came while the group waited for the next look at it is on top.
  expect(kept).toBeLessThan(SHARE * 3)
})

test('at most twice as much is written to snapshots as to the log, however much there is to keep', async () => {
  const snapshots = new CountedSnapshots()
  const cluster = new TestCluster(['n1'], 1, { snapshots: () => snapshots, compaction })
  await fill(cluster, 2000, (at) => `key ${at % 1000}`)
  expect(snapshots.newest(shard)?.bytes).toBeGreaterThan(1_000_000)
  expect(snapshots.bytes).toBeLessThan(2 * 2000 * value.length)
})

test('a node takes part before it has read its snapshot, reads it in many turns, and answers when it has', async () => {
  const snapshots = new MemorySnapshots()
  await fill(new TestCluster(['n1'], 1, { snapshots: () => snapshots, compaction }), 1500, (at) => `key ${at}`)
  const position = snapshots.newest(shard)?.header.position
  const again = new TestCluster(['n1'], 1, { snapshots: () => snapshots, compaction })
  while (groupOf(again) === undefined) again.queue.step(Number.POSITIVE_INFINITY)
  const group = groupOf(again)
  let turns = 0
  for (; group?.applied.index === 0; turns++) {
    expect(group.ageMs).toBe(Number.POSITIVE_INFINITY)
    again.queue.step(Number.POSITIVE_INFINITY)
  }
  expect(turns).toBeGreaterThan(4)
  expect(group?.applied.index).toBe(position?.index)
  let found: Uint8Array | undefined
  void again
    .application(true)
    .keyValue.get('map', 'key 1', {})
    .then((answer) => {
      found = answer.value
    })
  await again.run(3000)
  expect(found?.length).toBe(value.length)
})

test('a snapshot that turns out to be damaged while it is read stops the node', async () => {
  const snapshots = new MemorySnapshots()
  await fill(new TestCluster(['n1'], 1, { snapshots: () => snapshots, compaction }), 500, (at) => `key ${at}`)
  const whole = snapshots.newest(shard)
  if (whole === undefined) throw new Error('there is a snapshot')
  const read = (offset: number, length: number) => whole.read(offset, length).fill(0xff)
  const again = new TestCluster(['n1'], 1, {
    snapshots: () => ({ newest: () => ({ ...whole, read }), begin: snapshots.begin.bind(snapshots) }),
  })
  await expect(again.run(1000)).rejects.toMatchObject({ code: 'DATA_DAMAGED' })
})

test('a node that comes back while others write on is sent one snapshot, and has the rest from the log', async () => {
  const names = ['n1', 'n2', 'n3']
  // As with large payloads, of which a snapshot has only the names, there is a new one long before a peer has the last.
  const often = { ...compaction, entriesBetween: 50 }
  const cluster = new TestCluster(names, 1, { snapshots: () => new MemorySnapshots(), compaction: often, delayMs: 40 })
  await cluster.run(2000)
  const pairs = names.slice(0, 2).flatMap((name) => [
    [name, 'n3'],
    ['n3', name],
  ]) as [NodeId, NodeId][]
  for (const pair of pairs) cluster.network.cut(...pair)
  await fill(cluster, 3000, (at) => `key ${at}`)
  for (const pair of pairs) cluster.network.heal(...pair)
  await fill(cluster, 1500, (at) => `key ${at}`, 0)
  const applied = cluster.nodes.map((node) => node.groups.get(shard)?.applied.index ?? 0)
  expect(applied[2]).toBeGreaterThan((applied[0] ?? 0) - 100)
}, 20_000)
