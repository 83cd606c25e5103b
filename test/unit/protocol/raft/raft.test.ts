import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/identity.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING, type RaftStart } from '../../../../src/protocol/raft/config.ts'
import type { RaftMessage } from '../../../../src/protocol/raft/message.ts'
import { Raft } from '../../../../src/protocol/raft/raft.ts'
import { PENDING_READS } from '../../../../src/protocol/raft/read.ts'
import { RaftCluster } from '../../../scenario/raft-cluster.ts'

const [a, b, c] = ['a', 'b', 'c'] as unknown as [NodeId, NodeId, NodeId]

function start(change: Partial<RaftStart> = {}): Raft {
  return new Raft({
    self: a,
    configuration: { incoming: [a, b, c], outgoing: [], learners: [] },
    term: 0,
    vote: undefined,
    snapshot: { index: 0, term: 0 },
    log: [],
    timing: DEFAULT_TIMING,
    limits: DEFAULT_LIMITS,
    random: new SeededRandom(1),
    liveness: { lastHeard: () => -Infinity },
    now: 0,
    ...change,
  })
}

const payload = (size: number): Uint8Array => new Uint8Array(size)

function leading(options: ConstructorParameters<typeof RaftCluster>[0] = { voters: ['a', 'b', 'c'] }): RaftCluster {
  const cluster = new RaftCluster(options)
  cluster.submit('a', { type: 'campaign' })
  settle(cluster)
  cluster.advance(500, () => settle(cluster))
  expect(cluster.leaders).toEqual(['a'])
  return cluster
}

function settle(cluster: RaftCluster): void {
  while (cluster.network.length > 0) cluster.deliver(0)
}

describe('Raft', () => {
  test('has nothing to do before its deadline, which is one to two election timeouts away', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const raft = start({ random: new SeededRandom(seed) })
      expect(raft.takeReady()).toBeUndefined()
      expect(raft.wakeAt).toBeGreaterThanOrEqual(1000)
      expect(raft.wakeAt).toBeLessThan(2000)
    }
  })

  test('resumes with what its disk holds', () => {
    const log = [1, 1, 3].map((term) => ({ term, size: 4 }))
    const raft = start({ term: 3, vote: b, snapshot: { index: 7, term: 1 }, log })
    expect([raft.role, raft.term, raft.vote, raft.commit, raft.persistedIndex]).toEqual(['follower', 3, b, 7, 10])
    expect([raft.first, raft.last, raft.termAt(8), raft.termAt(6)]).toEqual([
      { index: 7, term: 1 },
      { index: 10, term: 3 },
      1,
      undefined,
    ])
  })

  test('says that it has forgotten what a leader of its term has had confirmed', () => {
    const raft = start({ term: 3, log: [{ term: 3, size: 4 }] })
    const heard = (commit: number) => {
      raft.receive(b, { type: 'heartbeat', term: 3, commit, round: 0 }, 10)
      return raft.takeReady()?.events.filter(({ type }) => type === 'forgot')
    }
    expect(heard(1)).toEqual([])
    expect(heard(4)).toEqual([{ type: 'forgot', confirmed: 4, last: 1 }])
    expect(raft.commit).toBe(1)
  })

  test('writes its vote before the answer may leave', () => {
    const raft = start()
    raft.receive(b, { type: 'vote', term: 5, last: { index: 0, term: 0 }, transfer: false }, 10)
    const ready = raft.takeReady()
    expect(ready?.writes).toEqual([{ type: 'hard-state', term: 5, vote: b }])
    expect(ready?.messages).toEqual([])
    expect(ready?.messagesAfterPersist).toEqual([{ to: b, message: { type: 'vote-reply', term: 5, granted: true } }])
  })

  test('votes once a term, and again for the same candidate only', () => {
    const raft = start({ term: 5, vote: b })
    const vote: RaftMessage = { type: 'vote', term: 5, last: { index: 0, term: 0 }, transfer: false }
    raft.receive(c, vote, 10)
    raft.receive(b, vote, 10)
    const ready = raft.takeReady()
    expect(ready?.messages).toEqual([{ to: c, message: { type: 'vote-reply', term: 5, granted: false } }])
    expect(ready?.messagesAfterPersist).toEqual([{ to: b, message: { type: 'vote-reply', term: 5, granted: true } }])
    expect(ready?.writes).toEqual([])
  })

  test('tells a leader of an old term that it is over', () => {
    const raft = start({ term: 5 })
    raft.receive(b, { type: 'heartbeat', term: 4, commit: 0, round: 1 }, 10)
    expect(raft.takeReady()?.messages).toEqual([
      { to: b, message: { type: 'heartbeat-reply', term: 5, round: 0, commit: 0 } },
    ])
  })

  test('sends all proposals of a turn as one range to each peer, and writes them as one', () => {
    const cluster = leading()
    const raft = cluster.core('a')
    for (let id = 0; id < 5; id++) {
      raft.submit({ type: 'propose', id, kind: 'command', payload: payload(10) }, cluster.now)
    }
    const ready = raft.takeReady()
    const ranges = ready?.outputs.filter((output) => output.type === 'send-entries')
    expect(ranges?.map(({ from, until }) => [from, until])).toEqual([
      [2, 7],
      [2, 7],
    ])
    expect(ready?.writes.map((write) => (write.type === 'entries' ? write.entries.length : 0))).toEqual([5])
    expect(ready?.outputs.filter((output) => output.type === 'proposed')).toHaveLength(5)
    expect(raft.takeReady()).toBeUndefined()
  })

  test('beats, as a leader, when every other group of the node does, however unlike their proposals come', () => {
    const beatOf = (at: number): number => {
      const cluster = leading()
      const raft = cluster.core('a')
      cluster.advance(at, () => settle(cluster))
      raft.submit({ type: 'propose', id: 1, kind: 'command', payload: payload(1) }, cluster.now)
      raft.takeReady()
      return raft.wakeAt - cluster.now + at
    }
    const heartbeats = [100, 101, 123.5, 149].map(beatOf)
    expect(new Set(heartbeats).size).toBe(1)
  })

  test('hands over arrays that it never touches again', () => {
    const cluster = leading()
    const raft = cluster.core('a')
    const propose = (id: number) =>
      raft.submit({ type: 'propose', id, kind: 'command', payload: payload(1) }, cluster.now)
    propose(1)
    const ready = raft.takeReady()
    const before = structuredClone(ready)
    propose(2)
    raft.takeReady()
    expect(ready).toEqual(before)
  })

  test('refuses what it cannot order, and names who can', () => {
    const cluster = leading()
    cluster.submit('b', { type: 'propose', id: 7, kind: 'command', payload: payload(1) })
    expect(cluster.machine('b').outputs.at(-1)).toEqual({ type: 'refused', id: 7, reason: 'not-leader', leader: a })
  })

  test('asks only for the disk position that is still its own', () => {
    const raft = start({ term: 1, log: [{ term: 1, size: 1 }] })
    const append = (term: number, index: number): RaftMessage => ({
      type: 'append',
      term,
      previous: { index: 1, term: 1 },
      entries: [{ index, term, kind: 'command', payload: payload(1) }],
      commit: 0,
    })
    raft.receive(b, append(2, 2), 1)
    raft.takeReady()
    raft.receive(c, append(3, 2), 2)
    raft.takeReady()
    raft.persisted({ index: 2, term: 2, currentTerm: 2 })
    expect(raft.persistedIndex).toBe(1)
    raft.persisted({ index: 2, term: 3, currentTerm: 3 })
    expect(raft.persistedIndex).toBe(2)
  })

  test('of a single voter leads only once its vote of that very term is on disk', () => {
    const raft = start({ configuration: { incoming: [a], outgoing: [], learners: [] }, term: 1 })
    raft.submit({ type: 'campaign' }, 1)
    expect(raft.takeReady()?.writes).toEqual([{ type: 'hard-state', term: 2, vote: a }])
    // What was under way before comes first.
    raft.persisted({ index: 0, term: 0, currentTerm: 1 })
    expect([raft.role, raft.term]).toEqual(['candidate', 2])
    raft.persisted({ index: 0, term: 0, currentTerm: 2 })
    expect([raft.role, raft.term]).toEqual(['leader', 2])
  })

  test('that waits for its own vote to be on disk waits on: another term would only take longer', () => {
    const raft = start({ configuration: { incoming: [a], outgoing: [], learners: [] } })
    raft.submit({ type: 'campaign' }, 1)
    raft.takeReady()
    for (let times = 0; times < 3; times++) {
      const due = raft.wakeAt
      raft.wake(due)
      raft.takeReady()
      expect([raft.role, raft.term]).toEqual(['candidate', 1])
      expect(raft.wakeAt).toBeGreaterThan(due)
    }
  })

  test('takes a snapshot for what it is: a commit, when the log holds it all', () => {
    const log = [1, 1, 1].map((term) => ({ term, size: 1 }))
    const raft = start({ term: 1, log })
    const configuration = raft.configuration
    raft.submit(
      { type: 'install-snapshot', from: b, term: 1, position: { index: 2, term: 1 }, chain: 7, configuration },
      1,
    )
    const ready = raft.takeReady()
    expect(ready?.writes).toEqual([])
    expect(ready?.outputs.map((output) => output.type)).toEqual(['leadership', 'commit'])
    expect([raft.commit, raft.last.index]).toEqual([2, 3])
    raft.submit(
      { type: 'install-snapshot', from: b, term: 1, position: { index: 9, term: 1 }, chain: 7, configuration },
      2,
    )
    expect(raft.takeReady()?.writes).toEqual([{ type: 'snapshot', position: { index: 9, term: 1 }, chain: 7 }])
    expect([raft.commit, raft.first, raft.last.index]).toEqual([9, { index: 9, term: 1 }, 9])
  })

  test('ignores a snapshot of an old term', () => {
    const raft = start({ term: 4 })
    const configuration = raft.configuration
    raft.submit(
      { type: 'install-snapshot', from: b, term: 3, position: { index: 9, term: 1 }, chain: 7, configuration },
      1,
    )
    expect([raft.takeReady(), raft.commit]).toEqual([undefined, 0])
  })

  test('keeps the log that is not committed when it is asked to compact beyond', () => {
    const cluster = leading()
    cluster.core('a').submit({ type: 'compact', upTo: { index: 99, term: 1 } }, cluster.now)
    expect(cluster.core('a').first.index).toBe(cluster.core('a').commit)
  })

  test('bounds the reads that wait', () => {
    const cluster = leading()
    cluster.cut('b', 'a')
    cluster.cut('c', 'a')
    for (let id = 0; id <= PENDING_READS; id++) cluster.submitLater('a', { type: 'read', id })
    cluster.flush('a')
    const refused = cluster.machine('a').outputs.filter((output) => output.type === 'refused')
    expect(refused).toEqual([{ type: 'refused', id: PENDING_READS, reason: 'overloaded', leader: a }])
  })

  test('sends nothing to a peer that is gone until there is a sign of life', () => {
    const cluster = leading()
    cluster.crash('c')
    cluster.submit('a', { type: 'unreachable', node: c })
    cluster.submit('a', { type: 'propose', id: 1, kind: 'command', payload: payload(1) })
    const toC: string[] = []
    const watch = () => {
      toC.push(...cluster.network.filter(({ to }) => to === 'c').map(({ message }) => message.type))
      settle(cluster)
    }
    cluster.advance(10_000, watch)
    expect(toC).toEqual([])
    cluster.restart('c')
    cluster.advance(3000, watch)
    expect(cluster.core('c').commit).toBe(cluster.core('a').commit)
  })
})
