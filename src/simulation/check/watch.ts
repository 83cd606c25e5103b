/**
 * A watch's history is what was written and what watches showed of it; checking it finds every change that one missed,
 * repeated or made up.
 */

import type { Millis } from '../../base/time.ts'

/** One attempt to set a key to a value that no other has, or to delete it. */
export interface WriteRecord {
  readonly type: 'write'
  readonly key: string
  /** `''` of a deletion. */
  readonly value: string
  readonly invokedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown'
  /** Undefined unless it is known that it changed something. */
  revision: number | undefined
}

/** One watch, with all others that went on from its cursor. */
export interface WatchRecord {
  readonly type: 'watch'
  readonly name: string
  /** Infinity until it stood. */
  stoodAt: Millis
  /** `'current'`: everything that was written must have come. */
  end: 'current' | 'left' | 'compacted'
  readonly changes: { readonly key: string; readonly value: string; readonly revision: number }[]
}

export type WatchEvent = WriteRecord | WatchRecord

/** Every promise that was broken, as a sentence. Expects that watches had the time to show what was written last. */
export function checkWatches(history: readonly WatchEvent[]): readonly string[] {
  const writes = history.filter((event) => event.type === 'write')
  const watches = history.filter((event) => event.type === 'watch')
  return [...checkValues(writes, watches), ...watches.flatMap((watch) => checkWatch(watch, writes, watches))]
}

/** One change of each key at each revision, which somebody wrote. */
function checkValues(writes: readonly WriteRecord[], watches: readonly WatchRecord[]): string[] {
  const broken: string[] = []
  const values = new Map<string, string>()
  const outcomes = new Map(writes.map(({ value, outcome }) => [value, outcome]))
  const agree = (key: string, revision: number, value: string): void => {
    const known = values.get(`${key} ${revision}`) ?? value
    values.set(`${key} ${revision}`, known)
    if (known !== value) broken.push(`${key} is both '${known}' and '${value}' at ${revision}`)
  }
  for (const { key, revision, value } of writes) if (revision !== undefined) agree(key, revision, value)
  for (const { changes } of watches) {
    for (const { key, revision, value } of changes) {
      agree(key, revision, value)
      const outcome = value === '' ? 'ok' : outcomes.get(value)
      if (outcome === undefined) broken.push(`nobody set ${key} to '${value}'`)
      if (outcome === 'failed') broken.push(`${key} came as '${value}' although that had failed`)
    }
  }
  return broken
}

/** Changes of a key come in their order, each once; none is left out between the first and the last, nor after the watch stood. */
function checkWatch(watch: WatchRecord, writes: readonly WriteRecord[], watches: readonly WatchRecord[]): string[] {
  const { name, end, stoodAt, changes } = watch
  const broken: string[] = []
  const seen = new Map<string, number[]>()
  for (const { key, revision } of changes) {
    const revisions = seen.get(key) ?? []
    const last = revisions.at(-1) ?? 0
    if (revision <= last) broken.push(`${name} showed ${key} at ${revision} after ${last}`)
    revisions.push(revision)
    seen.set(key, revisions)
  }
  const miss = (key: string, revision: number, isAfter: boolean): void => {
    const revisions = seen.get(key) ?? []
    const isBegun = isAfter || revision >= (revisions[0] ?? Number.POSITIVE_INFINITY)
    const isPast = end === 'current' || revision <= (revisions.at(-1) ?? 0)
    if (isBegun && isPast && !revisions.includes(revision)) broken.push(`${name} missed ${key} at ${revision}`)
  }
  for (const { key, revision, invokedAt } of writes)
    if (revision !== undefined) miss(key, revision, invokedAt >= stoodAt)
  for (const other of watches) for (const { key, revision } of other.changes) miss(key, revision, false)
  return broken
}
