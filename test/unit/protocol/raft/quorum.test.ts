import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../../../src/base/assert.ts'
import type { NodeId } from '../../../../src/base/identity.ts'
import { checkVoters, committedIndex, countVotes, isVoter } from '../../../../src/protocol/raft/quorum.ts'

const nodes = (...names: string[]) => names as NodeId[]
const abc = { incoming: nodes('a', 'b', 'c'), outgoing: [] }
const joint = { incoming: nodes('a', 'b', 'c'), outgoing: nodes('c', 'd', 'e') }

const indexes = fc.array(fc.nat(20), { minLength: 1, maxLength: 9 })
const answers = fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 9 })
const named = (count: number) => Array.from({ length: count }, (_, at) => `n${at}` as NodeId)

describe('committedIndex', () => {
  test('is what the slowest member of the fastest majority has', () => {
    expect(committedIndex(abc, (voter) => ({ a: 9, b: 7, c: 2 })[voter as string] ?? 0)).toBe(7)
  })

  test('in a joint configuration, both majorities must have it', () => {
    expect(committedIndex(joint, (voter) => ({ a: 9, b: 9, c: 1, d: 4, e: 0 })[voter as string] ?? 0)).toBe(1)
  })

  test('is the highest index that a majority has', () => {
    fc.assert(
      fc.property(indexes, (reached) => {
        const voters = named(reached.length)
        const committed = committedIndex(
          { incoming: voters, outgoing: [] },
          (voter) => reached[voters.indexOf(voter)] ?? 0,
        )
        const holders = reached.filter((index) => index >= committed).length
        const holdersOfMore = reached.filter((index) => index > committed).length
        expect(holders * 2).toBeGreaterThan(reached.length)
        expect(holdersOfMore * 2).toBeLessThanOrEqual(reached.length)
      }),
    )
  })

  test('of two sets of voters is the lower of both', () => {
    fc.assert(
      fc.property(indexes, indexes, (one, other) => {
        const incoming = named(one.length)
        const outgoing = other.map((_, at) => `m${at}` as NodeId)
        const reached = (voter: NodeId) => one[incoming.indexOf(voter)] ?? other[outgoing.indexOf(voter)] ?? 0
        const apart = [incoming, outgoing].map((voters) => committedIndex({ incoming: voters, outgoing: [] }, reached))
        expect(committedIndex({ incoming, outgoing }, reached)).toBe(Math.min(...apart))
      }),
    )
  })
})

describe('countVotes', () => {
  test('stays pending until the last vote that matters', () => {
    expect(countVotes(abc, (voter) => (voter === 'a' ? true : undefined))).toBe('pending')
  })

  test('is lost as soon as a majority can no longer be had', () => {
    expect(countVotes(abc, (voter) => (voter === 'a' ? undefined : false))).toBe('lost')
  })

  test('in a joint configuration, is lost with either set and won only with both', () => {
    expect(countVotes(joint, (voter) => voter !== 'd' && voter !== 'e')).toBe('lost')
    expect(countVotes(joint, (voter) => (voter < 'd' ? true : undefined))).toBe('pending')
    expect(countVotes(joint, (voter) => (voter < 'e' ? true : undefined))).toBe('won')
  })

  test('never says won and lost of the same votes, whatever the missing ones turn out to be', () => {
    fc.assert(
      fc.property(answers, (votes) => {
        const voters = { incoming: named(votes.length), outgoing: [] }
        const count = (missing: boolean | undefined) =>
          countVotes(voters, (voter) => votes[voters.incoming.indexOf(voter)] ?? missing)
        const now = count(undefined)
        expect([count(true), count(false)]).toEqual(now === 'pending' ? ['won', 'lost'] : [now, now])
      }),
    )
  })
})

describe('voters', () => {
  test('are those of either set', () => {
    expect(nodes('a', 'c', 'e', 'f').map((node) => isVoter(joint, node))).toEqual([true, true, true, false])
  })

  test('are never none, and none has two votes', () => {
    expect(() => checkVoters({ incoming: [], outgoing: nodes('a') })).toThrow(AssertionError)
    expect(() => checkVoters({ incoming: nodes('a', 'a'), outgoing: [] })).toThrow(AssertionError)
  })
})
