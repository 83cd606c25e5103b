/** Coverage counts how often rare states were reached: a test that never gets there proves nothing about them. */

/** The states that a campaign of seeds is expected to reach, each with why it matters. */
export const STATES = {
  'leader-elected': 'a group has got a leader',
  'leader-replaced': 'another replica leads than before',
  'leader-deposed-by-no-quorum': 'a leader that no longer heard a majority stepped down',
  'two-leaders-at-once': 'an old leader had not noticed yet that a new one leads',
  'tail-truncated': 'a replica dropped entries that were never committed',
  'leader-with-uncommitted-tail': 'a new leader held entries of older terms that nobody knew to be committed',
  'snapshot-taken': 'a log was cut behind a snapshot',
  'snapshot-installed': 'a replica that had fallen behind the log was given a snapshot',
  'recovered-unacknowledged': 'a replica came back with entries that were not committed when it crashed',
  'recovered-less-than-staged': 'a crash lost entries that were on their way to disk',
  'all-nodes-down': 'the whole cluster lost its power at once',
  'minority-leader': 'a leader was cut off from every other node',
  'outcome-unknown': 'a client could not learn what became of a write',
  'outcome-learned': 'a client asked what became of a write, and was told',
  conflict: 'a compare-and-set met another revision',
  'no-quorum-refused': 'an operation was refused for want of a majority',
  'connection-lost': 'two nodes lost their connection',
  'disk-failed': 'a node stopped because its disk failed',
  'disk-full': 'a node stopped because its disk had no room',
  'page-unreadable': 'a node did not start because the device could not read what it had written in part',
  'start-interrupted': 'a node lost its power while it started',
  'stood-still': 'a node stood still for half a second while it wrote to its log',
  'leader-slept': 'a node that led stood still for ten seconds, and woke',
  'message-redelivered': 'a message came again',
  'message-dead': 'a message became a dead letter',
  'settlement-fenced': 'a consumer settled a message whose lease was over, and was refused',
  'large-delivered': 'a payload came in pieces',
  'piece-mended': 'a damaged piece of a payload came from another replica',
  'piece-missing': 'a damaged piece could not be had, because no other replica was there',
  'send-deduplicated': 'a message was sent again under its deduplication id',
  'message-superseded': 'a message took the place of another one of its deduplication id, or follows it',
  'message-expired': 'a message became a dead letter because its time was over',
  'message-redriven': 'a dead letter was brought back',
  'queue-full': 'a message was refused for want of room',
  'queue-deleted': 'a queue was deleted with messages in it',
  'topic-deleted': 'a topic was deleted',
  'watch-compacted': 'a watch fell behind what is kept, and was told',
  'drain-released': 'a worker that drained gave back what it had not begun',
  'drain-abandoned': 'the time of a drain was over before its handlers were',
  'group-rebalanced': 'the members of a group shared its partitions anew',
  'commit-fenced': 'a member committed what another one owned by then, and was refused',
  'handler-failed': 'a handler failed after it had emitted',
  'lock-lost': 'a holder lost its lock before it released it',
  'write-fenced': 'a holder that had lost its lock wrote, and was refused',
} as const

/** A state that is seldom reached, by its name. */
export type RareState = keyof typeof STATES

export class Coverage {
  readonly #counts = new Map<RareState, number>()

  reached(state: RareState): void {
    this.#counts.set(state, (this.#counts.get(state) ?? 0) + 1)
  }

  /** How often each state was reached, all of them, in the order of {@link STATES}. */
  counts(): Record<RareState, number> {
    const states = Object.keys(STATES) as RareState[]
    return Object.fromEntries(states.map((state) => [state, this.#counts.get(state) ?? 0])) as Record<RareState, number>
  }
}
