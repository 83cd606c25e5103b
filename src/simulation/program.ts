/** A program is an application's code on a computer of its own, which may be killed, stalled and started again. */

import type { NodeId } from '../base/identity.ts'
import type { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import type { Driver } from '../driver/contract.ts'
import { createTroupe, type Troupe } from '../runtime/troupe.ts'
import type { SimulatedCluster } from './cluster.ts'
import { EXILE_FAULT } from './scenario.ts'
import { Computer } from './world/computer.ts'

export interface Program {
  readonly name: string
  /** Runs until it returns, and from the beginning again when it was killed. Rejecting fails the simulation. */
  run(troupe: Troupe, context: ProgramContext): Promise<void>
  /** Never killed nor stalled. */
  readonly isSpared?: boolean
}

export interface ProgramContext {
  /** The program's name and which start of it this is: no other run has the same. */
  readonly name: string
  readonly driver: Driver
  readonly random: SeededRandom
  /** Aborts when nothing new is to be begun: the faults are over. */
  readonly closing: AbortSignal
  /** Aborts when all work is done: return. */
  readonly ending: AbortSignal
  /** True virtual milliseconds, which no real program sees. */
  readonly now: () => Millis
  readonly sleep: (duration: Millis) => Promise<void>
}

/** One program through all its starts. */
interface Stage {
  readonly program: Program
  readonly beside: readonly NodeId[]
  computer: Computer | undefined
  /** Of this start: a program that was killed hears nothing any more. */
  closing: AbortController
  ending: AbortController
  starts: number
  isRunning: boolean
}

/** The programs of a simulation, and what can be done to them. */
export class Programs {
  readonly #cluster: SimulatedCluster
  readonly #stages: readonly Stage[]
  #isClosing = false

  /**
   * Every second one, or each that is not spared, is embedded beside one node and sees the cluster through it alone;
   * the others talk to each leader.
   */
  constructor(cluster: SimulatedCluster, programs: readonly Program[]) {
    this.#cluster = cluster
    const { nodes, scenario } = cluster
    const isExiled = scenario.faults.includes(EXILE_FAULT)
    this.#stages = programs.map((program, at) => ({
      program,
      beside:
        at % 2 === 1 || (isExiled && program.isSpared !== true)
          ? nodes.slice(at % nodes.length, (at % nodes.length) + 1)
          : nodes,
      computer: undefined,
      closing: new AbortController(),
      ending: new AbortController(),
      starts: 0,
      isRunning: false,
    }))
  }

  get running(): readonly string[] {
    return this.#stages.filter(({ isRunning }) => isRunning).map(({ program }) => program.name)
  }

  /** Those that something may be done to. */
  get victims(): readonly string[] {
    return this.#stages.filter(({ program }) => program.isSpared !== true).map(({ program }) => program.name)
  }

  start(): void {
    for (const { program } of this.#stages) this.restart(program.name)
  }

  close(): void {
    this.#isClosing = true
    for (const { closing } of this.#stages) closing.abort(new Error('nothing new is to be begun'))
  }

  end(): void {
    for (const { ending } of this.#stages) ending.abort(new Error('all work is done'))
  }

  /** It ends in the middle of whatever it was doing. */
  kill(name: string): void {
    const stage = this.#stage(name)
    if (!stage.isRunning || stage.computer === undefined) return
    this.#cluster.trace.record(`kill ${name}`)
    stage.isRunning = false
    this.#cluster.abandon(stage.computer)
    stage.computer = undefined
  }

  restart(name: string): void {
    const stage = this.#stage(name)
    if (stage.computer !== undefined) return
    const { queue } = this.#cluster
    const computer = new Computer(queue, `${name}-${++stage.starts}`)
    stage.computer = computer
    stage.isRunning = true
    stage.closing = new AbortController()
    stage.ending = new AbortController()
    if (this.#isClosing) stage.closing.abort(new Error('nothing new is to be begun'))
    const random = this.#cluster.fork()
    const driver = this.#cluster.connect(computer, stage.beside)
    const troupe = createTroupe({ driver, clock: computer, scheduler: computer, random: random.fork() })
    const context: ProgramContext = {
      name: computer.name,
      driver,
      random,
      closing: stage.closing.signal,
      ending: stage.ending.signal,
      now: () => queue.now(),
      sleep: (duration) => new Promise((resolve) => void computer.at(computer.now() + duration, resolve)),
    }
    computer.defer(() => void this.#run(stage, computer, () => stage.program.run(troupe, context)))
  }

  /** It stands still: a stopped process, a suspended computer. */
  stall(name: string): void {
    this.#cluster.trace.record(`stall ${name}`)
    this.#stage(name).computer?.pause()
  }

  resume(name: string): void {
    this.#stage(name).computer?.resume()
  }

  async #run(stage: Stage, computer: Computer, task: () => Promise<void>): Promise<void> {
    try {
      await task()
    } catch (error) {
      this.#cluster.failure ??= error
    }
    if (stage.computer === computer) stage.isRunning = false
  }

  #stage(name: string): Stage {
    const stage = this.#stages.find(({ program }) => program.name === name)
    if (stage === undefined) throw new RangeError(`there is no program ${name}`)
    return stage
  }
}
