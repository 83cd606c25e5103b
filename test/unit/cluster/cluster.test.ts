import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../src/base/identity.ts'
import { TestCluster } from './cluster.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('a cluster of three', () => {
  test('founds itself, elects leaders that are spread evenly, and gives every node the same shard map', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'], 6)
    await cluster.run(3000)
    const [first, ...others] = cluster.nodes.map((node) => node.status())
    expect(first?.groups.length).toBe(7)
    for (const other of others)
      expect(other.groups.map(({ leader }) => leader)).toEqual(first?.groups.map(({ leader }) => leader))
    const led = ['n1', 'n2', 'n3'].map(
      (node) => first?.groups.filter(({ leader, shard }) => leader === node && shard !== 'meta').length,
    )
    expect(led).toEqual([2, 2, 2])
  })

  test.each([true, false])('answers a write and a read from any node (direct: %s)', async (direct) => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'])
    const driver = cluster.application(direct)
    const results: unknown[] = []
    const work = async () => {
      for (let at = 0; at < 20; at++) await driver.keyValue.set('users', `key ${at}`, bytes(`value ${at}`), {})
      for (let at = 0; at < 20; at++) {
        const { value } = await driver.keyValue.get('users', `key ${at}`, {})
        results.push(new TextDecoder().decode(value))
      }
    }
    void work()
    await cluster.run(6000)
    expect(results).toEqual(Array.from({ length: 20 }, (_, at) => `value ${at}`))
  })

  test('gives a node that was away its leaderships back when it has been there again for a while', async () => {
    const cluster = new TestCluster(['n1', 'n2', 'n3'], 6)
    const ledByFirst = () => cluster.nodes[1]?.status().groups.filter(({ leader }) => leader === 'n1').length
    const links = ['n2', 'n3'].flatMap((other) => [['n1', other] as const, [other, 'n1'] as const])
    await cluster.run(3000)
    const led = ledByFirst()
    expect(led).toBeGreaterThan(1)
    for (const [from, to] of links) cluster.network.cut(from as NodeId, to as NodeId)
    await cluster.run(20_000)
    expect(ledByFirst()).toBe(0)
    for (const [from, to] of links) cluster.network.heal(from as NodeId, to as NodeId)
    const isBack = () => cluster.nodes[1]?.status().members.every(({ state }) => state === 'up')
    while (isBack() === false) await cluster.run(100)
    await cluster.run(3000)
    expect(ledByFirst()).toBe(0)
    await cluster.run(5000)
    expect(ledByFirst()).toBe(led)
  })
})
