import { describe, expect, test } from 'vitest'
import type { GroupId, NodeId } from '../../../../src/base/identity.ts'
import { SnapshotExchange } from '../../../../src/cluster/snapshot/exchange.ts'
import type { SnapshotStore } from '../../../../src/host/log-device.ts'
import { MemorySnapshots } from '../../../../src/host/snapshot/memory-snapshots.ts'
import { QUEUE_COMMAND } from '../../../../src/machine/queue/command.ts'
import { encodePieceName } from '../../../../src/machine/queue/encode.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import type { RaftRequest } from '../../../../src/protocol/raft/message.ts'
import { apply } from '../../machine/operations.ts'
import { command, QUEUE } from '../../machine/queue/operations.ts'

const GROUP = 1 as GroupId
const [LEADER, OTHER, LATE] = ['leader', 'other', 'late'] as NodeId[] as [NodeId, NodeId, NodeId]
const POSITION = { index: 100, term: 2 }

function upload(shard: Shard, number: number, bytes: number): void {
  const uploading = command(QUEUE_COMMAND.upload, (writer) => {
    encodePieceName(writer, QUEUE, number, 0)
    writer.blob(new Uint8Array(bytes).fill(number))
  })
  apply(shard, 1_000_000, uploading)
}

function shardWith(...uploads: number[]): Shard {
  const shard = new Shard()
  for (const number of uploads) upload(shard, number, 100_000)
  return shard
}

function storeWith(shard: Shard): SnapshotStore {
  const store = new MemorySnapshots()
  const frozen = shard.freeze()
  const writer = store.begin(GROUP, { position: POSITION, chain: 7, configuration: new Uint8Array(12) })
  for (const chunk of frozen.chunks()) writer.write(chunk)
  writer.finish(() => {})
  frozen.release()
  return store
}

/** A peer that is behind, and those who may send it their snapshot; frames between them are carried by hand. */
class Transfer {
  readonly late = new MemorySnapshots()
  readonly installed: RaftRequest[] = []
  readonly #frames: { readonly from: NodeId; readonly to: NodeId; readonly frame: Uint8Array }[] = []
  readonly #exchanges = new Map<NodeId, SnapshotExchange>()

  constructor(shards: ReadonlyMap<NodeId, Shard>) {
    for (const [node, shard] of shards) this.join(node, storeWith(shard), shard)
    this.join(LATE, this.late)
  }

  /** Who leads no more, as the late one knows. */
  deposed: NodeId | undefined
  /** Frames that the network takes at once. */
  mostUnderWay = Number.POSITIVE_INFINITY

  get underWay(): number {
    return this.#frames.length
  }

  get underWayBytes(): number {
    return this.#frames.reduce((total, { frame }) => total + frame.length, 0)
  }

  /** Does to the frames that are under way what a liar would. */
  falsify(lie: (frame: Uint8Array) => void): void {
    for (const { frame } of this.#frames) lie(frame)
  }

  send(from: NodeId, term = 2): void {
    this.#exchanges.get(from)?.send(GROUP, LATE, term)
  }

  carry(most = Number.POSITIVE_INFINITY): void {
    for (let count = 0; count < most; count++) {
      const next = this.#frames.shift()
      if (next === undefined) return
      this.#exchanges.get(next.to)?.frame(next.from, next.frame)
    }
  }

  disconnect(node: NodeId): void {
    this.#frames.length = 0
    this.#exchanges.get(node)?.peerLost(LATE)
    this.#exchanges.get(LATE)?.peerLost(node)
  }

  /** What the late one has received, in a machine of its own. */
  restored(): Shard {
    const snapshot = this.late.newest(GROUP)
    if (snapshot === undefined) throw new Error('no snapshot has arrived')
    const shard = new Shard()
    shard.restore([snapshot.read(0, snapshot.bytes)])
    return shard
  }

  join(node: NodeId, store: SnapshotStore, machine?: Shard): void {
    const sendFrame = (to: NodeId, frame: Uint8Array) =>
      this.#frames.length < this.mostUnderWay && this.#frames.push({ from: node, to, frame }) > 0
    const submit = (_: GroupId, request: RaftRequest) => this.installed.push(request)
    const guard = (task: () => void): void => task()
    const mayLead = (_: GroupId, leader: NodeId): boolean => leader !== this.deposed
    this.#exchanges.set(
      node,
      new SnapshotExchange({ store, machine: () => machine, mayLead, sendFrame, submit, guard }),
    )
  }
}

describe('a snapshot on its way', () => {
  const MEBIBYTE = 1024 * 1024

  /** Frames carried in rounds: all that are under way arrive, then all that they were answered with. */
  function roundsOf(transfer: Transfer): number {
    let rounds = 0
    for (; transfer.underWay > 0; rounds++) transfer.carry(transfer.underWay)
    return rounds
  }

  test('is not taken from who cannot lead', () => {
    const transfer = new Transfer(new Map([[LEADER, shardWith(1)]]))
    transfer.deposed = LEADER
    transfer.send(LEADER)
    transfer.carry()
    expect(transfer.late.newest(GROUP)).toBeUndefined()
  })

  test('takes the place of nothing when it turns out to be none', () => {
    const transfer = new Transfer(new Map([[LEADER, shardWith(1, 2, 3)]]))
    transfer.send(LEADER)
    transfer.falsify((frame) => {
      frame[frame.length - 40] = (frame[frame.length - 40] ?? 0) ^ 1
    })
    expect(() => transfer.carry()).toThrow(expect.objectContaining({ code: 'DATA_DAMAGED' }))
    expect([transfer.late.newest(GROUP), transfer.installed]).toEqual([undefined, []])
    transfer.send(LEADER)
    transfer.carry()
    expect(transfer.restored().digest()).toBe(shardWith(1, 2, 3).digest())
  })

  test('takes a round trip for each window, not for each chunk', () => {
    const shard = shardWith(...Array.from({ length: 160 }, (_, at) => at + 1))
    const transfer = new Transfer(new Map([[LEADER, shard]]))
    transfer.send(LEADER)
    // 16 MB: the first chunk and its answer, then eight at a time; chunk by chunk it is 62 round trips.
    expect(roundsOf(transfer)).toBeLessThan(2 * 11)
    expect(transfer.restored().digest()).toBe(shard.digest())
  })

  test('is never more than the window ahead of what the peer has confirmed', () => {
    const shard = shardWith(...Array.from({ length: 80 }, (_, at) => at + 1))
    const transfer = new Transfer(new Map([[LEADER, shard]]))
    transfer.send(LEADER)
    while (transfer.underWay > 0) {
      transfer.carry(1)
      expect(transfer.underWayBytes).toBeLessThan(2 * MEBIBYTE + 256 * 1024)
    }
    expect(transfer.restored().digest()).toBe(shard.digest())
  })

  test('waits when the network takes no more, and goes on when what was taken has arrived', () => {
    const shard = shardWith(...Array.from({ length: 40 }, (_, at) => at + 1))
    const transfer = new Transfer(new Map([[LEADER, shard]]))
    transfer.mostUnderWay = 3
    transfer.send(LEADER)
    transfer.carry()
    expect(transfer.restored().digest()).toBe(shard.digest())
    // A network that takes nothing at all is no way.
    const other = new Transfer(new Map([[LEADER, shard]]))
    other.mostUnderWay = 0
    other.send(LEADER)
    expect(other.installed).toEqual([{ type: 'snapshot-sent', to: LATE, delivered: false }])
  })
})

describe('a snapshot whose transfer broke off', () => {
  test('goes on where it stopped when it is the same', () => {
    const shard = shardWith(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    const transfer = new Transfer(new Map([[LEADER, shard]]))
    transfer.send(LEADER)
    transfer.carry(12)
    transfer.disconnect(LEADER)
    transfer.send(LEADER)
    // The first chunk again, where to go on from, and the five that are left with their confirmations; from the
    // beginning it is 22 frames.
    transfer.carry(12)
    expect(transfer.installed.map(({ type }) => type)).toContain('install-snapshot')
    expect(transfer.restored().digest()).toBe(shard.digest())
  })

  test('begins anew when other payloads follow it by now', () => {
    const [before, after] = [shardWith(1, 2, 3, 4, 5), shardWith(2, 4, 5, 6, 7)]
    const transfer = new Transfer(new Map([[LEADER, before]]))
    transfer.send(LEADER)
    transfer.carry(1)
    transfer.disconnect(LEADER)
    transfer.join(LEADER, storeWith(after), after)
    transfer.send(LEADER)
    transfer.carry()
    expect(transfer.restored().digest()).toBe(after.digest())
  })

  test('begins anew when another node sends its own', () => {
    const [one, two] = [shardWith(1, 2, 3, 4, 5), shardWith(2, 4, 5, 6, 7)]
    const transfer = new Transfer(
      new Map([
        [LEADER, one],
        [OTHER, two],
      ]),
    )
    transfer.send(LEADER)
    transfer.carry(3)
    // It does not know yet that it leads no longer.
    transfer.send(OTHER, 3)
    transfer.carry()
    expect(transfer.restored().digest()).toBe(two.digest())
  })
})
