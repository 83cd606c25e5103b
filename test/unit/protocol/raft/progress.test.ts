import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../../../src/base/identity.ts'
import { RaftLog } from '../../../../src/protocol/raft/log.ts'
import { Progress } from '../../../../src/protocol/raft/progress.ts'

const peerAt = (next: number): Progress => new Progress('b' as NodeId, next, 0)

function replicating(match: number, next: number): Progress {
  const peer = peerAt(match + 1)
  peer.accept(match, 0)
  peer.next = next
  return peer
}

describe('Progress', () => {
  test('replicates as soon as a probe is accepted, from right after it', () => {
    const peer = peerAt(8)
    expect(peer.accept(5, 1)).toBe(true)
    expect([peer.state, peer.match, peer.next]).toEqual(['replicate', 5, 6])
  })

  test('keeps what it has sent ahead when an acknowledgement comes', () => {
    const peer = replicating(5, 20)
    peer.accept(9, 1)
    expect([peer.match, peer.next]).toEqual([9, 20])
  })

  test('never goes back for a late acknowledgement', () => {
    const peer = replicating(9, 20)
    expect(peer.accept(5, 1)).toBe(false)
    expect(peer.match).toBe(9)
  })

  test('believes a refusal only of what was not confirmed and, while probing, of the probe itself', () => {
    const peer = replicating(9, 20)
    expect(peer.refuse(9, 3)).toBe(false)
    expect(peer.refuse(15, 11)).toBe(true)
    expect([peer.state, peer.next]).toEqual(['probe', 12])
    expect(peer.refuse(15, 10)).toBe(false)
    expect(peer.refuse(11, 2)).toBe(true)
    expect(peer.next, 'a guess below what is confirmed is not believed').toBe(10)
  })

  test('always guesses lower after a refusal', () => {
    const peer = peerAt(8)
    peer.refuse(7, 99)
    expect(peer.next).toBe(7)
  })

  test('waits for the whole snapshot', () => {
    const peer = peerAt(3)
    peer.awaitSnapshot(10)
    peer.accept(4, 1)
    expect(peer.state).toBe('snapshot')
    peer.accept(10, 2)
    expect([peer.state, peer.next]).toEqual(['replicate', 11])
  })

  test('takes everything under way for lost with the connection', () => {
    const peer = replicating(5, 20)
    peer.disconnect(1)
    expect([peer.state, peer.next, peer.connected, peer.heardAt]).toEqual(['probe', 6, false, -Infinity])
  })

  test('counts the bytes under way', () => {
    const log = new RaftLog(
      { index: 0, term: 0 },
      Array.from({ length: 20 }, () => ({ term: 1, size: 7 })),
    )
    expect(replicating(5, 9).inflightBytes(log)).toBe(21)
    expect(replicating(5, 6).inflightBytes(log)).toBe(0)
  })
})
