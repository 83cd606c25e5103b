/** The program nemesis kills and stalls programs, and takes each back after a while. */

import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Programs } from '../program.ts'
import type { Scenario } from '../scenario.ts'
import type { EventQueue } from '../world/event-queue.ts'

/** Mean time between two faults. */
const EVERY_MS: Millis = 3000
const LONGEST_ABSENCE_MS: Millis = 4000
/** Longer than three times the shortest leases of the workloads. */
const LONGEST_STALL_MS: Millis = 12_000

export class ProgramNemesis {
  readonly #programs: Programs
  readonly #ports: { readonly queue: EventQueue; readonly random: SeededRandom }
  readonly #kinds: readonly ('kill' | 'stall')[]
  #isAtPeace = false
  /** How many faults were inflicted. */
  faults = 0

  constructor(
    programs: Programs,
    scenario: Scenario,
    ports: { readonly queue: EventQueue; readonly random: SeededRandom },
  ) {
    this.#programs = programs
    this.#ports = ports
    this.#kinds = scenario.faults.filter((kind) => kind === 'kill' || kind === 'stall')
  }

  start(): void {
    const { queue, random } = this.#ports
    if (this.#kinds.length === 0) return
    queue.at(queue.now() - EVERY_MS * Math.log(1 - random.next()), () => {
      if (this.#isAtPeace) return
      this.#inflict()
      this.start()
    })
  }

  /** No more faults; every program runs. */
  makePeace(): void {
    this.#isAtPeace = true
    for (const name of this.#programs.victims) {
      this.#programs.resume(name)
      this.#programs.restart(name)
    }
  }

  #inflict(): void {
    const { queue, random } = this.#ports
    const { victims } = this.#programs
    const kind = this.#kinds[random.below(this.#kinds.length)]
    const name = victims[random.below(victims.length)]
    if (kind === undefined || name === undefined) return
    this.faults++
    const isKill = kind === 'kill'
    if (isKill) this.#programs.kill(name)
    else this.#programs.stall(name)
    queue.at(queue.now() + 50 + random.next() * (isKill ? LONGEST_ABSENCE_MS : LONGEST_STALL_MS), () => {
      if (isKill) this.#programs.restart(name)
      else this.#programs.resume(name)
    })
  }
}
