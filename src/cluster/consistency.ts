/**
 * Consistency is the choice between consistent and available answers: what each level waits for, refuses and returns. A
 * strong dataset answers from its group's log only.
 *
 * | call | waits for | without a majority | returns |
 * | --- | --- | --- | --- |
 * | write | its entry on a majority's disks, then applied by the leader | refused or unknown, never lost once acknowledged | revision |
 * | read `linearizable` | one round of the leader to a majority (ReadIndex), then applied | refused | the newest acknowledged value |
 * | read `local` | nothing | answered | this replica's value and its age |
 * | read `maxStalenessMs` | nothing | answered while young enough, then refused | this replica's value and its age |
 */

import type { NodeId } from '../base/identity.ts'
import type { Millis } from '../base/time.ts'
import type { Liveness } from '../protocol/core.ts'
import type { Configuration, Role } from '../protocol/raft/message.ts'

/** What a replica knows of its own place in its group. */
export interface ReplicaView {
  readonly self: NodeId
  readonly role: Role
  readonly leader: NodeId | undefined
  readonly configuration: Configuration
}

/**
 * Milliseconds since this replica was last known to be in touch with its group: a follower with its leader, a leader
 * with a majority. Infinity when it does not know of any leader.
 */
export function replicaAge(view: ReplicaView, liveness: Liveness, now: Millis): Millis {
  if (view.leader === undefined) return Number.POSITIVE_INFINITY
  if (view.role !== 'leader') return Math.max(0, now - liveness.lastHeard(view.leader))
  const heard = view.configuration.incoming
    .map((voter) => (voter === view.self ? now : liveness.lastHeard(voter)))
    .sort((a, b) => b - a)
  return Math.max(0, now - (heard[Math.floor(heard.length / 2)] ?? now))
}
