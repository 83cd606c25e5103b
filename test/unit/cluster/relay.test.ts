import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/identity.ts'
import { TestCluster } from './cluster.ts'

const TEXT = new TextEncoder()

describe('a node that cannot reach a leader', () => {
  test('serves its application through a third one that both can reach', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const { keyValue } = cluster.application(false)
    await cluster.run(8000)
    expect(leaders(cluster)).toContain('n3')
    cluster.network.cut('n1' as NodeId, 'n3' as NodeId)
    cluster.network.cut('n3' as NodeId, 'n1' as NodeId)
    await cluster.run(20_000)
    expect(leaders(cluster)).toContain('n3')
    const keys = Array.from({ length: 24 }, (_, at) => `key-${at}`)
    const seen: string[] = []
    const over = new AbortController()
    const watching = (async () => {
      for await (const change of keyValue.watch('m', { from: '', until: '' }, { signal: over.signal })) {
        if (change.type === 'set') seen.push(change.key)
      }
    })().catch(() => {})
    const written = Promise.allSettled(keys.map((key) => keyValue.set('m', key, TEXT.encode(key), { timeout: 5000 })))
    await cluster.run(6000)
    expect((await written).map(({ status }) => status)).toEqual(keys.map(() => 'fulfilled'))
    expect(seen.sort()).toEqual([...keys].sort())
    over.abort()
    await watching
  })
})

function leaders(cluster: TestCluster): (string | undefined)[] {
  return (cluster.nodes[1]?.status().groups ?? []).map(({ leader }) => leader)
}
