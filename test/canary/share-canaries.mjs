/** Planted bugs of what several hold at once, and of what is handed over. */

export const SHARE_CANARIES = [
  {
    name: 'give one permit more than there are',
    file: 'machine/lease/lock.js',
    find: 'this.#used + permits <= this.of;',
    replace: 'this.#used + permits <= this.of + (this.of < 100 ? 1 : 0);',
    seeds: 10,
    options: ['--workload', 'share'],
  },
  {
    name: 'let a writer in beside a reader',
    file: 'machine/lease/lock.js',
    find: 'this.#used + permits <= this.of;',
    replace: 'this.#used + permits <= this.of + (permits > 1 ? 1 : 0);',
    seeds: 20,
    options: ['--workload', 'share'],
  },
  {
    name: 'hand an office over to whoever is next in line',
    file: 'machine/lease/lock.js',
    find: 'this.#waiters = new Map([[lease, preferred], ...this.#waiters]);',
    replace: 'this.#waiters.set(lease, preferred);',
    seeds: 30,
    options: ['--workload', 'share', '--faults', ''],
  },
  {
    name: 'let only the newest of several holders write',
    file: 'machine/lease/lease.js',
    find: 'if (lock?.isHeldBy(token) !== true)\n                settle',
    replace: 'if (lock === undefined || lock.newestToken > token)\n                settle',
    seeds: 30,
    options: ['--workload', 'share'],
  },
  {
    name: 'let in writes beside a lock that was given back',
    file: 'machine/lease/lease.js',
    find: 'if (isHome || lock !== undefined)',
    replace: 'if (lock !== undefined)',
    seeds: 30,
    options: ['--workload', 'share'],
  },
  {
    name: 'let a reader write after a writer',
    file: 'machine/lease/lease.js',
    find: 'if (lock?.isHeldBy(token) !== true)\n                settle',
    replace: 'if (lock === undefined)\n                settle',
    seeds: 30,
    options: ['--workload', 'share'],
  },
]
