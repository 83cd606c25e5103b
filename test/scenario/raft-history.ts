/** A history holds what a cluster of Raft cores has promised so far, and fails at the first step that breaks a promise. */

import { assert, required } from '../../src/base/assert.ts'
import type { NodeId } from '../../src/base/identity.ts'
import type { LogIndex, Term } from '../../src/protocol/core.ts'
import type { Entry } from '../../src/protocol/raft/message.ts'
import type { RaftReady } from '../../src/protocol/raft/ready.ts'
import type { Machine, RaftCluster, Storage } from './raft-cluster.ts'

/**
 * The promises (Raft paper, figure 3): election safety, log matching, leader completeness, state machine safety;
 * besides them durability (what is committed is on the disks of a majority) and linearizable reads.
 */
export class RaftHistory {
  readonly #leaders = new Map<Term, NodeId>()
  /** What was committed at each index, by whomever first. */
  readonly #decided: (Entry | undefined)[] = [undefined]
  /** What was created at each position: an entry is made once and never altered. */
  readonly #created = new Map<string, Entry>()
  /** The highest committed index when each read was asked. */
  readonly #reads = new Map<number, LogIndex>()

  get committed(): LogIndex {
    return this.#decided.length - 1
  }

  asked(read: number): void {
    this.#reads.set(read, this.committed)
  }

  observe(machine: Machine, ready: RaftReady): void {
    for (const event of ready.events) {
      if (event.type === 'became' && event.role === 'leader') this.#elected(machine, event.term)
    }
    for (const write of ready.writes)
      if (write.type === 'entries') for (const entry of write.entries) this.#create(entry)
    for (const output of ready.outputs) {
      if (output.type === 'commit') this.#decide(machine, output.index)
      else if (output.type === 'readable') {
        assert(output.index >= (this.#reads.get(output.id) ?? 0), 'a read sees what was committed before it was asked')
      }
    }
  }

  /** What must hold between any two steps. */
  check(cluster: RaftCluster): void {
    const machines = [...cluster.machines.values()]
    const last = this.committed
    if (last === 0) return
    const decided = required(this.#decided[last], 'the last decided entry')
    const holders = machines.filter((machine) => holds(machine.disk, decided)).length
    assert(holders * 2 > machines.length, `entry ${last}, which is committed, is on the disks of a majority`)
    for (const { core } of machines) {
      if (core?.role !== 'leader' || core.term < decided.term) continue
      const term = core.first.index >= last ? decided.term : core.termAt(last)
      assert(term === decided.term, 'a leader has every entry committed before its term')
    }
  }

  #elected(machine: Machine, term: Term): void {
    const leader = this.#leaders.get(term)
    assert(leader === undefined || leader === machine.name, `term ${term} has one leader`)
    this.#leaders.set(term, machine.name)
  }

  #create(entry: Entry): void {
    const key = `${entry.index}.${entry.term}`
    const created = this.#created.get(key)
    assert(created === undefined || created.payload === entry.payload, `position ${key} has one entry`)
    this.#created.set(key, entry)
  }

  #decide(machine: Machine, index: LogIndex): void {
    for (let at = machine.memory.snapshot.index + 1; at <= index; at++) {
      const entry = required(machine.memory.entryAt(at), 'a committed entry')
      const decided = this.#decided[at]
      if (decided === undefined) this.#decided[at] = entry
      else assert(decided.term === entry.term && decided.payload === entry.payload, `index ${at} is decided once`)
    }
  }
}

function holds(storage: Storage, entry: Entry): boolean {
  return storage.snapshot.index >= entry.index || storage.termAt(entry.index) === entry.term
}
