/** The settings of a node: who it is, whom it meets, and how it keeps time and bounds. */

import type { NodeId } from '../base/identity.ts'
import type { HashSecret } from '../machine/key-value/key-hash.ts'
import type { Level } from '../machine/level.ts'
import type { RaftLimits, RaftTiming } from '../protocol/raft/config.ts'
import type { CompactionLimits } from './snapshot/snapshotter.ts'

export interface NodeSettings {
  readonly node: NodeId
  /** A random name of the data directory. */
  readonly directory: string
  readonly generation: number
  readonly cluster: string
  /** Where others reach this node, `host:port`; `''` for a node that nobody can reach. */
  readonly address: string
  /** The addresses of all first members, this node's own included or not; empty for a cluster of one. */
  readonly join: readonly string[]
  readonly shards: number
  readonly durability: 'disk' | 'os' | 'memory'
  readonly hashSecret: HashSecret
  /** What this node executes. Default: what its version does; a lower one is that of an earlier version. */
  readonly level?: Level
  readonly timing: RaftTiming
  readonly limits: RaftLimits
  readonly compaction?: CompactionLimits
}
