/** A workload is what programs do to a simulated cluster, and how to judge from what they saw whether it kept its promises. */

import type { SeededRandom } from '../base/random.ts'
import type { Coverage } from './coverage.ts'
import type { Program } from './program.ts'
import type { Scenario } from './scenario.ts'

export interface Workload {
  readonly programs: readonly Program[]
  /** Whether all work that was begun is done; asked after the faults, when programs begin nothing new. */
  isDone(): boolean
  /** Every promise that was broken, as a sentence. */
  judge(): readonly string[]
  /** All that was noted, each as one line of JSON. */
  readonly history: readonly object[]
}

export interface WorkloadPorts {
  readonly scenario: Scenario
  readonly random: SeededRandom
  readonly coverage: Coverage
}
