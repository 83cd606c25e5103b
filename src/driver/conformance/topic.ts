/** The conformance suite of the topic facet, for any test runner. */

import type { RecordBatch } from '../contract.ts'
import { check, checkEqual, checkRejects } from './case.ts'
import { TOPIC_DELETES } from './delete-case.ts'
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
    name: 'a batch and a group say for how long the first record behind them has waited',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b')
      await scene.sleep(500)
      await scene.publishAll('c')
      const reader = scene.subscribe({ group: 'g', batch: 1 })
      const a = await scene.next(reader)
      check(a.lag.ms >= 500 && a.lag.ms < 5000, `b has waited for 500 ms, not for ${a.lag.ms}`)
      const lag = async (): Promise<number> => {
        const [group] = await scene.facet.groups(context.name, {})
        return group?.partitions[0]?.lagMs ?? Number.NaN
      }
      const before = await lag()
      check(before >= 500 && before < 5000, `a has waited for 500 ms, not for ${before}`)
      await scene.next(reader)
      const c = await scene.next(reader)
      checkEqual(c.lag, { records: 0, ms: 0 }, 'lag at the end')
      await c.commit({})
      checkEqual(await lag(), 0, 'lag of the group at the end')
      await reader.return?.()
    },
  },
  {
    name: 'partitions say what they keep',
    async run(context) {
      const scene = new TopicScene(context, { keepCount: 2 })
      const status = async (): Promise<unknown> => {
        const [partition] = await scene.facet.partitions(scene.topic, {})
        return [partition?.first, partition?.end, partition?.records, (partition?.newest ?? 0) > 0]
      }
      checkEqual(await status(), [0n, 0n, 0, false], 'an empty partition')
      await scene.publishAll('a', 'b', 'c', 'd')
      checkEqual(await status(), [2n, 4n, 2, true], 'a partition with rules')
    },
  },
  {
    name: 'a topic has as many partitions as it began with, for more or fewer would move keys',
    async run(context) {
      await new TopicScene(context, { partitions: 4 }).publish('a')
      await checkRejects(new TopicScene(context, { partitions: 2 }).publish('b'), 'CONFLICT')
      await checkRejects(new TopicScene(context, { partitions: 8 }).publish('b'), 'CONFLICT')
      const { facet, topic } = new TopicScene(context, { partitions: 4, keepCount: 9 })
      checkEqual((await facet.partitions(topic, {})).length, 4, 'partitions')
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
    name: 'a pattern reads topics that come later, from their first record on',
    async run(context) {
      const scene = (name: string): TopicScene => new TopicScene({ ...context, name: `${context.name}.${name}` })
      const [one, two] = [scene('one'), scene('two')]
      await one.publish('before')
      const reader = scene('>').subscribe()
      const batch = one.next(reader)
      await one.sleep(300)
      await two.publishAll('1', '2')
      await scene('three').publish('3', 'k')
      const records = [...(await batch).records]
      while (records.length < 3) records.push(...(await one.next(reader)).records)
      checkEqual(texts(records).sort(), ['1', '2', '3'], 'records')
      await reader.return?.()
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
    name: 'a commit of an earlier batch takes nothing back',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const first = scene.subscribe({ group: 'g', batch: 1 })
      const batches = [await scene.next(first), await scene.next(first)]
      for (const batch of batches.reverse()) await batch.commit({})
      await first.return?.()
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 1), ['c'], 'after the commits')
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
    name: 'three groups and two readers without one each get every record once',
    async run(context) {
      const scene = new TopicScene(context, { partitions: 3 })
      const sent = Array.from({ length: 60 }, (_, at) => `${at}`)
      const groups = ['g', 'h', 'i'].flatMap((group) => [scene.subscribe({ group }), scene.subscribe({ group })])
      const ephemeral = [scene.subscribe(), scene.subscribe()]
      const got = new Map([...groups, ...ephemeral].map((reader) => [reader, [] as string[]]))
      const follow = async (reader: AsyncIterator<RecordBatch>): Promise<void> => {
        for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
          got.get(reader)?.push(...texts(next.value.records))
          await next.value.commit({})
        }
      }
      const following = [...got.keys()].map(follow)
      await eventually(scene, 'each group has two members with partitions', async () => {
        const owned = (await scene.facet.groups(context.name, {})).flatMap(({ members }) => members)
        return owned.length === 6 && owned.every(({ partitions }) => partitions.length > 0)
      })
      await scene.sleep(300)
      for (const text of sent) await scene.publish(text, text)
      const all = (readers: readonly AsyncIterator<RecordBatch>[]): string[] =>
        readers.flatMap((reader) => got.get(reader) ?? [])
      const shares = [groups.slice(0, 2), groups.slice(2, 4), groups.slice(4), ...ephemeral.map((reader) => [reader])]
      await eventually(scene, 'all have everything', () =>
        shares.every((readers) => all(readers).length >= sent.length),
      )
      for (const readers of shares) checkEqual(all(readers).sort(), [...sent].sort(), 'records')
      for (const reader of got.keys()) await reader.return?.()
      await Promise.all(following)
    },
  },
  {
    name: 'a group is set back by time, and reads the same records in the same order',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('old', 'older')
      await scene.sleep(500)
      await scene.publishAll('a', 'b', 'c')
      const read = async (count: number): Promise<RecordBatch[]> => {
        const reader = scene.subscribe({ group: 'g', batch: 1 })
        const batches: RecordBatch[] = []
        while (batches.length < count) {
          const batch = await scene.next(reader)
          batches.push(batch)
          await batch.commit({})
        }
        await reader.return?.()
        return batches
      }
      const first = (await read(5)).flatMap(({ records }) => records)
      await eventually(scene, 'the group has no members', async () => {
        const [group] = await scene.facet.groups(context.name, {})
        return group?.members.length === 0
      })
      await scene.facet.reset(scene.topic, 'g', { time: (first[1]?.time ?? 0) + 250 }, {})
      const again = (await read(3)).flatMap(({ records }) => records)
      checkEqual(
        again.map(({ offset }) => offset),
        [2n, 3n, 4n],
        'offsets',
      )
      checkEqual(texts(again), ['a', 'b', 'c'], 'records')
    },
  },
  {
    name: 'a commit of an earlier batch after that of a later one takes nothing back',
    async run(context) {
      const scene = new TopicScene(context)
      await scene.publishAll('a', 'b', 'c')
      const reader = scene.subscribe({ group: 'g', batch: 1 })
      const [a, b] = [await scene.next(reader), await scene.next(reader)]
      await b.commit({})
      await a.commit({})
      await reader.return?.()
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 1), ['c'], 'records after the commits')
    },
  },
  {
    name: 'an offset beyond the end is refused, for nothing up to there would ever be read',
    async run(context) {
      const scene = new TopicScene(context, { partitions: 2 })
      const { partition } = await scene.publish('a', 'k')
      const other = 1 - partition
      const beyond = {
        offsets: new Map([
          [other, 0n],
          [partition, 2n],
        ]),
      }
      await checkRejects(scene.facet.reset(scene.topic, 'g', beyond, {}), 'INVALID_ARGUMENT')
      await checkRejects(scene.subscribe({ from: beyond }).next(), 'INVALID_ARGUMENT')
      await checkRejects(scene.subscribe({ group: 'h', from: beyond }).next(), 'INVALID_ARGUMENT')
      await scene.facet.reset(scene.topic, 'g', { offsets: new Map([[partition, 1n]]) }, {})
      await scene.publish('b', 'k')
      checkEqual(await scene.read(scene.subscribe({ group: 'g' }), 1), ['b'], 'records from the end on')
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
export const topicConformance: readonly TimedConformanceCase[] = [...RECORDS, ...GROUPS, ...ENDS, ...TOPIC_DELETES]
