/** The conformance suite of the topic facet, for any test runner. */

import { check, checkEqual, checkRejects } from './case.ts'
import { eventually, type TimedConformanceCase, texts } from './message-case.ts'
import { TopicScene } from './topic-scene.ts'

const RECORDS: readonly TimedConformanceCase[] = [
  {
    name: 'offsets of a partition begin at 0 and grow by one',
    async run(context) {
      const scene = new TopicScene(context)
      const offsets = [await scene.publish('a'), await scene.publish('b'), await scene.publish('c')]
      checkEqual(
        offsets.map(({ offset }) => offset),
        [0n, 1n, 2n],
        'offsets',
      )
    },
  },
  {
    name: 'a record comes as it was published, with topic, partition, offset, key, headers and time',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publish('a', 'k')
      const { records } = await scene.next(scene.subscribe({ from: 'earliest' }))
      const [record] = records
      checkEqual([record?.topic, record?.partition, record?.offset, record?.key], [context.name, 0, 0n, 'k'], 'place')
      checkEqual([texts(records), record?.headers], [['a'], { h: '1' }], 'content')
      check((record?.time ?? 0) > 0, 'a record has a time')
    },
  },
  {
    name: 'records of a key share a partition',
    async run(context) {
      const scene = new TopicScene(context, { partitions: 4 })
      const published = await Promise.all(Array.from({ length: 10 }, () => scene.publish('a', 'same')))
      checkEqual(new Set(published.map(({ partition }) => partition)).size, 1, 'partitions')
    },
  },
  {
    name: 'two readers see the same records in the same order',
    async run(context) {
      const scene = new TopicScene(context)
      const sent = Array.from({ length: 20 }, (_, at) => `${at}`)
      await scene.publishAll(...sent)
      const readers = [scene.subscribe({ from: 'earliest', batch: 3 }), scene.subscribe({ from: 'earliest', batch: 7 })]
      for (const reader of readers) checkEqual(await scene.read(reader, 20), sent, 'records')
    },
  },
  {
    name: 'an ephemeral subscription begins with what is published after it stands',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publish('before')
      const reader = scene.subscribe()
      const batch = scene.next(reader)
      await scene.sleep(300)
      await scene.publish('after')
      checkEqual(texts((await batch).records), ['after'], 'records')
    },
  },
  {
    name: 'reading begins at an offset or a time',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b')
      await scene.sleep(50)
      const { records } = await scene.next(scene.subscribe({ from: 'earliest' }))
      await scene.publishAll('c')
      checkEqual(await scene.read(scene.subscribe({ from: { offsets: new Map([[0, 1n]]) } }), 2), ['b', 'c'], 'from 1')
      const time = (records[1]?.time ?? 0) + 1
      checkEqual(await scene.read(scene.subscribe({ from: { time } }), 1), ['c'], 'from a time')
    },
  },
  {
    name: 'a batch says how much lies behind it',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const { lag, records } = await scene.next(scene.subscribe({ from: 'earliest', batch: 1 }))
      checkEqual([records.length, lag.records], [1, 2], 'records and lag')
    },
  },
  {
    name: 'no more records are kept than the rules say, and reading begins at the first that is',
    async run(context) {
      const scene = new TopicScene(context, { keepCount: 2 })
      await scene.publishAll('a', 'b', 'c', 'd')
      checkEqual(await scene.read(scene.subscribe({ from: 'earliest' }), 2), ['c', 'd'], 'records')
    },
  },
  {
    name: 'a pattern reads all topics that it matches, and no others',
    async run(context) {
      const scene = (name: string): TopicScene => new TopicScene({ ...context, name: `${context.name}.${name}` })
      const [one, two, deep] = [scene('one'), scene('two'), scene('three.deep')]
      for (const topic of [one, two, deep]) await topic.publish('before')
      const reader = scene('*').subscribe()
      const batch = one.next(reader)
      await one.sleep(300)
      await deep.publish('deep')
      await one.publish('1')
      await two.publish('2')
      const records = [...(await batch).records]
      while (records.length < 2) records.push(...(await one.next(reader)).records)
      checkEqual(texts(records).sort(), ['1', '2'], 'records')
    },
  },
  {
    name: 'topics that hold something are listed with their rules',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publish('a')
      const listed = (await scene.facet.topics({})).find(({ name }) => name === context.name)
      checkEqual(listed?.rules, scene.topic.rules, 'the rules of the topic')
    },
  },
]

const GROUPS: readonly TimedConformanceCase[] = [
  {
    name: 'a group reads from the beginning, and goes on where it has committed',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const first = scene.subscribe({ group: 'g', batch: 2 })
      const batch = await scene.next(first)
      checkEqual(texts(batch.records), ['a', 'b'], 'first batch')
      await batch.commit({})
      await first.return?.()
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 1), ['c'], 'after the commit')
    },
  },
  {
    name: 'what a group has not committed it reads again',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b')
      const first = scene.subscribe({ group: 'g' })
      await scene.read(first, 2)
      await first.return?.()
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 2), ['a', 'b'], 'records')
    },
  },
  {
    name: 'groups do not see each other',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a')
      for (const group of ['g', 'h', 'i']) {
        const reader = scene.subscribe({ group })
        const batch = await scene.next(reader)
        checkEqual(texts(batch.records), ['a'], `records of ${group}`)
        await batch.commit({})
        await reader.return?.()
      }
    },
  },
  {
    name: 'each partition has one owner, all have one, and a member more than partitions is idle',
    async run(context) {
      const scene = new TopicScene(context, { partitions: 2 })
      const readers = [1, 2, 3].map(() => scene.subscribe({ group: 'g' }))
      for (const reader of readers) void reader.next()
      await eventually(scene, 'three members share two partitions', async () => {
        const [group] = await scene.facet.groups(context.name, {})
        const owned = (group?.members ?? []).map(({ partitions }) => partitions)
        return (
          owned.length === 3 &&
          owned
            .flat()
            .sort((a, b) => a - b)
            .join() === '0,1' &&
          owned.every(({ length }) => length <= 1)
        )
      })
      for (const reader of readers) await reader.return?.()
    },
  },
  {
    name: 'a partition that moved is lost to its former owner, whose commit is FENCED',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a')
      const first = scene.subscribe({ group: 'g' })
      const batch = await scene.next(first)
      await first.return?.()
      check(batch.lost.aborted, 'the lost signal has aborted')
      await scene.read(scene.subscribe({ group: 'g' }), 1)
      await checkRejects(batch.commit({}), 'FENCED')
    },
  },
  {
    name: 'groups show their committed offsets and the ends of partitions',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const reader = scene.subscribe({ group: 'g', batch: 2 })
      await (await scene.next(reader)).commit({})
      const [group] = await scene.facet.groups(context.name, {})
      checkEqual([group?.group, group?.partitions[0]?.committed, group?.partitions[0]?.end], ['g', 2n, 3n], 'offsets')
      await reader.return?.()
    },
  },
  {
    name: 'a group without members can be set to any position; with members that is a CONFLICT',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const reader = scene.subscribe({ group: 'g' })
      await (await scene.next(reader)).commit({})
      await checkRejects(scene.facet.reset(scene.topic, 'g', 'earliest', {}), 'CONFLICT')
      // Whoever has left a loop has left the group.
      await reader.return?.()
      await scene.facet.reset(scene.topic, 'g', { offsets: new Map([[0, 1n]]) }, {})
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 2), ['b', 'c'], 'records')
    },
  },
]

const ENDS: readonly TimedConformanceCase[] = [
  {
    name: 'a subscription whose signal aborts rejects with its reason',
    async run(context) {
      const scene = new TopicScene(context)
      const controller = new AbortController()
      const next = scene.subscribe({ signal: controller.signal }).next()
      const reason = new Error('enough')
      controller.abort(reason)
      check((await next.catch((error: unknown) => error)) === reason, 'the reason of the signal')
    },
  },
  {
    name: 'the subscriptions of a driver that closes end with CLOSED',
    async run(context) {
      const driver = await context.connect()
      const scene = new TopicScene({ ...context, driver })
      const next = checkRejects(scene.subscribe().next(), 'CLOSED')
      await driver.close()
      await next
    },
  },
]

/** Every promise of `TopicFacet`; cases take some seconds each on the real clock. */
export const topicConformance: readonly TimedConformanceCase[] = [...RECORDS, ...GROUPS, ...ENDS]
