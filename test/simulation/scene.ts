/** A scene is a few nodes on virtual disks and the applications beside them, whose clocks and lives are in the hands of a test. */

import type { NodeId } from '../../src/base/identity.ts'
import { SeededRandom } from '../../src/base/random.ts'
import type { Millis } from '../../src/base/time.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/raft/config.ts'
import { createTroupe, type Troupe } from '../../src/runtime/troupe.ts'
import { SimulatedCluster } from '../../src/simulation/cluster.ts'
import { drawScenario, QUIET } from '../../src/simulation/scenario.ts'
import { Computer } from '../../src/simulation/world/computer.ts'

export interface SceneOptions {
  readonly nodes?: number
  readonly shards?: number
  readonly seed?: number
  /** Of log beyond which a group is compacted; default 4 MiB. */
  readonly logBytes?: number
  /** Of the version that all nodes start with; default the present one. */
  readonly level?: number
}

export interface Application {
  readonly troupe: Troupe
  readonly computer: Computer
}

export class Scene {
  readonly cluster: SimulatedCluster
  /** Draws what a test leaves to chance. */
  readonly random: SeededRandom
  #applications = 0

  private constructor({ nodes = 3, shards = 1, seed = 5, logBytes = 4 * 1024 * 1024, level }: SceneOptions) {
    const drawn = drawScenario(seed, { nodes, shards, faults: [] }, new SeededRandom(seed))
    const limits = { segmentBytes: logBytes / 4, logBytes, appendBytes: DEFAULT_LIMITS.appendBytes }
    this.cluster = new SimulatedCluster({ ...drawn, ...limits, network: QUIET, syncMs: [0.1, 1] })
    this.random = new SeededRandom(seed + 1)
    if (level !== undefined) for (const node of this.cluster.nodes) this.cluster.install(node, level)
    this.cluster.start()
  }

  /** Its nodes have met, and lead what they should. */
  static async begin(options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(options)
    await scene.pass(5000)
    return scene
  }

  get now(): Millis {
    return this.cluster.queue.now()
  }

  get leader(): NodeId {
    const leader = this.cluster.leader()
    if (leader === undefined) throw new Error('nobody leads')
    return leader
  }

  get followers(): readonly NodeId[] {
    return this.cluster.nodes.filter((node) => node !== this.leader)
  }

  /** An application on a computer of its own, which talks to each leader itself, or through `nodes` where that is one. */
  application(nodes: readonly NodeId[] = this.cluster.nodes): Application {
    const computer = new Computer(this.cluster.queue, `application-${++this.#applications}`)
    const driver = this.cluster.connect(computer, nodes)
    const random = this.cluster.fork()
    return { computer, troupe: createTroupe({ driver, clock: computer, scheduler: computer, random }) }
  }

  async pass(duration: Millis): Promise<void> {
    await this.until(this.now + duration, () => false)
  }

  /** What the promise comes to; at most ten virtual minutes later. */
  async settled<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    promise.then(settle, settle)
    await this.until(this.now + 600_000, () => isSettled)
    if (!isSettled) throw new Error('the promise is still pending after ten virtual minutes')
    return await promise
  }

  /** Lets time pass until then, or until this is so. */
  async until(end: Millis, isSo: () => boolean): Promise<void> {
    await this.cluster.run(end, isSo)
    if (this.cluster.failure !== undefined) throw this.cluster.failure
  }

  async restart(node: NodeId, downMs: Millis): Promise<void> {
    this.cluster.crash(node)
    await this.pass(downMs)
    this.cluster.restart(node)
    await this.pass(1500)
  }

  close(): void {
    this.cluster.close()
  }
}
