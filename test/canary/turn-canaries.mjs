/** Planted bugs in what a node does when: what leaves before what, and what is executed. */

export const TURN_CANARIES = [
  {
    name: 'leave what a sync has confirmed to some later turn',
    file: 'host/host.js',
    find: 'while (this.#isConfirmed || this.#dirty.length > 0);',
    replace: 'while (this.#dirty.length > 0);',
    suite: 'test/unit/host/host.test.ts',
  },
  {
    name: 'never execute what nobody waits for',
    file: 'host/host.js',
    find: 'this.#execute(() => true);',
    replace: 'this.#execute(() => false);',
    suite: 'test/unit/host/host.test.ts',
  },
  {
    name: 'answer for a follower that has not executed what it knows to be decided',
    file: 'cluster/group.js',
    find: 'this.execute();\n        const writer = new ByteWriter();',
    replace: 'const writer = new ByteWriter();',
    suite: 'test/unit/cluster/execution.test.ts',
  },
]
