/** A simulated application is the user's own code beside each node of a simulated cluster, in virtual time and under faults. */

import type { NodeId } from '../base/identity.ts'
import { type Random, SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { createTroupe, type Troupe } from '../runtime/troupe.ts'
import { describeFailure } from './check/ledger.ts'
import { SimulatedCluster } from './cluster.ts'
import { Nemesis } from './fault/nemesis.ts'
import { drawScenario, QUIET, type Scenario, type ScenarioChoice } from './scenario.ts'
import { Computer } from './world/computer.ts'

/** What an application is told about where it runs. */
export interface ApplicationContext {
  readonly node: string
  /** 1 for the first start of the application beside this node; a crash of the node ends it without a word. */
  readonly start: number
  readonly random: Random
  /** Aborts when the faults are over: finish and return within a virtual minute. */
  readonly signal: AbortSignal
  /** Virtual milliseconds. */
  now(): Millis
  readonly sleep: (duration: Millis) => Promise<void>
}

/** Runs beside every node. Rejecting, or contradicting what another one saw, is up to you. */
export type Application = (troupe: Troupe, context: ApplicationContext) => Promise<void>

/** The seed of a run, what is chosen rather than drawn from it, and who hears of it. */
export interface ApplicationOptions extends ScenarioChoice {
  readonly seed: number
  /** Gets a line for each thing that happens. */
  readonly print?: (line: string) => void
}

/** How a simulated application fared, and what repeats the run. */
export interface ApplicationResult {
  /** Every application that its node survived has returned, and no invariant of the cluster was broken. */
  readonly ok: boolean
  readonly failure: string | undefined
  readonly scenario: Scenario
  /** Equal for equal seeds and code. */
  readonly traceHash: string
  readonly virtualMs: Millis
}

const CALM_MS: Millis = 2000
const LAST_WORDS_MS: Millis = 60_000

/**
 * Runs an application beside each node of a cluster whose size, network and faults follow from the seed. Only virtual
 * time passes: use `context.sleep`, not `setTimeout`, and no input or output of the process, or equal seeds will
 * differ.
 *
 * @example
 * const counters = defineMap('counters')
 * const { ok, failure } = await simulateApplication(
 *   async (troupe, { node, signal, sleep }) => {
 *     for (; !signal.aborted; await sleep(100)) await troupe.map(counters).set(node, 1, { timeout: 60_000 })
 *   },
 *   { seed: 7, nodes: 3, faults: ['crash', 'partition'] },
 * )
 */
export async function simulateApplication(
  application: Application,
  options: ApplicationOptions,
): Promise<ApplicationResult> {
  const random = new SeededRandom(options.seed)
  const scenario = drawScenario(options.seed, options, random.fork())
  const cluster = new SimulatedCluster(scenario, options.print)
  const { queue, trace, coverage } = cluster
  const nemesis = new Nemesis(cluster, scenario, { queue, trace, coverage, random: random.fork() })
  const hosts = new ApplicationHosts(cluster, application)
  cluster.onNode = hosts
  try {
    cluster.start()
    queue.at(CALM_MS, () => nemesis.start())
    await cluster.run(CALM_MS + scenario.virtualSeconds * 1000)
    nemesis.makePeace(cluster.nodes)
    cluster.network.quality = QUIET
    // An application whose node is down at the end of the faults has its last words, too.
    await cluster.run(queue.now() + LAST_WORDS_MS, () => cluster.nodes.every((node) => cluster.isRunning(node)))
    hosts.end()
    await cluster.run(queue.now() + LAST_WORDS_MS, () => hosts.running === 0)
    if (hosts.running > 0) cluster.failure ??= `${hosts.running} applications did not return within a virtual minute`
  } finally {
    cluster.close()
  }
  const { failure } = cluster
  return {
    ok: failure === undefined,
    failure: describeFailure(failure),
    scenario,
    traceHash: trace.hash,
    virtualMs: queue.now(),
  }
}

class ApplicationHosts {
  readonly #cluster: SimulatedCluster
  readonly #application: Application
  readonly #ending = new AbortController()
  readonly #running = new Map<NodeId, Computer>()
  readonly #starts = new Map<NodeId, number>()

  constructor(cluster: SimulatedCluster, application: Application) {
    this.#cluster = cluster
    this.#application = application
  }

  get running(): number {
    return this.#running.size
  }

  end(): void {
    this.#ending.abort()
  }

  started(node: NodeId): void {
    if (this.#ending.signal.aborted) return
    const computer = new Computer(this.#cluster.queue, `app-${node}`)
    const start = (this.#starts.get(node) ?? 0) + 1
    this.#starts.set(node, start)
    this.#running.set(node, computer)
    const driver = this.#cluster.connect(computer, [node])
    const random = this.#cluster.fork()
    const context: ApplicationContext = {
      node,
      start,
      random,
      signal: this.#ending.signal,
      now: () => computer.now(),
      sleep: (duration) => new Promise((resolve) => void computer.at(computer.now() + duration, resolve)),
    }
    computer.defer(() => {
      this.#application(
        createTroupe({ driver, clock: computer, scheduler: computer, random: random.fork() }),
        context,
      ).then(
        () => this.#ended(node, computer),
        (error: unknown) => {
          this.#ended(node, computer)
          this.#cluster.failure ??= error
        },
      )
    })
  }

  stopped(node: NodeId): void {
    this.#running.get(node)?.powerOff()
    this.#running.delete(node)
  }

  #ended(node: NodeId, computer: Computer): void {
    if (this.#running.get(node) === computer) this.#running.delete(node)
  }
}
