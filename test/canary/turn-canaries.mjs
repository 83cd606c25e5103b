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
  {
    name: 'write zeros over what the last page of the log had',
    file: 'platform/appended-file.js',
    find: 'pages.set(this.#lastPage.subarray(0, inPage));',
    replace: 'pages.fill(0, 0, inPage);',
    suite: 'test/unit/platform/appended-file.test.ts',
  },
  {
    name: 'take damage in the middle of the log for its torn end',
    file: 'host/log/recovery.js',
    find: 'if (witness !== undefined)',
    replace: 'if (witness === null)',
    suite: 'test/unit/host/log/recovery.test.ts',
  },
]
