/** A partition is a set of directions in which the network carries nothing. */

import type { NodeId } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'

export const PARTITIONS = [
  'halves',
  'isolated',
  'isolated-leader',
  'deaf',
  'mute',
  'one-link',
  'bridge',
  'ring',
] as const

/** Who is cut off from whom. */
export type PartitionKind = (typeof PARTITIONS)[number]

export type Direction = readonly [NodeId, NodeId]

/**
 * `'halves'` a random cut in two · `'isolated'` one node alone · `'isolated-leader'` a leader alone · `'deaf'` a node
 * that sends but does not hear · `'mute'` the reverse · `'one-link'` two nodes that lost each other · `'bridge'` two
 * halves that both see one node · `'ring'` each node sees a majority, and no two see the same one.
 */
export function partition(
  kind: PartitionKind,
  nodes: readonly NodeId[],
  leader: NodeId | undefined,
  random: SeededRandom,
): Direction[] {
  const order = shuffled(nodes, random)
  const one = (kind.startsWith('isolated-') || random.next() < 0.5 ? leader : undefined) ?? order[0]
  const others = order.filter((node) => node !== one)
  if (one === undefined || others.length === 0) return []
  switch (kind) {
    case 'halves':
      return bothWays(split(order, 1 + random.below(order.length - 1)))
    case 'isolated':
    case 'isolated-leader':
      return bothWays([[one], others])
    case 'deaf':
      return others.map((other) => [other, one] as const)
    case 'mute':
      return others.map((other) => [one, other] as const)
    case 'one-link':
      return bothWays([[one], others.slice(0, 1)])
    case 'bridge':
      return bothWays(split(others, others.length >> 1))
    default:
      return ring(order)
  }
}

function shuffled<Value>(values: readonly Value[], random: SeededRandom): Value[] {
  const left = [...values]
  const order: Value[] = []
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1))
  return order
}

function split(nodes: readonly NodeId[], at: number): [NodeId[], NodeId[]] {
  return [nodes.slice(0, at), nodes.slice(at)]
}

function bothWays([some, others]: readonly [readonly NodeId[], readonly NodeId[]]): Direction[] {
  return some.flatMap((one) => others.flatMap((other) => [[one, other] as const, [other, one] as const]))
}

/** Nodes on a circle see their neighbours up to a majority. */
function ring(order: readonly NodeId[]): Direction[] {
  const reach = Math.ceil((order.length - 1) / 4)
  const directions: Direction[] = []
  order.forEach((one, at) => {
    order.forEach((other, place) => {
      const around = Math.abs(at - place)
      if (Math.min(around, order.length - around) > reach) directions.push([one, other])
    })
  })
  return directions
}
