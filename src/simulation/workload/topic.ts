/** The topic workload publishes records that members of a group, who come, go and die, work off together. */

import { ByteReader } from '../../base/bytes.ts'
import { isTroupeError } from '../../base/error.ts'
import type { SeededRandom } from '../../base/random.ts'
import type { Millis } from '../../base/time.ts'
import { facetOf } from '../../data/facet.ts'
import type { NamedTopic, RecordBatch } from '../../driver/contract.ts'
import { decodeGroupState, GROUP_MAP } from '../../machine/topic/command.ts'
import { defineTopic } from '../../message/topic.ts'
import { type BatchRecord, checkTopic, type PublishRecord, type TopicEvent } from '../check/topic.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const PUBLISHERS = 2
const GROUP = 'billing'
const CALL_MS: Millis = 5000
const UTF8 = new TextDecoder()
const TEXT = new TextEncoder()

export function topicWorkload({ random, coverage }: WorkloadPorts): Workload {
  const shape = drawShape(random)
  const log: TopicLog = { events: [], coverage, working: new Set(), isAudited: false }
  return {
    programs: [
      auditorOf(shape, log),
      ...Array.from({ length: PUBLISHERS }, (_, at) => publisherOf(`publisher-${at}`, shape, log)),
      ...Array.from({ length: shape.members }, (_, at) => memberOf(`member-${at}`, shape, log)),
      readerOf(shape, log),
      followerOf(shape, log),
    ],
    isDone: () => log.isAudited,
    judge: () => checkTopic(log.events),
    history: log.events,
  }
}

interface Shape {
  readonly topic: NamedTopic
  readonly pauseMs: Millis
  readonly batch: number
  readonly keys: number
  /** Most batches of a member, before it leaves for a while. */
  readonly stay: number
  readonly members: number
}

/** Some topics are wide, and their members restless. */
function drawShape(random: SeededRandom): Shape {
  const partitions = 1 + random.below(8)
  const pauseMs = 20 + random.below(200)
  const batch = 1 + random.below(20)
  const isWide = random.next() < 0.15
  const { name, rules } = defineTopic('orders', { partitions: isWide ? 64 : partitions })
  const wide = { keys: 300, stay: 30, members: 6 }
  return { topic: { name, rules }, pauseMs, batch, ...(isWide ? wide : { keys: 12, stay: 100, members: 4 }) }
}

interface TopicLog {
  readonly events: TopicEvent[]
  readonly coverage: Coverage
  /** Publishers that have not returned. */
  readonly working: Set<string>
  isAudited: boolean
}

function publisherOf(name: string, shape: Shape, log: TopicLog): Program {
  const make = (context: ProgramContext, number: number): Promise<unknown> =>
    publish(`${context.name}.${number}`, `key-${context.random.below(shape.keys)}`, context, { shape, log })
  return producer(name, { working: log.working, pauseMs: shape.pauseMs, make })
}

interface Parts {
  readonly shape: Shape
  readonly log: TopicLog
}

async function publish(content: string, key: string, context: ProgramContext, parts: Parts): Promise<boolean> {
  const { now } = context
  const record: PublishRecord = {
    type: 'publish',
    content,
    invokedAt: now(),
    returnedAt: Number.POSITIVE_INFINITY,
    outcome: 'unknown',
    partition: -1,
    offset: undefined,
  }
  parts.log.events.push(record)
  const message = { key, headers: {}, payload: TEXT.encode(content) }
  const published = await attempt(
    facetOf(context.driver, 'topic').publish(parts.shape.topic, message, { timeout: CALL_MS }),
  )
  record.returnedAt = now()
  record.outcome = published.outcome
  if (published.outcome !== 'ok') return false
  record.partition = published.value.partition
  record.offset = Number(published.value.offset)
  return true
}

/** Joins, works some batches off, leaves, and comes again. */
function memberOf(name: string, shape: Shape, log: TopicLog): Program {
  return {
    name,
    async run(_, context) {
      const { random, ending, closing, sleep } = context
      for (let term = 0; !ending.aborted; term++) {
        const count = closing.aborted ? Number.POSITIVE_INFINITY : 5 + random.below(shape.stay)
        await readSome({ name: `${context.name}.${term}`, group: GROUP, count }, context, { shape, log })
        await sleep(random.below(2000))
      }
    },
  }
}

/** Reads everything for itself. */
function readerOf(shape: Shape, log: TopicLog): Program {
  return {
    name: 'reader',
    async run(_, context) {
      const everything = { name: context.name, group: undefined, count: Number.POSITIVE_INFINITY }
      await readSome(everything, context, { shape, log })
    },
  }
}

/** Who reads how many batches. */
interface Reading {
  readonly name: string
  readonly group: string | undefined
  readonly count: number
}

async function readSome({ name, group, count }: Reading, context: ProgramContext, parts: Parts): Promise<void> {
  const { ending, random, sleep, now } = context
  const readers = new Map<AbortSignal, string>()
  const from = group === undefined ? { from: 'earliest' as const } : { group }
  const options = { ...from, batch: parts.shape.batch, signal: ending }
  let left = count
  try {
    for await (const batch of facetOf(context.driver, 'topic').subscribe(parts.shape.topic, options)) {
      const reader = readers.get(batch.lost) ?? `${name}.${readers.size}`
      readers.set(batch.lost, reader)
      note(batch, { reader, isMember: group !== undefined, at: now() }, parts.log)
      // A few take longer than others are ready to wait for.
      await sleep(random.below(group !== undefined && random.next() < 0.02 ? 10_000 : 60))
      // Whoever leaves in the middle of a batch leaves it to the next owner.
      if (--left === 0 && random.next() < 0.5) return
      while (group !== undefined && !(await commit(batch, reader, context, parts.log)));
      if (left === 0) return
    }
  } catch (error) {
    if (!ending.aborted) throw error
  }
}

function note(batch: RecordBatch, by: Pick<BatchRecord, 'reader' | 'isMember' | 'at'>, log: TopicLog): void {
  log.events.push({
    ...by,
    type: 'batch',
    partition: batch.partition,
    offset: Number(batch.records[0]?.offset ?? -1),
    contents: batch.records.map(({ payload }) => UTF8.decode(payload)),
  })
}

/** Resolves to whether there is nothing more to do about it. */
async function commit(batch: RecordBatch, reader: string, { now }: ProgramContext, log: TopicLog): Promise<boolean> {
  const record = {
    type: 'commit' as const,
    reader,
    partition: batch.partition,
    next: Number(batch.records.at(-1)?.offset ?? -1) + 1,
    invokedAt: now(),
    returnedAt: Number.POSITIVE_INFINITY,
    outcome: 'unknown' as 'ok' | 'failed' | 'unknown',
  }
  log.events.push(record)
  const committed = await attempt(batch.commit({ timeout: CALL_MS }), 'FENCED', 'LEASE_LOST')
  record.returnedAt = now()
  record.outcome = committed.outcome
  if (committed.outcome === 'ok') return true
  if (committed.code === 'FENCED') log.coverage.reached('commit-fenced')
  return batch.lost.aborted || committed.code === 'FENCED'
}

/** Follows what is announced of the group, and sees to it that in the end everything is committed. */
function auditorOf(shape: Shape, log: TopicLog): Program {
  return auditor(log, async (_, context) => {
    for (let number = 0; !(await publish(`probe.${number}`, 'key-0', context, { shape, log })); number++);
    while (!(await isCommitted(shape, log, context))) await context.sleep(200)
  })
}

/** Notes who owns what. */
function followerOf(shape: Shape, log: TopicLog): Program {
  return { name: 'follower', isSpared: true, run: (_, context) => follow(shape, log, context) }
}

async function follow({ topic }: Shape, log: TopicLog, { driver, ending }: ProgramContext): Promise<void> {
  const key = `${topic.name}/${GROUP}`
  const changes = driver.keyValue.watch(GROUP_MAP, { from: key, until: `${key}\0` }, { signal: ending })
  try {
    for await (const change of changes) {
      if (change.type !== 'set') continue
      const { generation, partitions } = decodeGroupState(new ByteReader(change.value))
      const owners = partitions.map(({ owner }) => owner)
      const committed = partitions.map((partition) => partition.committed ?? 0)
      log.events.push({ type: 'group', generation, owners, committed })
      log.coverage.reached('group-rebalanced')
    }
  } catch (error) {
    // What was missed of the announcements is not judged.
    if (!ending.aborted && !isTroupeError(error, 'COMPACTED')) throw error
  }
}

/** Whether the group has no lag; then notes where it stands. */
async function isCommitted({ topic }: Shape, log: TopicLog, context: ProgramContext): Promise<boolean> {
  const found = await attempt(facetOf(context.driver, 'topic').groups(topic.name, { timeout: CALL_MS }))
  const group = found.outcome === 'ok' ? found.value.find((each) => each.group === GROUP) : undefined
  if (group === undefined || group.partitions.some(({ committed, end }) => committed < end)) return false
  for (const { partition, committed, end } of group.partitions) {
    log.events.push({ type: 'end', partition, committed: Number(committed), end: Number(end) })
  }
  return true
}
