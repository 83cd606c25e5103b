/** The leaders of the groups, as a node sees them: whom to ask, who should lead, and how leadership is handed over. */

import { type GroupId, META_GROUP, type NodeId } from '../base/identity.ts'
import type { Millis } from '../base/time.ts'
import type { Group } from './group.ts'
import type { Groups } from './groups.ts'
import type { NodeLiveness } from './liveness.ts'

/**
 * A leader that is not the preferred one goes on leading until that one has been there for this long: who has started
 * reads its snapshots and executes its log before it is of use.
 */
const SETTLED_MS: Millis = 5000
/** A transfer that has not come about is tried again after this long. */
const TRANSFER_AGAIN_MS: Millis = 500
/**
 * What consumers have in hand may be settled for so long before leadership moves on purpose, for the next leader would
 * hand it out again. Meanwhile they get nothing more from this group.
 */
export const REST_MS: Millis = 1000
/** A group that has rested and leads still rests again after this. */
const REST_AGAIN_MS: Millis = 10_000

export class Leaders {
  readonly #groups: Groups
  readonly #liveness: NodeLiveness
  readonly #self: NodeId
  readonly #hints = new Map<GroupId, NodeId>()
  /** Since when this node leads a group while the preferred one is there. */
  readonly #settledSince = new Map<GroupId, Millis>()
  readonly #transferredAt = new Map<GroupId, Millis>()
  readonly #restingSince = new Map<GroupId, Millis>()
  #turn = 0
  /** This node is about to stop: `handOver` alone moves what it leads. */
  isDraining = false

  constructor(groups: Groups, liveness: NodeLiveness, self: NodeId) {
    this.#groups = groups
    this.#liveness = liveness
    this.#self = self
  }

  /** Who leads as far as this node knows. */
  leaderOf(id: GroupId): NodeId | undefined {
    const group = this.#groups.get(id)
    return group === undefined ? this.#hints.get(id) : group.leader
  }

  /**
   * Another node to ask about the group: its leader, or any replica while that is unknown or cannot be reached from
   * here, which may have heard of one that this node cannot hear.
   */
  nodeFor(id: GroupId): NodeId | undefined {
    const leader = this.leaderOf(id)
    if (leader !== undefined && leader !== this.#self && this.#liveness.isConnected(leader)) return leader
    const isReplica = this.#groups.get(id) !== undefined
    const others = this.#groups.placed(id)?.replicas.filter((node) => node !== this.#self) ?? []
    // A replica that hears nobody must say so at once, rather than ask one that hangs.
    const asked = others.filter((node) => (isReplica ? this.#liveness.isHeard(node) : this.#liveness.isConnected(node)))
    return asked[this.#turn % asked.length]
  }

  /**
   * Whom to pass on to what another node asks of this one: only the leader that its own replica follows. Terms grow
   * from each who passes on to the next, so that nothing goes round.
   */
  relayFor(id: GroupId): NodeId | undefined {
    const leader = this.#groups.get(id)?.leader
    return leader !== undefined && leader !== this.#self && this.#liveness.isHeard(leader) ? leader : undefined
  }

  hinted(id: GroupId, leader: string): void {
    const hint = leader as NodeId
    if (leader === '') this.#hints.delete(id)
    else this.#hints.set(id, hint)
    // Whoever was asked may be cut off from the leader, or this node is: the next one is asked then.
    if (leader === '' || !this.#liveness.isConnected(hint)) this.#turn++
  }

  /**
   * Moves each leadership towards the replica that should have it, so that work is spread evenly: at once in a group
   * that has never had a leader, later when the present one has settled. True while something should be looked at again
   * soon.
   */
  review(now: Millis): boolean {
    let isUnsettled = false
    for (const group of this.#groups.all.values()) {
      const preferred = this.#groups.placed(group.id)?.leader
      if (group.isLeader) isUnsettled = this.#returnLeadership(group, preferred, now) || isUnsettled
      else this.#forget(group)
      const isNew = group.leader === undefined && group.core.last.index === 0
      isUnsettled ||= isNew
      if (isNew && preferred === this.#self && group.core.role === 'follower') group.submit({ type: 'campaign' })
    }
    return isUnsettled || this.#groups.get(META_GROUP) === undefined
  }

  /**
   * Asks others to take over what this node leads. False when there is nothing left that anybody could take.
   *
   * @param restMs how long consumers may settle what they have
   */
  handOver(now: Millis, restMs: Millis): boolean {
    let isAnyLeft = false
    for (const group of this.#groups.all.values()) {
      if (!group.isLeader) continue
      const heir = this.#heirOf(group)
      if (heir === undefined) continue
      isAnyLeft = true
      if (this.#isAtRest(group, restMs, now)) this.#transfer(group, heir, now)
    }
    return isAnyLeft
  }

  /** True while its consumers are to settle what they have. */
  #returnLeadership(group: Group, preferred: NodeId | undefined, now: Millis): boolean {
    if (this.isDraining || preferred === undefined || preferred === this.#self) return false
    const isThere = this.#liveness.isConnected(preferred)
    const since = (isThere ? this.#settledSince.get(group.id) : undefined) ?? now
    this.#settledSince.set(group.id, since)
    if (!isThere || now - since < SETTLED_MS) return false
    const progress = group.core.progress().find(({ node }) => node === preferred)
    if (progress === undefined || progress.match < group.core.commit) return false
    if (!this.#isAtRest(group, REST_MS, now)) return true
    this.#transfer(group, preferred, now)
    return false
  }

  /** Whether consumers have settled what they had, or had their time for it. */
  #isAtRest(group: Group, restMs: Millis, now: Millis): boolean {
    const known = this.#restingSince.get(group.id)
    const since = known === undefined || now - known >= REST_AGAIN_MS ? now : known
    this.#restingSince.set(group.id, since)
    if (now - since >= restMs) return true
    group.duties.rest(now + TRANSFER_AGAIN_MS)
    return !group.duties.isHolding
  }

  #forget({ id }: Group): void {
    this.#settledSince.delete(id)
    this.#restingSince.delete(id)
  }

  /** The connected replica that has most of the log. */
  #heirOf(group: Group): NodeId | undefined {
    const peers = group.core.progress().filter(({ node }) => this.#liveness.isConnected(node))
    return peers.sort((one, other) => other.match - one.match)[0]?.node
  }

  #transfer(group: Group, to: NodeId, now: Millis): void {
    if (now - (this.#transferredAt.get(group.id) ?? Number.NEGATIVE_INFINITY) < TRANSFER_AGAIN_MS) return
    this.#transferredAt.set(group.id, now)
    group.submit({ type: 'transfer', to })
  }
}
