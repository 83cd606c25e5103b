/** The nemesis draws faults, inflicts them, and takes each back after a while. */

import { assert } from '../../base/assert.ts'
import type { NodeId } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Coverage } from '../coverage.ts'
import { EXILE_FAULT, type FaultKind, PIECE_FAULT, type Scenario } from '../scenario.ts'
import type { Trace } from '../trace.ts'
import type { EventQueue } from '../world/event-queue.ts'
import { type PartitionKind, partition } from './partition.ts'

/** What can be done to a cluster. Doing what is done already changes nothing. */
export interface Victim {
  readonly nodes: readonly NodeId[]
  isRunning(node: NodeId): boolean
  /** A node that leads some group. */
  leader(): NodeId | undefined
  /** The power fails: what was not synced survives in part, or not at all. */
  crash(node: NodeId, torn?: 'readable' | 'unreadable'): void
  restart(node: NodeId): void
  pause(node: NodeId): void
  resume(node: NodeId): void
  stepClock(node: NodeId, by: Millis): void
  /** Adds to the duration of each sync. */
  slowDisk(node: NodeId, byMs: Millis): void
  /** The next sync fails, or the next write, unless the disk is mended before. */
  failDisk(node: NodeId): void
  /** There is room for so many bytes more, from now on. */
  fillDisk(node: NodeId, roomBytes: number): void
  /** It takes and reads everything again. */
  mendDisk(node: NodeId): void
  /** Damages one bit of each of these files; returns how many there are. */
  damage(node: NodeId, isChosen: (file: string) => boolean): number
  cut(from: NodeId, to: NodeId): void
  heal(from: NodeId, to: NodeId): void
  /** So many bytes pass from one node to another in a millisecond; undefined as many as there are. */
  slowLink(from: NodeId, to: NodeId, bytesPerMs: number | undefined): void
}

export interface NemesisPorts {
  readonly queue: EventQueue
  readonly random: SeededRandom
  readonly trace: Trace
  readonly coverage: Coverage
}

/** Where heartbeats alone are more than a link carries, what arrives is ever older, and keeps a leader in office that can do nothing. */
const LEAST_BYTES_PER_MS = 4

/** They have no moment, or happen to programs. */
const PASSIVE: ReadonlySet<FaultKind> = new Set(['network', 'direct-disk', 'kill', 'stall'])

interface Wound {
  readonly nodes: readonly NodeId[]
  heal(): void
}

const HOUR_MS: Millis = 3_600_000
/** Longer than leases last in most workloads. */
const SLEEP_MS: Millis = 10_000

export class Nemesis {
  readonly #victim: Victim
  readonly #scenario: Scenario
  readonly #ports: NemesisPorts
  readonly #wounds = new Set<Wound>()
  #isAtPeace = false
  /** How many faults were inflicted. */
  faults = 0

  constructor(victim: Victim, scenario: Scenario, ports: NemesisPorts) {
    this.#victim = victim
    this.#scenario = scenario
    this.#ports = ports
  }

  start(): void {
    const { queue, random } = this.#ports
    if (this.#kinds().length === 0) return
    queue.at(queue.now() - this.#scenario.faultEveryMs * Math.log(1 - random.next()), () => {
      if (this.#isAtPeace) return
      this.#inflict()
      this.start()
    })
  }

  /** No more faults; what concerns a node of the core is taken back at once, the rest stays as it is. */
  makePeace(core: readonly NodeId[]): void {
    this.#isAtPeace = true
    const wounds = [...this.#wounds]
    for (const wound of wounds) {
      if (wound.nodes.every((node) => core.includes(node))) this.#heal(wound)
    }
  }

  #kinds(): readonly FaultKind[] {
    return this.#scenario.faults.filter((kind) => !PASSIVE.has(kind))
  }

  #inflict(): void {
    const { random } = this.#ports
    const kinds = this.#kinds()
    const kind = kinds[random.below(kinds.length)]
    const node = this.#target()
    if (kind === undefined || node === undefined) return
    this.faults++
    if (kind === 'partition') this.#partition(this.#drawPartition())
    else if (kind === EXILE_FAULT) this.#partition('isolated-leader')
    else if (kind === PIECE_FAULT) this.#rot()
    else if (kind === 'power') this.#power(3000)
    else if (kind === 'brownout') this.#brownout(1 + random.below(5))
    else if (kind === 'slow-link') this.#slowLink(node)
    else if (kind === 'clocks') this.#stepClocks(this.#victim.nodes)
    else if (kind === 'clock') this.#stepClocks([node])
    else this.#hurt(kind, node)
  }

  /** Leaders are hit more often than their number says. */
  #target(): NodeId | undefined {
    const { random } = this.#ports
    const { nodes } = this.#victim
    const any = nodes[random.below(nodes.length)]
    return random.next() < 0.4 ? (this.#victim.leader() ?? any) : any
  }

  #hurt(kind: FaultKind, node: NodeId): void {
    const victim = this.#victim
    const { random } = this.#ports
    switch (kind) {
      case 'crash':
        victim.crash(node)
        this.#wound(kind, [node], { for: 10_000, heal: () => victim.restart(node) })
        break
      case 'pause':
        this.#pause(node)
        break
      case 'slow-disk':
        victim.slowDisk(node, random.next() * 2000)
        this.#wound(kind, [node], { for: 10_000, heal: () => victim.slowDisk(node, 0) })
        break
      case 'failing-disk':
        victim.failDisk(node)
        this.#mendLater(kind, node)
        break
      case 'full-disk':
        victim.fillDisk(node, random.below(2 * this.#scenario.segmentBytes))
        this.#mendLater(kind, node)
        break
      case 'torn-page':
        this.#tear(node)
        break
      default:
        assert(false, `${kind} is done to a node alone`)
    }
  }

  /** A disk that is slow for a moment is likely to be writing when the power fails. */
  #tear(node: NodeId): void {
    const victim = this.#victim
    const { queue, random } = this.#ports
    victim.slowDisk(node, 1000)
    queue.at(queue.now() + random.next() * 1000, () => {
      victim.slowDisk(node, 0)
      if (this.#isAtPeace) return
      victim.crash(node, 'unreadable')
      this.#wound('torn-page', [node], { for: 3000, heal: () => victim.restart(node) })
      this.#mendLater('torn-page', node)
    })
  }

  #mendLater(kind: FaultKind, node: NodeId): void {
    const victim = this.#victim
    const heal = (): void => {
      victim.mendDisk(node)
      victim.restart(node)
    }
    this.#wound(kind, [node], { for: 10_000, heal })
  }

  #pause(node: NodeId): void {
    const victim = this.#victim
    const { queue, coverage } = this.#ports
    const wakesAsLeader = node === victim.leader()
    const since = queue.now()
    const heal = (): void => {
      if (wakesAsLeader && queue.now() - since > SLEEP_MS) coverage.reached('leader-slept')
      victim.resume(node)
    }
    victim.pause(node)
    this.#wound('pause', [node], { for: 15_000, heal })
  }

  #stepClocks(nodes: readonly NodeId[]): void {
    const { random, trace } = this.#ports
    trace.record(`fault clock ${nodes.join(' ')}`)
    const by = (random.next() * 2 - 1) * (random.next() < 0.5 ? HOUR_MS : 1000)
    for (const node of nodes) this.#victim.stepClock(node, by)
  }

  #power(longestMs: Millis): void {
    const victim = this.#victim
    this.#ports.coverage.reached('all-nodes-down')
    for (const node of victim.nodes) {
      victim.crash(node)
      this.#wound('power', [node], { for: longestMs, heal: () => victim.restart(node) })
    }
  }

  /** Each time some nodes are on their way up again, or have just come up. */
  #brownout(times: number): void {
    const { queue, random } = this.#ports
    this.#power(200)
    if (times === 1) return
    queue.at(queue.now() + random.next() * 400, () => {
      if (!this.#isAtPeace) this.#brownout(times - 1)
    })
  }

  #slowLink(node: NodeId): void {
    const victim = this.#victim
    const { random } = this.#ports
    const others = victim.nodes.filter((other) => other !== node)
    const other = others[random.below(others.length)]
    if (other === undefined) return
    const [from, to] = random.next() < 0.5 ? [node, other] : [other, node]
    victim.slowLink(from, to, LEAST_BYTES_PER_MS + 30 * random.next())
    this.#wound('slow-link', [from, to], { for: 12_000, heal: () => victim.slowLink(from, to, undefined) })
  }

  /** Of what one node alone has damaged there is a whole copy. */
  #rot(): void {
    const victim = this.#victim
    const node = victim.nodes[this.#scenario.seed % victim.nodes.length]
    if (node === undefined || !victim.isRunning(node)) return
    this.#ports.trace.record(`fault rot ${node}`)
    victim.damage(node, (file) => file.startsWith('pieces-'))
  }

  #drawPartition(): PartitionKind {
    const { random } = this.#ports
    const { partitions } = this.#scenario
    const drawn = partitions[random.below(partitions.length)] ?? 'halves'
    return random.next() < 0.3 ? 'isolated-leader' : drawn
  }

  #partition(kind: PartitionKind): void {
    const victim = this.#victim
    const { random } = this.#ports
    const leader = victim.leader()
    if (kind === 'isolated-leader' && leader !== undefined) this.#ports.coverage.reached('minority-leader')
    for (const [from, to] of partition(kind, victim.nodes, leader, random)) {
      victim.cut(from, to)
      this.#wound(kind, [from, to], { for: 12_000, heal: () => victim.heal(from, to) })
    }
  }

  #wound(what: string, nodes: readonly NodeId[], after: { readonly for: Millis; readonly heal: () => void }): void {
    const { queue, random, trace } = this.#ports
    trace.record(`fault ${what} ${nodes.join(' ')}`)
    const wound = { nodes, heal: after.heal }
    this.#wounds.add(wound)
    queue.at(queue.now() + 100 + random.next() * after.for, () => {
      if (!this.#isAtPeace) this.#heal(wound)
    })
  }

  #heal(wound: Wound): void {
    if (!this.#wounds.delete(wound)) return
    this.#ports.trace.record(`healed ${wound.nodes.join(' ')}`)
    wound.heal()
  }
}
