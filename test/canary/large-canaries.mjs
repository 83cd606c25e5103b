/** Planted bugs of payloads that come in pieces; see `canaries.mjs`. */

export const LARGE_CANARIES = [
  {
    name: 'ask nobody for a damaged piece',
    file: 'cluster/piece-repair.js',
    find: 'candidates: [...this.#ports.peers()]',
    replace: 'candidates: []',
    seeds: 60,
    options: ['--workload', 'queue', '--nodes', '3', '--faults', 'rot'],
  },
  {
    name: 'let a snapshot stand for pieces that are not synced',
    file: 'host/piece-files.js',
    find: 'const [upload] = dirty;',
    replace: 'const upload = undefined;',
    seeds: 60,
    options: ['--workload', 'queue'],
  },
  {
    name: 'send a snapshot without the pieces behind it',
    file: 'cluster/snapshot/pieces.js',
    find: 'bytes: snapshot.bytes + length,',
    replace: 'bytes: snapshot.bytes,',
    seeds: 200,
    options: ['--workload', 'queue'],
  },
  {
    name: 'keep the pieces of a payload whose message is gone',
    file: 'machine/queue/uploads.js',
    find: 'this.#store.delete(id);',
    replace: '',
    suite: 'test/unit/machine/queue/large.test.ts',
  },
  {
    name: 'take a payload for whole that lacks pieces',
    file: 'machine/queue/uploads.js',
    find: 'return pieces !== undefined && at === bytes;',
    replace: 'return pieces !== undefined;',
    suite: 'test/unit/machine/queue/large.test.ts',
  },
]
