/** Planted bugs of workers that drain; see `canaries.mjs`. */

const options = ['--workload', 'drain']

export const DRAIN_CANARIES = [
  {
    name: 'drain without waiting for handlers',
    file: 'message/worker.js',
    find: 'if (this.#running.size > 0) {',
    replace: 'if (this.#running.size > 1e9) {',
    seeds: 20,
    options,
  },
  {
    name: 'count among what a drain finished what had been finished before',
    file: 'message/worker.js',
    find: 'this.#finished = 0;',
    replace: '',
    seeds: 20,
    options,
  },
  {
    name: 'keep what a worker that ends has not settled',
    file: 'driver/native/queue/consumption.js',
    find: 'this.#stream.end();',
    replace: '',
    seeds: 20,
    options,
  },
]
