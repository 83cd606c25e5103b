/** Planted bugs of queues and topics that are deleted, and of rules that several users say; see `canaries.mjs`. */

const options = ['--workload', 'deletion']

export const DELETION_CANARIES = [
  {
    name: 'forget the last shard when a queue is deleted',
    file: 'driver/native/queue/queue.js',
    find: 'const slices = shards.map(',
    replace: 'const slices = shards.slice(1).map(',
    seeds: 30,
    options,
  },
  {
    name: 'keep the records of a topic that is deleted',
    file: 'machine/topic/topic.js',
    find: 'this.#topics.delete(name);',
    replace: '',
    seeds: 30,
    options,
  },
  {
    name: 'consume by rules that somebody else has said before',
    file: 'driver/native/queue/queue.js',
    find: 'return this.#rules.prepare(queue, { timeout: Number.POSITIVE_INFINITY });',
    replace: 'return this.#router.whenReady({ timeout: Number.POSITIVE_INFINITY });',
    seeds: 30,
    options,
  },
]
