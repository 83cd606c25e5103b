import { describe, expect, test } from 'vitest'
import { Founding, type Membership, type Verdict } from '../../../src/cluster/founding.ts'

const NOBODY: Membership = { founders: [], founded: false }
const member = (node: string, directory = `directory of ${node}`) => ({ node, directory, address: `${node}:7400` })
const founding = (node: string, expected: number, stored: Membership = NOBODY, directory?: string) =>
  new Founding(member(node, directory), { nodes: expected, shards: 16 }, stored)

/** Everybody tells everybody until nobody learns anything. */
function talk(nodes: readonly Founding[]): Verdict[] {
  const verdicts: Verdict[] = []
  for (let round = 0; round < 4; round++) {
    for (const one of nodes) for (const other of nodes) if (one !== other) verdicts.push(one.meet(other.introduction))
  }
  return verdicts
}

describe('founding', () => {
  test('a node that expects nobody else founds its cluster alone', () => {
    const alone = founding('a', 1)
    expect(alone.begin()).toEqual({ type: 'agreed', membership: { founders: [member('a')], founded: true } })
  })

  test('three nodes agree on one list only once all three have met', () => {
    const [a, b, c] = [founding('a', 3), founding('b', 3), founding('c', 3)] as const
    talk([a, b])
    expect(a.membership).toEqual(NOBODY)
    talk([a, b, c])
    const founded = { founders: [member('a'), member('b'), member('c')], founded: true }
    for (const node of [a, b, c]) expect(node.membership).toEqual(founded)
  })

  test('nobody serves before every founder has agreed to the same list', () => {
    const [a, b, c] = [founding('a', 3), founding('b', 3), founding('c', 3)] as const
    a.meet(b.introduction)
    a.meet(c.introduction)
    expect(a.membership.founders).toHaveLength(3)
    expect(a.membership.founded).toBe(false)
    a.meet(b.introduction)
    expect(a.membership.founded).toBe(false)
  })

  test('a founder that missed that all have agreed learns it from one that saw it, when others are gone', () => {
    const founders = [member('a'), member('b'), member('c')]
    const a = founding('a', 3, { founders, founded: false })
    a.meet(founding('b', 3, { founders, founded: false }).introduction)
    expect(a.membership.founded).toBe(false)
    expect(a.meet(founding('b', 3, { founders, founded: true }).introduction)).toMatchObject({ type: 'agreed' })
    expect(a.membership).toEqual({ founders, founded: true })
  })

  test('a founder that has forgotten all learns it from one that saw it, and founds nothing again', () => {
    const founders = [member('a'), member('b'), member('c')]
    const forgetful = (node: string) => new Founding(member(node), { nodes: 3, shards: 16 }, 'forgotten')
    const [a, b, c] = [forgetful('a'), forgetful('b'), forgetful('c')] as const
    expect(talk([a, b, c]).every(({ type }) => type === 'wait')).toBe(true)
    a.meet(founding('b', 3, { founders, founded: true }).introduction)
    expect(a.membership).toEqual({ founders, founded: true })
  })

  test('a founder that comes back without its directory is a stranger to those who knew it', () => {
    const nodes = [founding('a', 3), founding('b', 3), founding('c', 3)] as const
    talk(nodes)
    const forgetful = founding('c', 3, NOBODY, 'a new directory')
    expect(nodes[0].meet(forgetful.introduction)).toMatchObject({ type: 'stranger' })
    expect(forgetful.meet(nodes[0].introduction)).toMatchObject({ type: 'stranger' })
  })

  test('a list that was agreed to is never exchanged for another, even if a founder vanishes in between', () => {
    const [a, b, c] = [founding('a', 3), founding('b', 3), founding('c', 3)] as const
    a.meet(b.introduction)
    a.meet(c.introduction)
    const successor = founding('c', 3, NOBODY, 'a new directory')
    b.meet(successor.introduction)
    talk([a, b, successor])
    expect([a, b, successor].some(({ membership }) => membership.founded)).toBe(false)
  })

  test('nodes with unequal settings do not found a cluster and say which ones differ', () => {
    expect(founding('a', 3).meet(founding('b', 5).introduction)).toMatchObject({
      reason: expect.stringContaining('expects 5'),
    })
    expect(founding('a', 3).meet(founding('a', 3).introduction)).toMatchObject({
      reason: expect.stringContaining('calls itself a'),
    })
  })

  test('a founder that restarts takes part at once', () => {
    const founders = [member('a'), member('b'), member('c')]
    const restarted = founding('a', 3, { founders, founded: true })
    expect(restarted.meet(founding('b', 3, { founders, founded: true }).introduction)).toEqual({ type: 'wait' })
    expect(restarted.membership.founded).toBe(true)
  })
})
