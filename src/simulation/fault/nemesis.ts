/** The nemesis draws faults, inflicts them, and takes each back after a while. */

import type { NodeId } from '../../base/identity.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Coverage } from '../coverage.ts'
import { type FaultKind, PIECE_FAULT, type Scenario } from '../scenario.ts'
import type { Trace } from '../trace.ts'
import type { EventQueue } from '../world/event-queue.ts'
import { partition } from './partition.ts'

/** What can be done to a cluster. Doing what is done already changes nothing. */
export interface Victim {
  readonly nodes: readonly NodeId[]
  isRunning(node: NodeId): boolean
  /** A node that leads some group. */
  leader(): NodeId | undefined
  /** The power fails: what was not synced survives in part, or not at all. */
  crash(node: NodeId): void
  restart(node: NodeId): void
  pause(node: NodeId): void
  resume(node: NodeId): void
  stepClock(node: NodeId, by: Millis): void
  /** Adds to the duration of each sync. */
  slowDisk(node: NodeId, byMs: Millis): void
  /** The next sync fails, or the next write, unless the disk is mended before. */
  failDisk(node: NodeId): void
  mendDisk(node: NodeId): void
  /** Damages one bit of each of these files; returns how many there are. */
  damage(node: NodeId, isChosen: (file: string) => boolean): number
  cut(from: NodeId, to: NodeId): void
  heal(from: NodeId, to: NodeId): void
}

export interface NemesisPorts {
  readonly queue: EventQueue
  readonly random: SeededRandom
  readonly trace: Trace
  readonly coverage: Coverage
}

interface Wound {
  readonly nodes: readonly NodeId[]
  heal(): void
}

const HOUR_MS: Millis = 3_600_000

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
    return this.#scenario.faults.filter((kind) => kind !== 'network' && kind !== 'kill' && kind !== 'stall')
  }

  #inflict(): void {
    const { random } = this.#ports
    const kinds = this.#kinds()
    const kind = kinds[random.below(kinds.length)]
    const node = this.#target()
    if (kind === undefined || node === undefined) return
    this.faults++
    if (kind === 'partition') this.#partition()
    else if (kind === PIECE_FAULT) this.#rot()
    else if (kind === 'power') this.#power()
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
        victim.pause(node)
        this.#wound(kind, [node], { for: 15_000, heal: () => victim.resume(node) })
        break
      case 'slow-disk':
        victim.slowDisk(node, random.next() * 2000)
        this.#wound(kind, [node], { for: 10_000, heal: () => victim.slowDisk(node, 0) })
        break
      case 'failing-disk':
        victim.failDisk(node)
        this.#wound(kind, [node], {
          for: 10_000,
          heal() {
            victim.mendDisk(node)
            victim.restart(node)
          },
        })
        break
      default:
        this.#ports.trace.record(`fault clock ${node}`)
        victim.stepClock(node, (random.next() * 2 - 1) * (random.next() < 0.5 ? HOUR_MS : 1000))
    }
  }

  #power(): void {
    const victim = this.#victim
    this.#ports.coverage.reached('all-nodes-down')
    for (const node of victim.nodes) {
      victim.crash(node)
      this.#wound('power', [node], { for: 3000, heal: () => victim.restart(node) })
    }
  }

  /** Of what one node alone has damaged there is a whole copy. */
  #rot(): void {
    const victim = this.#victim
    const node = victim.nodes[this.#scenario.seed % victim.nodes.length]
    if (node === undefined || !victim.isRunning(node)) return
    this.#ports.trace.record(`fault rot ${node}`)
    victim.damage(node, (file) => file.startsWith('pieces-'))
  }

  #partition(): void {
    const victim = this.#victim
    const { random } = this.#ports
    const { partitions } = this.#scenario
    const drawn = partitions[random.below(partitions.length)] ?? 'halves'
    const kind = random.next() < 0.3 ? 'isolated-leader' : drawn
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
