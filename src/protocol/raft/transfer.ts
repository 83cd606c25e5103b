/** A transfer hands leadership to a chosen voter without waiting for a timeout (thesis §3.10). */

import type { NodeId } from '../../base/identity.ts'
import type { Leadership } from './leadership.ts'
import { isVoter } from './quorum.ts'
import type { Replica } from './replica.ts'

/** Begins to hand over; a target that does not vote here, or leads already, is ignored. */
export function startTransfer(replica: Replica, leadership: Leadership, to: NodeId): void {
  if (to === replica.self || !isVoter(replica.configuration, to)) return
  leadership.transfer = { to, deadline: replica.now + replica.timing.electionTimeoutMs }
  continueTransfer(replica, leadership)
}

/** Tells the target to campaign as soon as it has the whole log: until then it could not win. */
export function continueTransfer(replica: Replica, leadership: Leadership): void {
  const { transfer } = leadership
  if (transfer === undefined || leadership.peer(transfer.to)?.match !== replica.log.lastIndex) return
  replica.outbox.send(transfer.to, { type: 'timeout-now', term: replica.term })
}

/** Gives up on a target that did not take over in time: the group must not refuse proposals for longer. */
export function expireTransfer(replica: Replica, leadership: Leadership): void {
  if (leadership.transfer !== undefined && leadership.transfer.deadline <= replica.now) leadership.transfer = undefined
}
