/**
 * A topic's history is what publishers, readers and the members of a group saw of its records; checking it finds every
 * promise that it contradicts.
 */

import type { Millis } from '../../base/time.ts'

export interface PublishRecord {
  readonly type: 'publish'
  /** No two of a history are the same. */
  readonly content: string
  readonly invokedAt: Millis
  returnedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown'
  partition: number
  /** Undefined unless it is known. */
  offset: number | undefined
}

/** Records of one partition, as one reader got them. */
export interface BatchRecord {
  readonly type: 'batch'
  /** One time that somebody owned the partition, or one ephemeral subscription's part of it. */
  readonly reader: string
  readonly isMember: boolean
  readonly partition: number
  /** Of the first record. */
  readonly offset: number
  readonly contents: readonly string[]
  readonly at: Millis
}

export interface CommitRecord {
  readonly type: 'commit'
  readonly reader: string
  readonly partition: number
  /** Of the next record to read. */
  readonly next: number
  readonly invokedAt: Millis
  returnedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown'
}

/** The group as it was announced; announcements are in their order. */
export interface GroupRecord {
  readonly type: 'group'
  readonly generation: number
  /** By partition; 0 for nobody. */
  readonly owners: readonly number[]
  /** By partition; 0 for none. */
  readonly committed: readonly number[]
}

/** What the group had committed at the end, and where partitions ended. */
export interface EndRecord {
  readonly type: 'end'
  readonly partition: number
  readonly committed: number
  readonly end: number
}

export type TopicEvent = PublishRecord | BatchRecord | CommitRecord | GroupRecord | EndRecord

/** Every promise that was broken, as a sentence. Expects that the group had committed everything at the end. */
export function checkTopic(history: readonly TopicEvent[]): readonly string[] {
  const publishes = history.filter((event) => event.type === 'publish')
  const batches = history.filter((event) => event.type === 'batch')
  const commits = history.filter((event) => event.type === 'commit')
  return [
    ...checkRecords(publishes, batches),
    ...checkPublishOrder(publishes),
    ...checkReaders(batches, commits),
    ...checkCommits(commits),
    ...checkOwners(history.filter((event) => event.type === 'group')),
    ...checkEnds(history, commits),
  ]
}

/** Everybody sees the same records at the same offsets, each once; the group misses none that was accepted. */
function checkRecords(publishes: readonly PublishRecord[], batches: readonly BatchRecord[]): string[] {
  const broken: string[] = []
  const places = new Map<string, string>()
  const contents = new Map<string, string>()
  const handled = new Set<string>()
  const place = (content: string, partition: number, offset: number): void => {
    const at = `${partition}:${offset}`
    const other = contents.get(at) ?? content
    const elsewhere = places.get(content) ?? at
    if (other !== content) broken.push(`${at} is both ${other} and ${content}`)
    if (elsewhere !== at) broken.push(`${content} is both at ${elsewhere} and at ${at}`)
    contents.set(at, content)
    places.set(content, at)
  }
  for (const { content, partition, offset } of publishes) if (offset !== undefined) place(content, partition, offset)
  for (const { partition, offset, contents: read, isMember } of batches) {
    for (const [at, content] of read.entries()) {
      place(content, partition, offset + at)
      if (isMember) handled.add(content)
    }
  }
  const outcomes = new Map(publishes.map(({ content, outcome }) => [content, outcome]))
  for (const content of places.keys()) {
    const outcome = outcomes.get(content)
    if (outcome === undefined) broken.push(`nobody published ${content}`)
    if (outcome === 'failed') broken.push(`${content} is there although its publish had failed`)
  }
  for (const [content, outcome] of outcomes) {
    if (outcome === 'ok' && !handled.has(content))
      broken.push(`${content} (${places.get(content)}) never came to the group`)
  }
  return broken
}

/** In a partition what was published after another record has been accepted comes after it. */
function checkPublishOrder(publishes: readonly PublishRecord[]): string[] {
  return publishes.flatMap((later) => {
    const late = publishes.find(
      (earlier) =>
        earlier.partition === later.partition &&
        earlier.returnedAt < later.invokedAt &&
        (earlier.offset ?? -1) > (later.offset ?? Number.POSITIVE_INFINITY),
    )
    return late === undefined ? [] : [`${later.content} was published after ${late.content} and lies before it`]
  })
}

/** No reader skips a record; a new owner begins no later than at what may have been committed, and no earlier than at what was. */
function checkReaders(batches: readonly BatchRecord[], commits: readonly CommitRecord[]): string[] {
  const broken: string[] = []
  const next = new Map<string, number>()
  for (const { reader, isMember, partition, offset, contents, at } of batches) {
    const name = `${reader} of ${partition}`
    const asked = commits.filter((commit) => commit.partition === partition && commit.invokedAt <= at)
    const most = isMember ? Math.max(0, ...asked.map((commit) => commit.next)) : 0
    const expected = next.get(name)
    const done = asked.filter(({ outcome, returnedAt }) => outcome === 'ok' && returnedAt < at)
    const least = isMember ? Math.max(0, ...done.map((commit) => commit.next)) : 0
    if (expected === undefined && offset > most)
      broken.push(`${name} began at ${offset}, and no more than ${most} was committed`)
    if (expected === undefined && offset < least)
      broken.push(`${name} began at ${offset} (${at}) after ${least} had been committed`)
    if (expected !== undefined && offset !== expected) broken.push(`${name} got ${offset} after ${expected - 1}`)
    next.set(name, offset + contents.length)
  }
  return broken
}

/** What is committed does not go back: who no longer owns a partition commits nothing. */
function checkCommits(commits: readonly CommitRecord[]): string[] {
  const done = commits.filter(({ outcome }) => outcome === 'ok')
  return done.flatMap((commit) => {
    const over = done.find(
      (other) =>
        other.partition === commit.partition && other.returnedAt < commit.invokedAt && other.next > commit.next,
    )
    if (over === undefined) return []
    return [
      `${commit.reader} committed ${commit.partition}:${commit.next} after ${over.reader} had committed ${over.next}`,
    ]
  })
}

/** One owner of a partition for each generation; generations and offsets only grow. */
function checkOwners(groups: readonly GroupRecord[]): string[] {
  const broken: string[] = []
  const owners = new Map<string, number>()
  for (const [at, { generation, owners: now, committed }] of groups.entries()) {
    const before = groups[at - 1]
    if (before !== undefined && generation < before.generation) {
      broken.push(`generation ${generation} was announced after ${before.generation}`)
    }
    for (const [partition, owner] of now.entries()) {
      const name = `${generation} ${partition}`
      const other = owners.get(name) ?? 0
      if (owner !== 0 && other !== 0 && other !== owner) {
        broken.push(`partition ${partition} was owned by ${other} and by ${owner} in generation ${generation}`)
      }
      if (owner !== 0) owners.set(name, owner)
      const least = before?.committed[partition] ?? 0
      const offset = committed[partition] ?? 0
      if (offset < least) broken.push(`what was committed of ${partition} went back from ${least} to ${offset}`)
    }
  }
  return broken
}

function checkEnds(history: readonly TopicEvent[], commits: readonly CommitRecord[]): string[] {
  return history.flatMap((event) => {
    if (event.type !== 'end') return []
    const { partition, committed, end } = event
    const done = commits.filter((commit) => commit.partition === partition && commit.outcome === 'ok')
    const least = Math.max(0, ...done.map(({ next }) => next))
    if (committed < least) return [`${partition}:${committed} stands committed, and ${least} had been`]
    return committed > end ? [`${partition}:${committed} is committed and the end is ${end}`] : []
  })
}
