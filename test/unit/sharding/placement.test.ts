import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GroupId, NodeId } from '../../../src/base/identity.ts'
import { type Placed, place, replicaCount } from '../../../src/sharding/placement.ts'

const groupsOf = (count: number) => Array.from({ length: count }, (_, at) => (at + 1) as GroupId)
const nodesOf = (count: number) => Array.from({ length: count }, (_, at) => `node-${at}` as NodeId)
const sizes = fc.tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 12 }))

function leads(placed: readonly Placed[], node: NodeId): number {
  return placed.filter(({ leader }) => leader === node).length
}

describe('replicaCount', () => {
  test('is three where there are three nodes, and one where there are fewer', () => {
    expect([1, 2, 3, 4, 100].map(replicaCount)).toEqual([1, 1, 3, 3, 3])
  })
})

describe('place', () => {
  test('gives every group distinct replicas, one of which leads', () => {
    fc.assert(
      fc.property(sizes, ([groups, nodes]) => {
        for (const { replicas, leader } of place(groupsOf(groups), nodesOf(nodes))) {
          expect(new Set(replicas).size).toBe(replicaCount(nodes))
          expect(replicas).toContain(leader)
        }
      }),
    )
  })

  test('gives equal leads, give or take one, where every node has every group', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), (groups) => {
        const nodes = nodesOf(3)
        const placed = place(groupsOf(groups), nodes)
        const counts = nodes.map((node) => leads(placed, node))
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('leaves no lead where one replica less burdened could take it', () => {
    fc.assert(
      fc.property(sizes, ([groups, count]) => {
        const placed = place(groupsOf(groups), nodesOf(count))
        for (const { replicas, leader } of placed) {
          const burdens = replicas.map((node) => leads(placed, node))
          expect(leads(placed, leader) - Math.min(...burdens)).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  test('spreads leads by one at most on larger clusters with many groups', () => {
    const nodes = nodesOf(5)
    const placed = place(groupsOf(256), nodes)
    const counts = nodes.map((node) => leads(placed, node))
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  test('does not depend on the order of the nodes', () => {
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat()), ([groups, count], shuffle) => {
        const nodes = nodesOf(count)
        const shuffled = nodes
          .map((node) => ({ node, at: shuffle.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ node }) => node)
        expect(place(groupsOf(groups), shuffled)).toEqual(place(groupsOf(groups), nodes))
      }),
    )
  })

  test('moves only the replicas that a node takes over when it joins', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 3, max: 12 }), (groups, count) => {
        const nodes = nodesOf(count + 1)
        const newcomer = nodes[count]
        const before = place(groupsOf(groups), nodes.slice(0, count))
        const after = place(groupsOf(groups), nodes)
        after.forEach(({ replicas }, at) => {
          const kept = replicas.filter((node) => node !== newcomer)
          expect(before[at]?.replicas.slice(0, kept.length)).toEqual(kept)
        })
      }),
    )
  })

  test('gives each node its part of the replicas', () => {
    const placed = place(groupsOf(1000), nodesOf(10))
    for (const node of nodesOf(10)) {
      const share = placed.filter(({ replicas }) => replicas.includes(node)).length
      expect(share).toBeGreaterThan(240)
      expect(share).toBeLessThan(360)
    }
  })
})
