import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../../../src/base/random.ts'
import { RaftCluster } from '../../../scenario/raft-cluster.ts'
import { RaftHistory } from '../../../scenario/raft-history.ts'

const SEEDS = 600
const STEPS = 6000
const ENDLESS = 100_000

interface Run {
  readonly cluster: RaftCluster
  readonly history: RaftHistory
  readonly random: SeededRandom
  readonly weights: readonly number[]
  proposed: number
}

function open(seed: number): Run {
  const random = new SeededRandom(seed)
  const history = new RaftHistory()
  const voters = ['a', 'b', 'c', 'd', 'e'].slice(0, random.below(3) === 0 ? 5 : 3)
  const limits = { appendBytes: random.below(2) === 0 ? 1 : 24, inflightBytes: 64, uncommittedBytes: 400 }
  const cluster = new RaftCluster({
    voters,
    seed,
    limits,
    onReady: (machine, ready) => history.observe(machine, ready),
  })
  for (const voter of voters) cluster.slowDisks.add(voter)
  cluster.deaf = random.below(2) === 0
  return { cluster, history, random, weights: drawWeights(random), proposed: 0 }
}

function pick(run: Run): string {
  return run.cluster.names[run.random.below(run.cluster.names.length)] ?? 'a'
}

/** Faults find leaders more often than chance would. */
function pickVictim(run: Run): string {
  const leader = run.cluster.leaders[0]
  return leader !== undefined && run.random.below(2) === 0 ? leader : pick(run)
}

function propose(run: Run): void {
  const { cluster, random } = run
  const leaders = cluster.leaders
  const name = leaders[random.below(Math.max(leaders.length, 1))]
  if (name === undefined) return
  run.proposed++
  const payload = new Uint8Array(1 + random.below(16)).fill(run.proposed & 255)
  cluster.submit(name, { type: 'propose', id: run.proposed, kind: 'command', payload })
}

function read(run: Run): void {
  const name = pick(run)
  run.history.asked(++run.proposed)
  run.cluster.submit(name, { type: 'read', id: run.proposed })
}

/** Most messages arrive, in order or not; some are lost or repeated. */
function moveMessage(run: Run): void {
  const { cluster, random } = run
  const { network } = cluster
  if (network.length === 0) return
  const at = random.below(3) === 0 ? random.below(network.length) : 0
  const fate = random.below(40)
  if (fate === 0) cluster.drop(at)
  else cluster.deliver(at, fate <= 2 && network.length < 400)
}

function passTime(run: Run): void {
  const { cluster, random } = run
  const until = random.below(4) === 0 ? cluster.wakeAt : cluster.now + random.below(60)
  cluster.now = Math.max(cluster.now, Number.isFinite(until) ? until : 0)
  for (const name of cluster.names) {
    if ((cluster.machine(name).core?.wakeAt ?? Infinity) <= cluster.now) cluster.wake(name)
  }
}

function crashOrRestart(run: Run): void {
  const { cluster } = run
  const name = pickVictim(run)
  if (cluster.machine(name).core === undefined) cluster.restart(name)
  else if (run.random.below(5) === 0) cluster.crash(name)
}

function cutOrHeal(run: Run): void {
  if (run.random.below(2) === 0) run.cluster.heal()
  else run.cluster.cut(pick(run), pick(run))
}

function changeConnection(run: Run): void {
  const type = run.random.below(2) === 0 ? 'unreachable' : 'reachable'
  run.cluster.submit(pick(run), { type, node: run.cluster.machine(pick(run)).name })
}

function compact(run: Run): void {
  const { cluster } = run
  const name = pick(run)
  const { core } = cluster.machine(name)
  if (core !== undefined && core.commit > core.first.index) cluster.compact(name, core.commit)
}

function transfer(run: Run): void {
  const to = run.cluster.machine(pick(run)).name
  for (const leader of run.cluster.leaders) run.cluster.submit(leader, { type: 'transfer', to })
}

function campaign(run: Run): void {
  run.cluster.submit(pick(run), { type: 'campaign' })
}

/** One replica is alone, whatever links stood before; sometimes the others notice at once. */
function isolate(run: Run): void {
  const { cluster } = run
  const alone = pickVictim(run)
  const noticed = run.random.below(2) === 0
  cluster.heal()
  for (const other of cluster.names) {
    if (other === alone) continue
    cluster.cut(alone, other)
    cluster.cut(other, alone)
    if (noticed) cluster.submit(other, { type: 'unreachable', node: cluster.machine(alone).name })
  }
}

/** Long enough for an election, and one replica notices first. */
function passTimeout(run: Run): void {
  run.cluster.now += 1000 + run.random.below(1000)
  run.cluster.wake(pick(run))
}

/** What happens, and how often in about a thousand steps. */
const EVENTS: readonly (readonly [number, (run: Run) => void])[] = [
  [700, moveMessage],
  [170, (run) => run.cluster.persist(pick(run), 1 + run.random.below(3))],
  [90, propose],
  [40, read],
  [60, passTime],
  [12, passTimeout],
  [30, crashOrRestart],
  [12, cutOrHeal],
  [5, isolate],
  [12, changeConnection],
  [6, campaign],
  [8, compact],
  [2, transfer],
]

/** Each seed has its own temper, from a quarter to four times of each: extremes find what the average hides (swarm testing, Groce 2012). */
function drawWeights(random: SeededRandom): readonly number[] {
  return EVENTS.map(([weight]) => weight * 4 ** (2 * random.next() - 1))
}

function step(run: Run): void {
  let choice = run.random.next() * run.weights.reduce((sum, weight) => sum + weight, 0)
  const at = run.weights.findIndex((weight) => {
    choice -= weight
    return choice < 0
  })
  EVENTS[at]?.[1](run)
  run.history.check(run.cluster)
}

/** All faults end: whoever is down comes back, and everything that was cut stands again. */
function heal({ cluster }: Run): () => void {
  cluster.heal()
  cluster.deaf = false
  cluster.slowDisks.clear()
  for (const name of cluster.names) {
    if (cluster.machine(name).core === undefined) cluster.restart(name)
    cluster.persist(name)
  }
  return () => {
    for (let count = 0; cluster.network.length > 0; count++) {
      if (count > ENDLESS) throw new Error('the replicas never stop talking')
      cluster.deliver(0)
    }
  }
}

describe('a cluster under random faults', () => {
  test(`keeps its promises over ${SEEDS} seeds, and goes on once the faults end`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        const run = open(seed)
        for (let count = 0; count < STEPS; count++) step(run)
        const settle = heal(run)
        const before = run.history.committed
        run.cluster.advance(6000, settle)
        expect(run.cluster.leaders, 'one leader').toHaveLength(1)
        for (let count = 0; count < 3; count++) propose(run)
        run.cluster.advance(1000, settle)
        run.history.check(run.cluster)
        const commits = run.cluster.names.map((name) => run.cluster.core(name).commit)
        expect(new Set(commits).size, 'all replicas have committed the same').toBe(1)
        expect(run.history.committed, 'there is progress').toBeGreaterThanOrEqual(before + 3)
      } catch (cause) {
        throw new Error(`seed ${seed}: ${String(cause)}`, { cause })
      }
    }
  }, 60_000)
})
