/** A contradiction is what no replica that follows the protocol could have said: its sender is damaged, or lies. */

import type { NodeId } from '../../base/identity.ts'
import type { Term } from '../core.ts'
import type { Append, AppendReply, HeartbeatReply, RaftMessage } from './message.ts'
import type { Replica } from './replica.ts'

/** A million elections in which a replica had no part take weeks. Without a bound, one number could use up all terms there are. */
const MOST_TERMS_AHEAD = 2 ** 20

/**
 * Why this message can't be true, as far as can be seen here; undefined when it can. What a peer must be believed, such
 * as what is committed, it may lie about.
 */
export function contradictionOf(replica: Replica, from: NodeId, message: RaftMessage): string | undefined {
  if (message.term - replica.term > MOST_TERMS_AHEAD) return `term ${message.term} after term ${replica.term}`
  switch (message.type) {
    case 'vote':
    case 'pre-vote':
      return message.last.term < message.term ? undefined : 'a candidate with entries of the term that it asks for'
    case 'append':
      return ofLeader(replica, from, message.term) ?? ofEntries(message)
    case 'heartbeat':
      return ofLeader(replica, from, message.term)
    case 'append-reply':
    case 'heartbeat-reply':
      return message.term === replica.term ? ofReply(replica, message) : undefined
    default:
      return
  }
}

/** Whether this node may lead in this term, as far as is known here. */
export function mayLead(replica: Replica, node: NodeId, term: Term): boolean {
  const ahead = term - replica.term
  if (ahead !== 0) return ahead > 0 && ahead <= MOST_TERMS_AHEAD
  return replica.leader === undefined || replica.leader === node
}

/** Whoever leads an earlier term is told so. */
function ofLeader(replica: Replica, from: NodeId, term: Term): string | undefined {
  return term < replica.term || mayLead(replica, from, term) ? undefined : `a second leader of term ${term}`
}

function ofEntries({ term, previous, entries }: Append): string | undefined {
  let last = previous.term
  for (const entry of entries) {
    if (entry.term < last) return 'entries whose terms decrease'
    last = entry.term
  }
  if (!Number.isSafeInteger(previous.index + entries.length)) return 'more entries than can be counted'
  return last > term ? 'entries of a later term than their leader' : undefined
}

/** A leader's log has whatever it has sent, and whatever is committed. */
function ofReply({ log, leadership }: Replica, reply: AppendReply | HeartbeatReply): string | undefined {
  if (leadership === undefined) return
  if (reply.commit > log.lastIndex) return 'a commit index beyond the log of the leader'
  if (reply.type === 'heartbeat-reply')
    return reply.round > leadership.reads.newest ? 'a round of reads that has not begun' : undefined
  return reply.accepted && reply.match > log.lastIndex ? 'an acknowledgement of what was not sent' : undefined
}
