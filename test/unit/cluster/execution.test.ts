import { expect, test } from 'vitest'
import { ByteWriter } from '../../../src/base/bytes.ts'
import type { Group } from '../../../src/cluster/group.ts'
import { Source } from '../../../src/cluster/source.ts'
import { decodeGetReply, encodeGet } from '../../../src/machine/command.ts'
import { TestCluster } from './cluster.ts'

function get(group: Group, key: string): Uint8Array {
  const query = new ByteWriter()
  encodeGet(query, { map: 'm', key })
  const replies: Uint8Array[] = []
  const source = new Source(false, () => true, [])
  source.reply = (_, __, bytes) => replies.push(bytes.slice())
  group.localQuery(source, { id: 1, ageLimit: 60_000, query: query.take() })
  return decodeGetReply(replies[0]?.subarray(8) ?? new Uint8Array(0)).value
}

async function write(cluster: TestCluster, key: string): Promise<readonly Group[]> {
  await cluster.run(5000)
  const driver = cluster.application(true)
  await cluster.run(100)
  void driver.keyValue.set('m', key, Uint8Array.of(7), {})
  const replicas = cluster.nodes.flatMap((node) => [...node.groups.values()])
  const behind = () => replicas.filter(({ core, applied }) => applied.index < core.commit)
  for (let at = 0; at < 10_000 && behind().length < 2; at++) await cluster.run(0.05)
  return behind()
}

test('what followers know to be decided they execute before long, though nobody asks', async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const behind = await write(cluster, 'k')
  expect(behind.map(({ isLeader }) => isLeader)).toEqual([false, false])
  await cluster.run(15)
  expect(behind.map(({ core, applied }) => core.commit - applied.index)).toEqual([0, 0])
})

test('a follower that is read executes first what it knows to be decided', async () => {
  const cluster = new TestCluster(['n1', 'n2', 'n3'])
  const behind = await write(cluster, 'k')
  expect(behind.map((group) => get(group, 'k'))).toEqual([Uint8Array.of(7), Uint8Array.of(7)])
})
