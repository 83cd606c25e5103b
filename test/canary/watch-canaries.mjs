/** Planted bugs of watches; see `canaries.mjs`. */

const options = ['--workload', 'watch']

export const WATCH_CANARIES = [
  {
    name: 'go on behind changes that are forgotten, and say nothing',
    file: 'machine/key-value/changes.js',
    find: 'revision < this.#forgotten',
    replace: 'revision < 0',
    seeds: 100,
    options,
  },
  {
    name: 'go on with a watch at another node from now on',
    file: 'driver/native/stream/shard-watch.js',
    find: 'this.#through === undefined ? NOW',
    replace: 'this.#backoff !== undefined ? NOW',
    seeds: 20,
    options,
  },
  {
    name: 'say of a watch that it stands before all of its shards say so',
    file: 'driver/native/stream/watch.js',
    find: 'this.#options.signal?.reason);',
    replace: 'this.#options.signal?.reason);\n    #said = queueMicrotask(() => this.#options.onStanding?.());',
    suite: 'test/simulation/standing.test.ts',
  },
]
