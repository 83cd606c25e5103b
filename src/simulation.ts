/** The simulation: a whole cluster in one process on virtual time, with faults drawn from a seed. */

export type {
  Application,
  ApplicationContext,
  ApplicationOptions,
  ApplicationResult,
} from './simulation/application.ts'
export { simulateApplication } from './simulation/application.ts'
export type { History, Nanos, Operation, RegisterCall, RegisterReply } from './simulation/check/history.ts'
export type { CheckOptions, Stuck, Verdict } from './simulation/check/linearizability.ts'
export { checkLinearizable } from './simulation/check/linearizability.ts'
export type { RareState } from './simulation/coverage.ts'
export { STATES } from './simulation/coverage.ts'
export type { PartitionKind } from './simulation/fault/partition.ts'
export { PARTITIONS } from './simulation/fault/partition.ts'
export type { FaultKind, Scenario, ScenarioChoice } from './simulation/scenario.ts'
export { FAULTS, PROGRAM_FAULTS } from './simulation/scenario.ts'
export type { SimulationOptions, SimulationResult } from './simulation/simulate.ts'
export { simulate } from './simulation/simulate.ts'
export type { WorkloadName, WorkloadOptions, WorkloadResult } from './simulation/simulate-workload.ts'
export { simulateWorkload, WORKLOADS } from './simulation/simulate-workload.ts'
export type { WorkloadShape } from './simulation/workload/register.ts'
export type { LinkQuality } from './simulation/world/link.ts'
