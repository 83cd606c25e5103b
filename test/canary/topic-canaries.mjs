/** Planted bugs of topics: groups, retention, compaction; see `canaries.mjs`. */

export const TOPIC_CANARIES = [
  {
    name: 'give a partition before it was yielded',
    file: 'machine/topic/group.js',
    find: 'share.yielding = share.owner;\n            share.owner = 0;',
    replace: 'share.owner = 0;',
    suite: 'test/unit/machine/topic/group.test.ts',
  },
  {
    name: 'take a commit of an earlier generation',
    file: 'machine/topic/group.js',
    find: ' && share.since <= received',
    replace: '',
    suite: 'test/unit/machine/topic/group.test.ts',
  },
  {
    name: 'go on one record later than was committed',
    file: 'machine/topic/group.js',
    find: 'committed = offset + 1',
    replace: 'committed = offset + 2',
    suite: 'test/unit/machine/topic/group.test.ts',
  },
  {
    name: 'take an offset back by a commit that comes late',
    file: 'machine/topic/group.js',
    find: 'if (mayGoBack || offset >= share.committed)',
    replace: 'if (true)',
    suite: 'test/unit/machine/topic/group.test.ts',
  },
  {
    name: 'begin where the announcement says with a partition that was never given away',
    file: 'driver/native/topic/subscription.js',
    find: 'else if (wasToYield)\n                owned.reader.begin();',
    replace: 'else if (wasToYield) {\n this.#lose(partition);\n given.push([partition, committed]);\n }',
    suite: 'test/simulation/group.test.ts',
  },
  {
    name: 'keep a member whose lease has ended',
    file: 'machine/topic/groups.js',
    find: 'for (const group of [...groups].sort(byKey))\n            this.#leave(group, lease, time);',
    replace: '',
    suite: 'test/unit/machine/topic/group.test.ts',
  },
  {
    name: 'drop a record more than retention says',
    file: 'machine/topic/partition.js',
    find: 'this.log.count > keepCount',
    replace: 'this.log.count >= keepCount',
    suite: 'test/unit/machine/topic/topic.test.ts',
  },
  {
    name: 'compact away what has no key',
    file: 'machine/topic/record-compaction.js',
    find: "if (key === '')\n            return true;",
    replace: "if (key === '')\n            return false;",
    suite: 'test/unit/machine/topic/topic.test.ts',
  },
  {
    name: 'compact away that a key is gone',
    file: 'machine/topic/record-compaction.js',
    find: 'return !isEmpty || offset >= this.#end || time + KEEP_EMPTY_MICROS > now;',
    replace: 'return !isEmpty;',
    suite: 'test/unit/machine/topic/topic.test.ts',
  },
  {
    name: 'begin a replay after the time that was asked for',
    file: 'machine/topic/record-log.js',
    find: 'this.#segment(index).lastTime >= time',
    replace: 'this.#segment(index).lastTime > time',
    suite: 'test/unit/machine/topic/topic.test.ts',
  },
]
