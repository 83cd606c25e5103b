/** A cluster of Raft cores in one process: messages, disks and time move only when told to. */

import { assert, required } from '../../src/base/assert.ts'
import type { NodeId } from '../../src/base/identity.ts'
import { SeededRandom } from '../../src/base/random.ts'
import type { LogIndex, LogPosition, Term, Written } from '../../src/protocol/core.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMING, type RaftLimits } from '../../src/protocol/raft/config.ts'
import type {
  Configuration,
  Entry,
  RaftMessage,
  RaftOutput,
  RaftRequest,
  RaftWrite,
} from '../../src/protocol/raft/message.ts'
import { Raft } from '../../src/protocol/raft/raft.ts'
import type { RaftReady } from '../../src/protocol/raft/ready.ts'

/** A snapshot under way, as the host would send it outside Raft. */
export interface SnapshotTransfer {
  readonly type: 'snapshot'
  readonly term: Term
  readonly position: LogPosition
}

export interface Envelope {
  readonly from: string
  readonly to: string
  readonly message: RaftMessage | SnapshotTransfer
}

/** What a host keeps for one replica: the part that survives a crash, or the part that does not. */
export class Storage {
  term: Term = 0
  vote: NodeId | undefined
  snapshot: LogPosition = { index: 0, term: 0 }
  entries: Entry[] = []

  apply(write: RaftWrite): void {
    switch (write.type) {
      case 'hard-state':
        this.term = write.term
        this.vote = write.vote
        break
      case 'entries': {
        const first = required(write.entries[0], 'the first entry of a write').index
        assert(first <= this.last.index + 1, 'writes leave no gap')
        const later = write.entries.filter((entry) => entry.index > this.snapshot.index)
        this.entries = this.entries.filter((entry) => entry.index < first).concat(later)
        break
      }
      case 'snapshot':
        this.snapshot = write.position
        this.entries = []
        break
    }
  }

  get last(): LogPosition {
    return this.entries.at(-1) ?? this.snapshot
  }

  entryAt(index: LogIndex): Entry | undefined {
    return this.entries[index - this.snapshot.index - 1]
  }

  termAt(index: LogIndex): Term | undefined {
    return index === this.snapshot.index ? this.snapshot.term : this.entryAt(index)?.term
  }

  compact(position: LogPosition): void {
    this.entries = this.entries.filter((entry) => entry.index > position.index)
    this.snapshot = position
  }

  copy(): Storage {
    const copy = new Storage()
    Object.assign(copy, this)
    copy.entries = [...this.entries]
    return copy
  }
}

interface Batch {
  readonly ready: RaftReady
  readonly written: Written
}

export interface Machine {
  readonly name: NodeId
  core: Raft | undefined
  /** The log as the host reads it, which may be ahead of the disk. */
  memory: Storage
  disk: Storage
  unsynced: Batch[]
  outputs: RaftOutput[]
}

export interface ClusterOptions {
  readonly voters: readonly string[]
  readonly learners?: readonly string[]
  readonly seed?: number
  readonly limits?: Partial<RaftLimits>
  /** Called for every output and event-free turn, for checkers. */
  readonly onReady?: (machine: Machine, ready: RaftReady) => void
}

export class RaftCluster {
  now = 0
  readonly machines: ReadonlyMap<string, Machine>
  /** Messages under way, oldest first. */
  network: Envelope[] = []
  /** Machines whose disk is told by hand when to sync. */
  readonly slowDisks: Set<string> = new Set()
  /** Nodes do not hear each other's heartbeats: a leader is trusted for what it says in the group only. */
  deaf = false
  readonly #options: ClusterOptions
  readonly #configuration: Configuration
  readonly #random: SeededRandom
  /** Directed links that are cut, `a>b`, and since when. */
  readonly #cut = new Map<string, number>()
  /** When a machine that is down was last up. */
  readonly #downSince = new Map<string, number>()

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed ?? 1)
    const learners = options.learners ?? []
    this.#configuration = { incoming: options.voters as NodeId[], outgoing: [], learners: learners as NodeId[] }
    const machines = [...options.voters, ...learners].map((name): Machine => {
      const storage = { memory: new Storage(), disk: new Storage() }
      return { name: name as NodeId, core: undefined, ...storage, unsynced: [], outputs: [] }
    })
    this.machines = new Map(machines.map((machine) => [machine.name, machine]))
    for (const machine of machines) this.#start(machine)
  }

  get names(): readonly string[] {
    return [...this.machines.keys()]
  }

  machine(name: string): Machine {
    return required(this.machines.get(name), `machine ${name}`)
  }

  core(name: string): Raft {
    return required(this.machine(name).core, `the running core of ${name}`)
  }

  get leaders(): readonly string[] {
    return this.names.filter((name) => this.machine(name).core?.role === 'leader')
  }

  submit(name: string, request: RaftRequest): void {
    this.submitLater(name, request)
    this.flush(name)
  }

  /** As part of a turn that goes on until `flush`. */
  submitLater(name: string, request: RaftRequest): void {
    this.machine(name).core?.submit(request, this.now)
  }

  flush(name: string): void {
    this.#turn(this.machine(name))
  }

  /** Delivers the message at this place in the network; a copy stays when `keep` is set. */
  deliver(at: number, keep = false): void {
    const envelope = required(this.network[at], 'a message under way')
    if (!keep) this.network.splice(at, 1)
    const machine = this.machine(envelope.to)
    const { message } = envelope
    const from = envelope.from as NodeId
    if (message.type === 'snapshot') this.#install(machine, from, message)
    else machine.core?.receive(from, message, this.now)
    this.#turn(machine)
  }

  drop(at: number): void {
    const [envelope] = this.network.splice(at, 1)
    if (envelope?.message.type === 'snapshot') this.#reportSnapshot(envelope.from, envelope.to, false)
  }

  /** One write of the disk: everything that waits becomes durable together, or only the oldest batches. */
  persist(name: string, batches = Infinity): void {
    const machine = this.machine(name)
    for (const batch of machine.unsynced.splice(0, batches)) {
      for (const write of batch.ready.writes) machine.disk.apply(write)
      for (const { to, message } of batch.ready.messagesAfterPersist) this.#send(machine.name, to, message)
      if (batch.ready.writes.length > 0) machine.core?.persisted(batch.written)
    }
    this.#turn(machine)
  }

  wake(name: string): void {
    const machine = this.machine(name)
    machine.core?.wake(this.now)
    this.#turn(machine)
  }

  /** The next deadline of any core. */
  get wakeAt(): number {
    return Math.min(...[...this.machines.values()].map((machine) => machine.core?.wakeAt ?? Infinity))
  }

  /** Moves time, waking whoever is due; `settle` runs after every wake. */
  advance(millis: number, settle: () => void): void {
    const end = this.now + millis
    settle()
    while (this.wakeAt <= end) {
      this.now = Math.max(this.now, this.wakeAt)
      for (const machine of this.machines.values()) {
        if ((machine.core?.wakeAt ?? Infinity) <= this.now) this.wake(machine.name)
      }
      settle()
    }
    this.now = end
  }

  /** Power off: what was not synced is gone. */
  crash(name: string): void {
    const machine = this.machine(name)
    machine.core = undefined
    machine.unsynced = []
    machine.memory = machine.disk.copy()
    this.#downSince.set(name, this.now)
  }

  restart(name: string): void {
    this.#downSince.delete(name)
    this.#start(this.machine(name))
  }

  /** From now on nothing passes from `from` to `to`; nobody is told. */
  cut(from: string, to: string): void {
    if (!this.#cut.has(`${from}>${to}`)) this.#cut.set(`${from}>${to}`, this.now)
  }

  heal(): void {
    this.#cut.clear()
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`)
  }

  /** The snapshot is durable, and the log before it forgotten. */
  compact(name: string, index: LogIndex): void {
    const machine = this.machine(name)
    const position = { index, term: required(machine.memory.termAt(index), 'the term of a compacted entry') }
    machine.memory.compact(position)
    if (machine.disk.termAt(index) === position.term) machine.disk.compact(position)
    this.submit(name, { type: 'compact', upTo: position })
  }

  #start(machine: Machine): void {
    const { name, disk } = machine
    machine.memory = disk.copy()
    machine.core = new Raft({
      self: name,
      configuration: this.#configuration,
      term: disk.term,
      vote: disk.vote,
      snapshot: disk.snapshot,
      log: disk.entries.map((entry) => ({ term: entry.term, size: entry.payload.length })),
      timing: DEFAULT_TIMING,
      limits: { ...DEFAULT_LIMITS, ...this.#options.limits },
      random: this.#random.fork(),
      liveness: { lastHeard: (node) => this.#lastHeard(name, node) },
      now: this.now,
    })
  }

  /** Node heartbeats are perfect here: a node is heard for as long as it is up and its link stands. */
  #lastHeard(at: string, node: string): number {
    if (this.deaf) return -Infinity
    const down = Math.min(this.#downSince.get(node) ?? Infinity, this.#cut.get(`${node}>${at}`) ?? Infinity)
    return Math.min(this.now, down)
  }

  #turn(machine: Machine): void {
    const { core } = machine
    for (let ready = core?.takeReady(); core !== undefined && ready !== undefined; ready = core.takeReady()) {
      core.check()
      for (const { to, message } of ready.messages) this.#send(machine.name, to, message)
      for (const write of ready.writes) machine.memory.apply(write)
      for (const output of ready.outputs) this.#fulfil(machine, output)
      this.#options.onReady?.(machine, ready)
      machine.unsynced.push({ ready, written: core.written })
      if (!this.slowDisks.has(machine.name)) this.persist(machine.name)
    }
  }

  #fulfil(machine: Machine, output: RaftOutput): void {
    if (output.type === 'send-entries') {
      const { to, term, previous, from, until, commit } = output
      const entries: Entry[] = []
      for (let index = from; index < until; index++) {
        entries.push(required(machine.memory.entryAt(index), 'an entry to send'))
      }
      this.#send(machine.name, to, { type: 'append', term, previous, entries, commit })
    } else if (output.type === 'send-snapshot') {
      this.#send(machine.name, output.to, { type: 'snapshot', term: output.term, position: machine.memory.snapshot })
    } else {
      machine.outputs.push(output)
    }
  }

  #install(machine: Machine, from: NodeId, { term, position }: SnapshotTransfer): void {
    const configuration = this.#configuration
    machine.core?.submit({ type: 'install-snapshot', from, term, position, chain: 0, configuration }, this.now)
    this.#reportSnapshot(from, machine.name, machine.core !== undefined)
  }

  #reportSnapshot(from: string, to: string, delivered: boolean): void {
    this.submit(from, { type: 'snapshot-sent', to: this.machine(to).name, delivered })
  }

  #send(from: string, to: string, message: Envelope['message']): void {
    if (message.type === 'vote-reply' && message.granted) {
      const { term, vote } = this.machine(from).disk
      assert(term > message.term || vote === to, 'a vote that is told is on disk')
    }
    if (!this.isCut(from, to)) this.network.push({ from, to, message })
    else if (message.type === 'snapshot') this.#reportSnapshot(from, to, false)
  }
}
