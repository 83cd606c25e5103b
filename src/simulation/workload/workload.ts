/** A workload is what programs do to a simulated cluster, and how to judge from what they saw whether it kept its promises. */

import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import type { Election } from '../check/ledger.ts'
import type { Coverage } from '../coverage.ts'
import type { Program } from '../program.ts'
import type { FaultKind, Scenario } from '../scenario.ts'

export interface Workload {
  readonly programs: readonly Program[]
  /** Nobody does what a program leaves undone whose node is broken: then none stays so. */
  readonly needsAll?: boolean
  /** Whether all work that was begun is done; asked after the faults, when programs begin nothing new. */
  isDone(): boolean
  /** Every promise that was broken, as a sentence. */
  judge(): readonly string[]
  /** All that was noted, each as one line of JSON. */
  readonly history: readonly object[]
}

/** How far one leader's time may lie behind the next one's: a follower learns it from an entry that was proposed, acknowledged and then said to be committed. */
export function lagOf({ network, faults }: Scenario): Millis {
  return faults.includes('slow-link') ? Number.POSITIVE_INFINITY : 4 * (network.delayMs[1] + network.tailMs)
}

/** After these a node believes its calendar. */
const RESTARTS: readonly FaultKind[] = ['crash', 'power', 'brownout', 'torn-page', 'failing-disk', 'full-disk']

/** Leader time may jump, or clocks go too fast or too slowly: delays and lifetimes mean nothing. */
export function clocksLie({ faults }: Scenario): boolean {
  return faults.includes('clock') || (faults.includes('clocks') && RESTARTS.some((fault) => faults.includes(fault)))
}

export interface WorkloadPorts {
  readonly scenario: Scenario
  readonly random: SeededRandom
  readonly coverage: Coverage
  /** All until now. */
  readonly elections: readonly Election[]
}
