/** The commands of Raft scenarios: each does one thing to a cluster of cores and tells what can be seen of it. */

import { assert, required } from '../../src/base/assert.ts'
import type { NodeId } from '../../src/base/identity.ts'
import type { LogPosition } from '../../src/protocol/core.ts'
import type { RaftOutput } from '../../src/protocol/raft/message.ts'
import { type Envelope, RaftCluster, type Storage } from './raft-cluster.ts'

/** `name argument… key=value…` */
export interface Command {
  readonly name: string
  readonly words: readonly string[]
  readonly options: ReadonlyMap<string, string>
}

/** Messages that follow from one another without any time passing; a story needs a few dozen. */
const ENDLESS = 10_000

type Pass = (envelope: Envelope) => boolean

/** What is hidden from a scenario while nothing is said about it: a prompt network and prompt disks. */
export class RaftScenario {
  #cluster: RaftCluster | undefined
  #lines: string[] = []
  #isManual = false
  #isWatching = false
  #delivered = 0
  /** What was proposed or read, by request id. */
  readonly #labels: string[] = []
  readonly #seenOutputs = new Map<string, number>()
  readonly #seenStatus = new Map<string, string>()

  /** Runs one block and returns what can be seen of it: what was answered, then every state that changed. */
  run(commands: readonly Command[]): readonly string[] {
    this.#lines = []
    for (const command of commands) {
      const act = required(ACTIONS[command.name], `the command ${command.name}`)
      act(this, command)
      this.#tellOutputs()
    }
    this.#tellStatus()
    return this.#lines
  }

  get cluster(): RaftCluster {
    return required(this.#cluster, 'a cluster')
  }

  open(cluster: RaftCluster): void {
    this.#cluster = cluster
  }

  tell(line: string): void {
    this.#lines.push(line)
  }

  label(text: string): number {
    return this.#labels.push(text) - 1
  }

  setManual(isManual: boolean): void {
    this.#isManual = isManual
  }

  setWatching(isWatching: boolean): void {
    this.#isWatching = isWatching
  }

  /** Messages delivered since the last count. */
  takeCount(): number {
    const delivered = this.#delivered
    this.#delivered = 0
    return delivered
  }

  /** Delivers all that is under way and all that follows from it, unless the scenario does so by hand; the rest is lost. */
  settle(pass: Pass = () => true, upTo = Infinity): void {
    if (this.#isManual) return
    const { network } = this.cluster
    for (let count = 0; network.length > 0; count++) {
      assert(count < ENDLESS, 'a conversation comes to an end')
      const envelope = required(network[0], 'a message under way')
      network[0] = shorten(envelope, upTo)
      if (pass(envelope)) this.deliver(0)
      else this.drop(0)
    }
  }

  deliver(at: number, keep = false): void {
    const envelope = this.cluster.network[at]
    if (envelope === undefined) return
    if (this.#isWatching) this.tell(describe(envelope))
    this.#delivered++
    this.cluster.deliver(at, keep)
  }

  drop(at: number): void {
    const envelope = this.cluster.network[at]
    if (envelope !== undefined && this.#isWatching) this.tell(`${describe(envelope)}  (lost)`)
    this.cluster.drop(at)
  }

  tellStatusOf(name: string): void {
    this.tell(`${name}: ${this.#status(name)}`)
    this.#seenStatus.set(name, this.#status(name))
  }

  #tellOutputs(): void {
    for (const [name, { outputs }] of this.cluster.machines) {
      for (const output of outputs.slice(this.#seenOutputs.get(name) ?? 0)) this.#tellOutput(name, output)
      this.#seenOutputs.set(name, outputs.length)
    }
  }

  #tellOutput(name: string, output: RaftOutput): void {
    if (output.type === 'readable') {
      this.tell(`${name}: ${this.#labels[output.id]} is readable at ${output.index}`)
    } else if (output.type === 'refused') {
      const hint = output.leader === undefined ? '' : `, leader ${output.leader}`
      this.tell(`${name}: ${this.#labels[output.id]} refused: ${output.reason}${hint}`)
    } else if (output.type === 'restore') {
      this.tell(`${name}: restored from a snapshot up to ${describePosition(output.position)}`)
    }
  }

  #tellStatus(): void {
    for (const name of this.cluster.names) {
      if (this.#status(name) !== this.#seenStatus.get(name)) this.tellStatusOf(name)
    }
  }

  #status(name: string): string {
    const { core, memory, disk } = this.cluster.machine(name)
    if (core === undefined) return `down, term ${disk.term} and log ${describeLog(disk)} on disk`
    const known = core.leader === undefined || core.role === 'leader' ? 'of' : `of ${core.leader} in`
    const synced = core.persistedIndex < core.last.index ? `, on disk up to ${core.persistedIndex}` : ''
    return `${core.role} ${known} term ${core.term}, log ${describeLog(memory)}${synced}, committed ${core.commit}`
  }
}

/** As if the leader had sent the entries up to this index only. */
function shorten(envelope: Envelope, upTo: number): Envelope {
  const { message } = envelope
  if (message.type !== 'append') return envelope
  const entries = message.entries.filter((entry) => entry.index <= upTo)
  return { ...envelope, message: { ...message, entries } }
}

function describeLog({ snapshot, entries }: Storage): string {
  const forgotten = snapshot.index === 0 ? [] : [`..${describePosition(snapshot)}`]
  return `[${[...forgotten, ...entries.map((entry) => entry.term)].join(' ')}]`
}

/** `index.term` */
function describePosition({ index, term }: LogPosition): string {
  return `${index}.${term}`
}

function describe({ from, to, message }: Envelope): string {
  return `${from} > ${to}  ${message.type} of term ${message.term}${detail(message)}`
}

function detail(message: Envelope['message']): string {
  switch (message.type) {
    case 'pre-vote':
    case 'vote':
      return `, log ends at ${describePosition(message.last)}`
    case 'pre-vote-reply':
    case 'vote-reply':
      return message.granted ? ': yes' : ': no'
    case 'append': {
      const entries = message.entries.map(describePosition).join(' ')
      return `, after ${describePosition(message.previous)}: [${entries}], commit ${message.commit}`
    }
    case 'append-reply': {
      const guess = `refused after ${message.refused}, try after ${message.match}.${message.matchTerm}`
      return message.accepted ? `: matches up to ${message.match}` : `: ${guess}`
    }
    case 'heartbeat':
      return `, commit ${message.commit}, round ${message.round}`
    case 'heartbeat-reply':
      return `, commit ${message.commit}, round ${message.round}`
    case 'read-index-reply':
      return `: ${message.index}`
    case 'snapshot':
      return `, up to ${describePosition(message.position)}`
    default:
      return ''
  }
}

type Action = (scenario: RaftScenario, command: Command) => void

const list = (text: string | undefined): readonly string[] =>
  text === undefined || text === 'none' ? [] : text.split(',')

const first = (command: Command): string => required(command.words[0], `what to ${command.name}`)

const second = (command: Command): string => required(command.words[1], `the second word of ${command.name}`)

const idOf = (scenario: RaftScenario, name: string): NodeId => scenario.cluster.machine(name).name

/** Everybody, unless the option names those whom `name` can talk to. */
function among(name: string, others: string | undefined): Pass {
  const reached = new Set([name, ...list(others)])
  return ({ from, to }) => others === undefined || (reached.has(from) && reached.has(to))
}

const upTo = ({ options }: Command): number => Number(options.get('up-to') ?? Infinity)

function matching({ options }: Command): Pass {
  const fits = (key: string, value: string): boolean => (options.get(key) ?? value) === value
  return ({ from, to, message }) => fits('from', from) && fits('to', to) && fits('type', message.type)
}

/** Applies `act` to the messages under way now that fit, or to the first few of them. */
function forEachMatching(scenario: RaftScenario, command: Command, act: (at: number) => void): void {
  const { cluster } = scenario
  const fits = matching(command)
  const chosen = cluster.network.filter(fits).slice(0, Number(command.options.get('count') ?? Infinity))
  for (const envelope of chosen) act(cluster.network.indexOf(envelope))
}

function openCluster(scenario: RaftScenario, { words, options }: Command): void {
  const limits: Record<string, number> = {}
  for (const name of ['appendBytes', 'inflightBytes', 'uncommittedBytes']) {
    const limit = options.get(name)
    if (limit !== undefined) limits[name] = Number(limit)
  }
  scenario.open(new RaftCluster({ voters: words, learners: list(options.get('learners')), limits }))
}

/** After a long silence only this one campaigns, and reaches only some; `up-to` is the last entry that it gets around to sending. */
function elect(scenario: RaftScenario, command: Command): void {
  const { cluster } = scenario
  cluster.deaf = true
  cluster.now += 2000
  cluster.submit(first(command), { type: 'campaign' })
  scenario.settle(among(first(command), command.options.get('with')), upTo(command))
  cluster.deaf = false
}

function propose(scenario: RaftScenario, command: Command): void {
  const name = first(command)
  for (const value of command.words.slice(1)) {
    const payload = new TextEncoder().encode(value)
    scenario.cluster.submit(name, { type: 'propose', id: scenario.label(value), kind: 'command', payload })
  }
  scenario.settle(among(name, command.options.get('to')))
}

/** One heartbeat later. */
function replicate(scenario: RaftScenario, command: Command): void {
  const name = first(command)
  const { cluster } = scenario
  cluster.now = Math.max(cluster.now + 50, cluster.core(name).wakeAt)
  cluster.wake(name)
  scenario.settle(among(name, command.options.get('to')), upTo(command))
}

function advance(scenario: RaftScenario, command: Command): void {
  scenario.cluster.advance(Number(first(command)), () => scenario.settle())
}

/** Waits until somebody leads, and tells how long that took. */
function awaitLeader(scenario: RaftScenario): void {
  const { cluster } = scenario
  const start = cluster.now
  while (cluster.leaders.length === 0 && cluster.now < start + 60_000) {
    cluster.advance(1, () => scenario.settle())
  }
  scenario.tell(`${cluster.leaders.join(' ')} leads after ${Math.round(cluster.now - start)} ms`)
}

function cutAround(scenario: RaftScenario, name: string): void {
  const { cluster } = scenario
  for (const other of cluster.names) {
    if (other === name) continue
    cluster.cut(name, other)
    cluster.cut(other, name)
  }
}

function tellProgress(scenario: RaftScenario, name: string): void {
  for (const { node, state, match, next } of scenario.cluster.core(name).progress()) {
    scenario.tell(`${name}: ${node} in ${state}, match ${match}, next ${next}`)
  }
}

const everyWord =
  (act: (scenario: RaftScenario, name: string) => void): Action =>
  (scenario, { words }) => {
    for (const name of words) act(scenario, name)
    scenario.settle()
  }

const ACTIONS: Readonly<Record<string, Action>> = {
  cluster: openCluster,
  elect,
  propose,
  replicate,
  advance,
  'await-leader': awaitLeader,
  network: (scenario, command) => {
    scenario.setManual(first(command) === 'manual')
    scenario.settle()
  },
  watch: (scenario, command) => scenario.setWatching(first(command) === 'on'),
  deliver: (scenario, command) => forEachMatching(scenario, command, (at) => scenario.deliver(at)),
  repeat: (scenario, command) => forEachMatching(scenario, command, (at) => scenario.deliver(at, true)),
  drop: (scenario, command) => forEachMatching(scenario, command, (at) => scenario.drop(at)),
  reverse: (scenario) => scenario.cluster.network.reverse(),
  messages: (scenario) => {
    for (const envelope of scenario.cluster.network) scenario.tell(describe(envelope))
  },
  count: (scenario) => scenario.tell(`${scenario.takeCount()} messages`),
  'slow-disk': everyWord((scenario, name) => scenario.cluster.slowDisks.add(name)),
  persist: (scenario, command) => {
    scenario.cluster.persist(first(command), Number(command.options.get('batches') ?? Infinity))
    scenario.settle()
  },
  crash: everyWord((scenario, name) => scenario.cluster.crash(name)),
  restart: everyWord((scenario, name) => scenario.cluster.restart(name)),
  isolate: everyWord(cutAround),
  cut: (scenario, command) => scenario.cluster.cut(first(command), second(command)),
  heal: (scenario) => scenario.cluster.heal(),
  lost: (scenario, command) => {
    scenario.cluster.submit(first(command), { type: 'unreachable', node: idOf(scenario, second(command)) })
    scenario.settle()
  },
  found: (scenario, command) => {
    scenario.cluster.submit(first(command), { type: 'reachable', node: idOf(scenario, second(command)) })
    scenario.settle()
  },
  campaign: everyWord((scenario, name) => scenario.cluster.submit(name, { type: 'campaign' })),
  read: (scenario, command) => {
    for (const label of command.words.slice(1)) {
      scenario.cluster.submitLater(first(command), { type: 'read', id: scenario.label(label) })
    }
    scenario.cluster.flush(first(command))
    scenario.settle(among(first(command), command.options.get('to')))
  },
  transfer: (scenario, command) => {
    scenario.cluster.submit(first(command), { type: 'transfer', to: idOf(scenario, second(command)) })
    scenario.settle()
  },
  compact: (scenario, command) => scenario.cluster.compact(first(command), Number(second(command))),
  status: everyWord((scenario, name) => scenario.tellStatusOf(name)),
  progress: (scenario, command) => tellProgress(scenario, first(command)),
}
