import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTroupeError } from '../../../../src/base/error.ts'
import type { NodeId } from '../../../../src/base/identity.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING } from '../../../../src/protocol/raft/config.ts'
import type { RaftMessage } from '../../../../src/protocol/raft/message.ts'
import { Raft } from '../../../../src/protocol/raft/raft.ts'

const [a, b, c] = ['a', 'b', 'c'] as unknown as [NodeId, NodeId, NodeId]
const ORIGIN = { index: 0, term: 0 }
const NOTHING = new Uint8Array(0)

/** A follower of term 2 whose log has five entries; with the third a snapshot ends. */
function follower(): Raft {
  return new Raft({
    self: a,
    configuration: { incoming: [a, b, c], outgoing: [], learners: [] },
    term: 2,
    vote: undefined,
    snapshot: { index: 3, term: 1 },
    log: [
      { term: 1, size: 1 },
      { term: 2, size: 1 },
    ],
    timing: DEFAULT_TIMING,
    limits: DEFAULT_LIMITS,
    random: new SeededRandom(1),
    liveness: { lastHeard: () => -Infinity },
    now: 0,
  })
}

/** All that it wants is done, and its disk is quick. */
function settle(raft: Raft): void {
  for (let turn = 0; turn < 5; turn++) {
    while (raft.takeReady() !== undefined);
    raft.persisted(raft.written)
  }
  raft.check()
}

/** The leader of term 3, whose log has six entries. */
function leader(): Raft {
  const raft = follower()
  raft.submit({ type: 'campaign' }, 10)
  settle(raft)
  raft.receive(b, { type: 'pre-vote-reply', term: 3, granted: true }, 20)
  settle(raft)
  raft.receive(b, { type: 'vote-reply', term: 3, granted: true }, 30)
  settle(raft)
  expect([raft.role, raft.last.index]).toEqual(['leader', 6])
  return raft
}

const index = fc.oneof(fc.nat(9), fc.constantFrom(2 ** 32, Number.MAX_SAFE_INTEGER))
const term = fc.oneof(fc.nat(5), fc.constantFrom(2 ** 20, 2 ** 32, Number.MAX_SAFE_INTEGER))
const position = fc.record({ index, term })
const entries = fc
  .tuple(
    position,
    fc.array(fc.record({ term, kind: fc.constantFrom('command' as const, 'empty' as const) }), { maxLength: 4 }),
  )
  .map(([previous, terms]) => ({
    previous,
    entries: terms.map((entry, at) => ({ ...entry, index: previous.index + 1 + at, payload: NOTHING })),
  }))
const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({ type: fc.constant('pre-vote' as const), term, last: position }),
  fc.record({ type: fc.constant('pre-vote-reply' as const), term, granted: fc.boolean() }),
  fc.record({ type: fc.constant('vote' as const), term, last: position, transfer: fc.boolean() }),
  fc.record({ type: fc.constant('vote-reply' as const), term, granted: fc.boolean() }),
  fc.tuple(entries, term, index).map(([sent, at, commit]) => ({ type: 'append' as const, term: at, commit, ...sent })),
  fc.record({
    type: fc.constant('append-reply' as const),
    term,
    accepted: fc.boolean(),
    match: index,
    refused: index,
    matchTerm: term,
    commit: index,
  }),
  fc.record({ type: fc.constant('heartbeat' as const), term, commit: index, round: index }),
  fc.record({ type: fc.constant('heartbeat-reply' as const), term, round: index, commit: index }),
  fc.record({ type: fc.constant('read-index' as const), term, id: index }),
  fc.record({ type: fc.constant('read-index-reply' as const), term, id: index, index }),
  fc.record({ type: fc.constant('timeout-now' as const), term }),
)

/** What others can see of it. */
function state(raft: Raft): string {
  return JSON.stringify([raft.role, raft.term, raft.vote, raft.leader, raft.commit, raft.last, raft.progress()])
}

function isRefused(raft: Raft, from: NodeId, lie: RaftMessage): boolean {
  try {
    raft.receive(from, lie, 100)
    return false
  } catch (error) {
    if (isTroupeError(error, 'DATA_DAMAGED')) return true
    throw error
  }
}

describe('a peer that lies', () => {
  test.each([
    ['follower', follower],
    ['leader', leader],
  ])('moves a %s to nothing that contradicts itself, and to nothing at all where the lie can be seen', (_, make) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(b, c), message), { minLength: 1, maxLength: 12 }), (said) => {
        const raft = make()
        for (const [from, lie] of said) {
          const before = state(raft)
          const after = isRefused(raft, from, lie) ? state(raft) : before
          expect(after).toBe(before)
          settle(raft)
        }
        expect(raft.term).toBeLessThan(2 ** 26)
      }),
      { numRuns: 1500 },
    )
  })

  const seen: readonly (readonly [string, () => Raft, RaftMessage])[] = [
    ['uses up the terms', follower, { type: 'heartbeat-reply', term: Number.MAX_SAFE_INTEGER, round: 0, commit: 0 }],
    ['acknowledges what was not sent', leader, reply({ accepted: true, match: 7 })],
    ['has committed what was not sent', leader, reply({ commit: 7 })],
    ['confirms a round that has not begun', leader, { type: 'heartbeat-reply', term: 3, round: 1, commit: 0 }],
    ['leads a term that another one leads', leader, { type: 'heartbeat', term: 3, commit: 0, round: 0 }],
    ['sends entries of the future', follower, append([3])],
    ['sends entries whose terms decrease', follower, append([2, 1])],
    [
      'campaigns with entries of that term',
      follower,
      { type: 'vote', term: 3, last: { index: 9, term: 3 }, transfer: true },
    ],
  ]
  test.each(seen)('and %s is seen', (_, make, lie) => {
    const raft = make()
    expect(() => raft.receive(b, lie, 100)).toThrow(expect.objectContaining({ code: 'DATA_DAMAGED' }))
  })

  test('cannot take the place of a leader that is known', () => {
    const raft = follower()
    raft.receive(b, { type: 'heartbeat', term: 2, commit: 0, round: 0 }, 100)
    expect([raft.mayLead(b, 2), raft.mayLead(c, 2), raft.mayLead(c, 3), raft.mayLead(c, 1)]).toEqual([
      true,
      false,
      true,
      false,
    ])
    expect(() => raft.receive(c, append([]), 100)).toThrow('a second leader of term 2')
  })
})

function reply(change: object): RaftMessage {
  const nothing = { accepted: false, match: 0, refused: 0, matchTerm: 0, commit: 0 }
  return { type: 'append-reply', term: 3, ...nothing, ...change }
}

function append(terms: readonly number[]): RaftMessage {
  const sent = terms.map((at, place) => ({ index: place + 1, term: at, kind: 'empty' as const, payload: NOTHING }))
  return { type: 'append', term: 2, previous: ORIGIN, entries: sent, commit: 0 }
}
