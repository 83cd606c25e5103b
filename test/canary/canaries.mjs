/**
 * Canaries are planted bugs, each a promise of the paper or of the design broken by one line: the test of the tests.
 * `file` is below dist, `find` occurs in it exactly once, and `seeds` says within how many seeds the simulation must
 * have found it. `options` narrows the simulation for bugs that only one kind of fault brings to light.
 */

export const CANARIES = [
  {
    name: 'vote twice in a term',
    file: 'protocol/raft/voter.js',
    find: 'const granted = free && replica.log.isCoveredBy(message.last)',
    replace: 'const granted = replica.log.isCoveredBy(message.last)',
    seeds: 60,
  },
  {
    name: 'vote for a log that lacks entries',
    file: 'protocol/raft/log.js',
    find: 'return last.term > this.lastTerm || (last.term === this.lastTerm && last.index >= this.#lastIndex);',
    replace: 'return last.index >= 0;',
    seeds: 60,
  },
  {
    name: 'acknowledge before the disk has it',
    file: 'host/host.js',
    find: 'else if (slot.stagedIn === this.#staging.number)',
    replace: 'else if (Math.max(0, 1)) leave();\n        else if (slot.stagedIn === this.#staging.number)',
    seeds: 20,
  },
  {
    name: 'call a commit of the log done before its sync',
    file: 'host/log/write-ahead-log.js',
    find: 'return [this.#segments.current];',
    replace: 'return [];',
    seeds: 60,
  },
  {
    name: 'commit an entry of an older term by counting',
    file: 'protocol/raft/replication.js',
    find: 'if (index > replica.commit && replica.log.termAt(index) === replica.term)',
    replace: 'if (index > replica.commit)',
    seeds: 300,
  },
  {
    name: 'count a majority one short',
    file: 'protocol/raft/quorum.js',
    find: 'return Math.floor(count / 2) + 1',
    replace: 'return Math.max(1, Math.floor(count / 2))',
    seeds: 20,
  },
  {
    name: 'forget the vote over a restart',
    file: 'cluster/groups.js',
    find: 'const vote = isLater ? undefined : recovered.vote;',
    replace: 'const vote = undefined;',
    seeds: 400,
  },
  {
    name: 'forget the term over a restart',
    file: 'cluster/groups.js',
    find: 'const term = isLater ? applied.term : recovered.term;',
    replace: 'const term = recovered.log.at(-1)?.term ?? recovered.start.term;',
    seeds: 60,
  },
  {
    name: 'keep a tail that contradicts the leader',
    file: 'protocol/raft/follower.js',
    find: 'if (replica.log.holds(entry))',
    replace: 'if (entry.index <= replica.log.lastIndex)',
    seeds: 60,
  },
  {
    name: 'accept entries without looking at what comes before them',
    file: 'protocol/raft/follower.js',
    find: 'else if (!replica.log.holds(previous))',
    replace: 'else if (previous.index > replica.log.lastIndex)',
    seeds: 400,
  },
  {
    name: 'answer reads without asking whether one still leads',
    file: 'protocol/raft/leader.js',
    find: 'reads.takeConfirmed(committedIndex(replica.configuration, confirmedBy))',
    replace: 'reads.takeConfirmed(Math.max(reads.newest, committedIndex(replica.configuration, confirmedBy)))',
    seeds: 60,
    options: ['--nodes', '3', '--faults', 'partition'],
  },
  {
    name: 'answer reads before an entry of the own term is committed',
    file: 'protocol/raft/leader.js',
    find: 'if (reads.hasTurn && replica.commit >= leadership.opening)',
    replace: 'if (reads.hasTurn)',
    seeds: 200,
  },
  {
    name: 'run a repeated command again',
    file: 'machine/session.js',
    find: 'return session.admits(head.sequence, outcome);',
    replace: 'return session.admits(head.sequence, outcome) || true;',
    seeds: 100,
  },
  {
    name: 'answer a write when it is in the log, before it is committed',
    file: 'cluster/group.js',
    find: 'this.#proposals.placed(output.id, output.position);',
    replace:
      'this.#proposals.placed(output.id, output.position);\n                { const placed = this.#proposals.applied(output.position); for (let at = 0; placed && at < placed.ids.length; at++) placed.sources[at].reply(placed.ids[at], REPLY.answered, new Uint8Array([1, 1, 0, 0, 0, 0, 0, 0, 0])); }',
    seeds: 20,
  },
  {
    name: 'apply an entry twice after a restart from a snapshot',
    file: 'cluster/groups.js',
    find: 'const group = new Group(id, { core, machine, applied }, ports);',
    replace: 'const group = new Group(id, { core, machine, applied: core.first }, ports);',
    seeds: 200,
  },
  {
    name: 'let a wall clock decide inside the state machine',
    file: 'machine/shard.js',
    find: 'this.#time = Math.max(this.#time, batch.time);',
    replace: 'this.#time = Math.max(this.#time, batch.time) + (globalThis.canary = (globalThis.canary ?? 0) + 1);',
    seeds: 20,
  },
]
