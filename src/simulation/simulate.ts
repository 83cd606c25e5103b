/** A simulation runs a cluster, clients and faults from one seed, and tells whether every promise was kept. */

import type { NodeId } from '../base/identity.ts'
import { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { History } from './check/history.ts'
import { describeFailure } from './check/ledger.ts'
import { checkLinearizable, type Verdict } from './check/linearizability.ts'
import { SimulatedCluster } from './cluster.ts'
import type { RareState } from './coverage.ts'
import { Nemesis } from './fault/nemesis.ts'
import { drawScenario, QUIET, type Scenario, type ScenarioChoice } from './scenario.ts'
import { Client, keysOf } from './workload/register.ts'
import { Computer } from './world/computer.ts'

/** The seed of a run, what is chosen rather than drawn from it, and who hears of it. */
export interface SimulationOptions extends ScenarioChoice {
  /** Decides everything that is not chosen here. */
  readonly seed: number
  /** Gets a line for each thing that happens. */
  readonly print?: (line: string) => void
}

/** Whether every promise was kept, and what repeats the run. */
export interface SimulationResult {
  /** No promise was broken. */
  readonly ok: boolean
  /** What was broken, in a sentence; undefined when nothing was. */
  readonly failure: string | undefined
  readonly scenario: Scenario
  /** Equal for equal seeds and code. */
  readonly traceHash: string
  readonly virtualMs: Millis
  readonly events: number
  readonly faults: number
  readonly history: History
  readonly coverage: Record<RareState, number>
}

/** After the faults, a majority whose nodes and links are whole finishes all work within this. */
const LIVENESS_MS: Millis = 60_000
/** More than there are clients. */
const NUMBERS_APART = 1000
/** Before the first fault. */
const CALM_MS: Millis = 2000

/**
 * Safety: clients work on a few keys while faults happen; invariants are checked after every event. Liveness: one node
 * may stay broken, the others are healed; everything that was under way must end, and every key must be readable.
 * At last the history is checked for linearizability.
 *
 * @example
 * const { ok, failure } = await simulate({ seed: 7, nodes: 3, faults: ['crash', 'partition'] })
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const random = new SeededRandom(options.seed)
  const scenario = drawScenario(options.seed, options, random.fork())
  const cluster = new SimulatedCluster(scenario, options.print)
  const run = new Run(cluster, random)
  try {
    await run.safetyPhase()
    await run.livenessPhase()
  } finally {
    cluster.close()
  }
  return run.result()
}

class Run {
  readonly #cluster: SimulatedCluster
  readonly #random: SeededRandom
  readonly #history = new History()
  readonly #nemesis: Nemesis
  readonly #clients: Client[]

  constructor(cluster: SimulatedCluster, random: SeededRandom) {
    this.#cluster = cluster
    this.#random = random
    const { scenario, queue, trace, coverage } = cluster
    this.#nemesis = new Nemesis(cluster, scenario, { queue, trace, coverage, random: random.fork() })
    this.#clients = Array.from({ length: scenario.clients }, (_, at) => this.#connect(at)).flat()
  }

  async safetyPhase(): Promise<void> {
    const { queue, scenario } = this.#cluster
    this.#cluster.start()
    for (const client of this.#clients) client.start()
    queue.at(CALM_MS, () => this.#nemesis.start())
    await this.#cluster.run(CALM_MS + scenario.virtualSeconds * 1000)
  }

  async livenessPhase(): Promise<void> {
    const cluster = this.#cluster
    const { queue } = cluster
    this.#nemesis.makePeace(this.#core())
    cluster.network.quality = QUIET
    for (const client of this.#clients) client.isStopped = true
    await cluster.run(queue.now() + LIVENESS_MS, () => this.#clients.every(({ pending }) => pending === 0))
    this.#require(
      this.#clients.every(({ pending }) => pending === 0),
      'an operation never ended',
    )
    await this.#readAll()
    // What is committed reaches everybody who can be reached.
    await cluster.run(queue.now() + 5000)
    cluster.checkDigests()
  }

  result(): SimulationResult {
    const { scenario, trace, queue, coverage } = this.#cluster
    this.#judge(checkLinearizable(this.#history.operations))
    const { failure } = this.#cluster
    return {
      ok: failure === undefined,
      failure: describeFailure(failure),
      scenario,
      traceHash: trace.hash,
      virtualMs: queue.now(),
      events: queue.steps,
      faults: this.#nemesis.faults,
      history: this.#history,
      coverage: coverage.counts(),
    }
  }

  /** All nodes but one, which is left as the nemesis left it; in a cluster without a spare node, all. */
  #core(): readonly NodeId[] {
    const { nodes } = this.#cluster
    const spare = nodes.length < 3 ? undefined : nodes[this.#random.below(nodes.length * 2)]
    return nodes.filter((node) => node !== spare)
  }

  /** A new client reads every key: acknowledged writes are there, which the checker will insist on. */
  async #readAll(): Promise<void> {
    const cluster = this.#cluster
    const [reader] = this.#connect(2 * cluster.scenario.clients)
    if (reader === undefined) return
    const keys = keysOf(cluster.scenario.workload)
    const unread = new Set(keys)
    const read = async (key: string): Promise<void> => {
      while (!(await reader.read(key)));
      unread.delete(key)
    }
    for (const key of keys) void read(key)
    await cluster.run(cluster.queue.now() + LIVENESS_MS, () => unread.size === 0)
    this.#require(
      unread.size === 0,
      `${[...unread].join(', ')} can't be read ${LIVENESS_MS / 1000} s after the last fault`,
    )
  }

  /** Half of the clients are embedded beside one node and see the cluster through it alone, the others talk to each leader. */
  #connect(at: number): Client[] {
    const cluster = this.#cluster
    const { queue, coverage, scenario } = cluster
    const computer = new Computer(queue, `client-${at}`)
    const beside = at % 2 === 1 ? cluster.nodes[at % cluster.nodes.length] : undefined
    const driver = cluster.connect(computer, beside === undefined ? cluster.nodes : [beside])
    const { concurrency } = scenario
    return Array.from({ length: concurrency }, (_, lane) => {
      const random = this.#random.fork()
      const ports = { computer, driver, random, coverage, history: this.#history, trueNow: () => queue.now() }
      const readsOnly = beside !== undefined && (at + lane) % 4 < 2
      const role = { first: at * concurrency + lane, step: NUMBERS_APART, readsOnly }
      return new Client(scenario.workload, role, ports)
    })
  }

  #judge(verdict: Verdict): void {
    if (verdict.verdict === 'gave-up') this.#require(false, `the checker gave up on ${verdict.key}`)
    if (verdict.verdict !== 'not-linearizable') return
    const { key, stuck } = verdict
    const told = { explained: stuck.explained, state: stuck.state, candidates: stuck.candidates }
    this.#require(false, `the history of ${key} is not linearizable: ${JSON.stringify(told, shorten)}`)
  }

  #require(condition: boolean, promise: string): void {
    if (!condition) this.#cluster.failure ??= promise
  }
}

/** Values are padded, and nobody needs to see with what. */
function shorten(_: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/x+$/, '') : value
}
