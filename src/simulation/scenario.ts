/**
 * A scenario is everything that a seed decides before the first event: how large the cluster is, what its world is
 * like, and what will go wrong.
 */

import type { SeededRandom } from '../base/random.ts'
import type { Millis } from '../base/time.ts'
import { DEFAULT_LIMITS } from '../protocol/raft/config.ts'
import { PARTITIONS, type PartitionKind } from './fault/partition.ts'
import type { WorkloadShape } from './workload/register.ts'
import type { LinkQuality } from './world/link.ts'

export const FAULTS = [
  'crash',
  'power',
  'pause',
  'partition',
  'clock',
  'slow-disk',
  'failing-disk',
  'network',
  'direct-disk',
  'full-disk',
  'torn-page',
  'brownout',
  'clocks',
  'slow-link',
] as const
/** So many of them, from the first, each second seed has. */
const USUAL_FAULTS = 8
/** What happens to programs rather than to nodes. */
export const PROGRAM_FAULTS = ['kill', 'stall'] as const
/** What happens to the files of large payloads, on one node of at least three. */
export const PIECE_FAULT = 'rot'
/** What happens to a leader together with the programs beside it: who holds something hears of the others as little as its node does. */
export const EXILE_FAULT = 'exile'

/**
 * `'crash'` a node dies with what it had not synced · `'power'` all nodes do at once · `'pause'` a node stands still ·
 * `'partition'` see `PARTITIONS` · `'clock'` a calendar is set wrong · `'slow-disk'` syncs take up to two seconds ·
 * `'failing-disk'` a sync or a write fails and the node stops · `'network'` loss, delay, and for some seeds repetition
 * and disorder · `'direct-disk'` a node stands still for each write to its log · `'full-disk'` a disk has hardly any
 * room left · `'torn-page'` as `'crash'`, and the device cannot read for a while what came through in part ·
 * `'brownout'` as `'power'`, again and again while the nodes start · `'clocks'` all calendars are set wrong by the same
 * · `'slow-link'` a few bytes in a millisecond pass one way between two nodes. Of a workload with programs: `'kill'`
 * one dies and is started again · `'stall'` one stands still. Of the queue: `'rot'` a bit of each large payload is
 * another one, always on the same node. Of what is held: `'exile'` a leader alone, and every program is beside some
 * node.
 */
export type FaultKind = (typeof FAULTS)[number] | (typeof PROGRAM_FAULTS)[number] | 'rot' | 'exile'

/** All that a seed has decided. */
export interface Scenario {
  readonly seed: number
  readonly nodes: number
  readonly shards: number
  readonly clients: number
  /** Operations that each client may have under way at once. */
  readonly concurrency: number
  /** How long faults happen; then the liveness phase begins. */
  readonly virtualSeconds: number
  readonly faults: readonly FaultKind[]
  readonly partitions: readonly PartitionKind[]
  /** Mean time between two faults. */
  readonly faultEveryMs: Millis
  readonly network: LinkQuality
  /** Least and mean duration of a sync. */
  readonly syncMs: readonly [Millis, Millis]
  /** Seconds of each node's own clock in a true second. */
  readonly clockRates: readonly number[]
  readonly segmentBytes: number
  /** Bytes of log beyond which groups are compacted. */
  readonly logBytes: number
  /** Bytes of entries in one append message: down to a single entry in each. */
  readonly appendBytes: number
  readonly workload: WorkloadShape
}

/** What the caller fixes; the seed decides the rest. */
export type ScenarioChoice = Partial<Pick<Scenario, 'nodes' | 'shards' | 'clients' | 'virtualSeconds' | 'faults'>>

export function drawScenario(seed: number, choice: ScenarioChoice, random: SeededRandom): Scenario {
  // Drawn whether chosen or not, so that a choice shifts nothing else.
  const nodes = pick(random, [1, 3, 3, 3, 3, 5, 5])
  const shards = pick(random, [1, 1, 2, 3])
  const clients = 2 + random.below(5)
  const concurrency = pick(random, [1, 2, 6])
  const drawn = drawFaults(random)
  const faults = choice.faults ?? drawn
  const network = drawNetwork(random)
  const clockRates = Array.from({ length: 16 }, () => (faults.includes('clock') ? 0.95 + random.next() / 10 : 1))
  const segmentBytes = pick(random, [16, 64, 256]) * 1024
  const scenario: Scenario = {
    seed,
    nodes: choice.nodes ?? nodes,
    shards: choice.shards ?? shards,
    clients: choice.clients ?? clients,
    concurrency,
    virtualSeconds: choice.virtualSeconds ?? 20 + random.below(30),
    faults,
    partitions: subset(random, PARTITIONS),
    faultEveryMs: 500 + random.below(5000),
    network: faults.includes('network') ? network : { ...QUIET, delayMs: network.delayMs },
    syncMs: [0.1, pick(random, [0.2, 1, 5, 20])],
    clockRates,
    segmentBytes,
    logBytes: segmentBytes * pick(random, [2, 4, 64]),
    appendBytes: pick(random, [1, 1000, DEFAULT_LIMITS.appendBytes]),
    workload: {
      keys: 1 + random.below(5),
      pauseMs: ((choice.clients ?? clients) * concurrency * 1000) / pick(random, [5, 20, 50, 100]),
      timeoutMs: pick(random, [500, 2000, 5000]),
      paddingBytes: pick(random, [0, 50, 2000]),
    },
  }
  // Drawn last, so that all else is for a seed what it was before there were any.
  const rare = FAULTS.slice(USUAL_FAULTS).filter(() => random.next() < 0.2)
  return drawn.length === 0 || choice.faults !== undefined ? scenario : { ...scenario, faults: [...drawn, ...rare] }
}

/** A network that works. */
export const QUIET: LinkQuality = { mode: 'stream', delayMs: [0.2, 1], loss: 0, duplicate: 0, tail: 0, tailMs: 0 }

/** A quarter of the seeds has no faults at all, the others a random set of them. */
function drawFaults(random: SeededRandom): FaultKind[] {
  const drawn = subset(random, FAULTS.slice(0, USUAL_FAULTS))
  return random.next() < 0.25 ? [] : drawn
}

function drawNetwork(random: SeededRandom): LinkQuality {
  const least = pick(random, [0.1, 0.5, 2, 30])
  return {
    mode: random.next() < 0.3 ? 'datagram' : 'stream',
    delayMs: [least, least * (1 + random.next() * 2)],
    loss: random.next() < 0.5 ? random.next() * 0.3 : 0,
    duplicate: random.next() < 0.5 ? random.next() * 0.5 : 0,
    tail: random.next() < 0.5 ? random.next() * 0.05 : 0,
    tailMs: pick(random, [100, 1000, 5000]),
  }
}

function subset<Value>(random: SeededRandom, all: readonly Value[]): Value[] {
  const kept = all.filter(() => random.next() < 0.5)
  return kept.length > 0 ? kept : [pick(random, all)]
}

function pick<Value>(random: SeededRandom, all: readonly Value[]): Value {
  const picked = all[random.below(all.length)]
  if (picked === undefined) throw new RangeError('nothing to pick from')
  return picked
}
