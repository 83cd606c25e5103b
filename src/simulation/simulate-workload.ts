/** A workload is simulated by running its programs on a cluster under faults, and judging what they saw. */

import type { NodeId } from '../base/identity.ts'
import { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { describeFailure, Violation } from './check/ledger.ts'
import { SimulatedCluster } from './cluster.ts'
import type { RareState } from './coverage.ts'
import { Nemesis } from './fault/nemesis.ts'
import { ProgramNemesis } from './fault/program-nemesis.ts'
import { Programs } from './program.ts'
import {
  drawScenario,
  EXILE_FAULT,
  type FaultKind,
  PIECE_FAULT,
  PROGRAM_FAULTS,
  QUIET,
  type Scenario,
  type ScenarioChoice,
} from './scenario.ts'
import { deletionWorkload } from './workload/deletion.ts'
import { drainWorkload } from './workload/drain.ts'
import { lifetimeWorkload } from './workload/lifetime.ts'
import { lockWorkload } from './workload/lock.ts'
import { queueWorkload } from './workload/queue.ts'
import { scheduleWorkload } from './workload/schedule.ts'
import { shareWorkload } from './workload/share.ts'
import { topicWorkload } from './workload/topic.ts'
import { transactionWorkload } from './workload/transaction.ts'
import { watchWorkload } from './workload/watch.ts'
import type { Workload, WorkloadPorts } from './workload/workload.ts'

/** The workloads besides the registers of `simulate`. */
export const WORKLOADS = [
  'queue',
  'lifetime',
  'topic',
  'lock',
  'share',
  'schedule',
  'transaction',
  'deletion',
  'watch',
  'drain',
] as const
/** A workload, by its name. */
export type WorkloadName = (typeof WORKLOADS)[number]

const MAKERS: Readonly<Record<WorkloadName, (ports: WorkloadPorts) => Workload>> = {
  queue: queueWorkload,
  lifetime: lifetimeWorkload,
  topic: topicWorkload,
  lock: lockWorkload,
  share: shareWorkload,
  schedule: scheduleWorkload,
  transaction: transactionWorkload,
  deletion: deletionWorkload,
  watch: watchWorkload,
  drain: drainWorkload,
}

/** The workload and the seed of a run, what is chosen rather than drawn from it, and who hears of it. */
export interface WorkloadOptions extends ScenarioChoice {
  readonly workload: WorkloadName
  /** Decides everything that is not chosen here. */
  readonly seed: number
  /** Gets a line for each thing that happens. */
  readonly print?: (line: string) => void
}

/** Whether every promise was kept, and what repeats the run. */
export interface WorkloadResult {
  /** No promise was broken. */
  readonly ok: boolean
  /** The first promises that were broken; undefined when none was. */
  readonly failure: string | undefined
  readonly scenario: Scenario
  /** Equal for equal seeds and code. */
  readonly traceHash: string
  readonly virtualMs: Millis
  readonly events: number
  readonly faults: number
  /** What programs did and saw. */
  readonly history: readonly object[]
  readonly coverage: Record<RareState, number>
}

/** Before the first fault. */
const CALM_MS: Millis = 2000
/** After the faults, a majority whose nodes and links are whole finishes all work within this. */
const LIVENESS_MS: Millis = 90_000
/** Programs that have nothing more to do return within this. */
const RETURN_MS: Millis = 30_000
const MOST_TOLD = 3

/**
 * Safety: programs work while faults happen to nodes and to themselves; the invariants of `simulate` are checked after
 * every event. Liveness: one node may stay broken, all else is healed, and what was begun must end. At last the
 * workload judges what its programs saw.
 *
 * @example
 * const { ok, failure } = await simulateWorkload({ workload: 'lock', seed: 7, faults: ['stall', 'partition'] })
 */
export async function simulateWorkload(options: WorkloadOptions): Promise<WorkloadResult> {
  const random = new SeededRandom(options.seed)
  const scenario = adapt(drawScenario(options.seed, options, random.fork()), options, random.fork())
  const cluster = new SimulatedCluster(scenario, options.print)
  const { queue, coverage, trace, elections } = cluster
  const workload = MAKERS[options.workload]({ scenario, coverage, elections, random: random.fork() })
  const programs = new Programs(cluster, workload.programs)
  const nemesis = new Nemesis(cluster, scenario, { queue, trace, coverage, random: random.fork() })
  const programNemesis = new ProgramNemesis(programs, scenario, { queue, random: random.fork() })
  try {
    cluster.start()
    programs.start()
    queue.at(CALM_MS, () => {
      nemesis.start()
      programNemesis.start()
    })
    await cluster.run(CALM_MS + scenario.virtualSeconds * 1000)
    nemesis.makePeace(coreOf(cluster, random, workload))
    programNemesis.makePeace()
    cluster.network.quality = QUIET
    await finish(cluster, programs, workload)
  } finally {
    cluster.close()
  }
  if (cluster.failure === undefined) judge(cluster, workload)
  return {
    ok: cluster.failure === undefined,
    failure: describeFailure(cluster.failure),
    scenario,
    traceHash: trace.hash,
    virtualMs: queue.now(),
    events: queue.steps,
    faults: nemesis.faults + programNemesis.faults,
    history: workload.history,
    coverage: coverage.counts(),
  }
}

/**
 * Most seeds have faults of programs, too. Frames keep their order and come once, as on any connection: that Raft bears
 * more is shown by `simulate`, but what nodes forward for applications need not.
 */
function adapt(drawn: Scenario, { faults, virtualSeconds, workload }: WorkloadOptions, random: SeededRandom): Scenario {
  const more: FaultKind[] = PROGRAM_FAULTS.filter(() => random.next() < 0.5)
  const isQuiet = drawn.faults.length === 0 && random.next() < 0.5
  if (workload === 'queue' && drawn.nodes > 2 && random.next() < 0.4) more.push(PIECE_FAULT)
  if ((workload === 'lock' || workload === 'share') && random.next() < 0.4) more.push(EXILE_FAULT)
  return {
    ...drawn,
    faults: faults ?? (isQuiet ? [] : [...drawn.faults, ...more]),
    virtualSeconds: virtualSeconds ?? Math.ceil(drawn.virtualSeconds / 2),
    network: { ...drawn.network, mode: 'stream' },
  }
}

/**
 * All nodes but one, which is left as the nemesis left it; all where there is no spare one, and where each may have
 * what no other has, or a program beside it.
 */
function coreOf({ nodes, scenario }: SimulatedCluster, random: SeededRandom, workload: Workload): readonly NodeId[] {
  const needsAll = nodes.length < 3 || workload.needsAll === true || scenario.faults.includes(PIECE_FAULT)
  const spare = needsAll ? undefined : nodes[random.below(nodes.length * 2)]
  return nodes.filter((node) => node !== spare)
}

async function finish(cluster: SimulatedCluster, programs: Programs, workload: Workload): Promise<void> {
  const { queue } = cluster
  programs.close()
  await cluster.run(queue.now() + LIVENESS_MS, () => workload.isDone())
  if (cluster.failure === undefined && !workload.isDone()) {
    const broken = [`work was left ${LIVENESS_MS / 1000} s after the last fault`, ...workload.judge()]
    cluster.failure = new Violation(tell(broken))
  }
  programs.end()
  await cluster.run(queue.now() + RETURN_MS, () => programs.running.length === 0)
  const { running } = programs
  if (running.length > 0) cluster.failure ??= new Violation(`${running.join(', ')} did not return`)
  // What is committed reaches everybody who can be reached.
  await cluster.run(queue.now() + 5000)
  cluster.checkDigests()
}

function judge(cluster: SimulatedCluster, workload: Workload): void {
  const broken = workload.judge()
  if (broken.length > 0) cluster.failure = new Violation(tell(broken))
}

function tell(broken: readonly string[]): string {
  const more = broken.length - MOST_TOLD
  return [...broken.slice(0, MOST_TOLD), ...(more > 0 ? [`and ${more} more`] : [])].join('; ')
}
