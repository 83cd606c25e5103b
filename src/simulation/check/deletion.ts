/**
 * A deletion history is what became of messages and records whose queue or topic was deleted now and then; checking it
 * finds what went too early, or stayed.
 */

import type { Millis } from '../../base/time.ts'

/** Whatever was sent to the queue, or published to the topic. No two of a history carry the same content. */
export interface MadeRecord {
  readonly type: 'made'
  readonly content: string
  /** Of the rules that came with it; 0 for none. */
  readonly leaseMs: Millis
  readonly invokedAt: Millis
  returnedAt: Millis
  outcome: 'ok' | 'failed' | 'unknown'
}

export interface DeletionRecord {
  readonly type: 'deletion'
  readonly invokedAt: Millis
  /** Infinity while it may still happen. */
  returnedAt: Millis
  /** `'refused'`: somebody used it, and nothing was done. */
  outcome: 'ok' | 'refused' | 'unknown'
  /** How many messages went. */
  count: number
}

/** One message or record, as a reader got it. */
export interface SightRecord {
  readonly type: 'sight'
  readonly content: string
  /** When the reader began. */
  readonly since: Millis
  readonly at: Millis
  /** Of the rules that it was delivered by, and that its reader came with; 0 of a record. */
  readonly leaseMs: Millis
  readonly ownLeaseMs: Millis
  /** `'kept'`: it is there at the end, or was acknowledged. */
  end: 'open' | 'unknown' | 'kept' | 'refused'
  /** When its reader acknowledged it; Infinity when it never did. */
  askedAt: Millis
}

/** Somebody who consumes, and says its rules before it does. */
export interface ReaderRecord {
  readonly type: 'reader'
  readonly leaseMs: Millis
  /** When it had said them; Infinity while it may still do so. */
  saidAt: Millis
}

export type DeletionEvent = MadeRecord | DeletionRecord | SightRecord | ReaderRecord

/** Every promise that was broken, as a sentence. Expects that nothing of a queue was left at the end, and that all of a topic was read. */
export function checkDeletions(history: readonly DeletionEvent[], defaultLeaseMs: Millis): readonly string[] {
  const made = new Map(history.flatMap((event) => (event.type === 'made' ? [[event.content, event]] : [])))
  const known = history.filter((event) => event.type === 'deletion').filter(({ outcome }) => outcome !== 'refused')
  const sights = history.filter((event) => event.type === 'sight')
  return [
    ...checkLost(made, known, sights),
    ...sights.flatMap((sight) => checkSight(sight, made.get(sight.content), known)),
    ...checkCounts([...made.values()], known, sights),
    ...checkRules(
      saidBy(history),
      sights.filter(
        ({ leaseMs, since }) => leaseMs !== defaultLeaseMs || known.every(({ returnedAt }) => returnedAt < since),
      ),
    ),
  ]
}

/** What was accepted is kept, unless a deletion may have come after it. */
function checkLost(
  made: ReadonlyMap<string, MadeRecord>,
  deletions: readonly DeletionRecord[],
  sights: readonly SightRecord[],
): string[] {
  const ended = new Set(sights.filter(({ end }) => end === 'kept' || end === 'unknown').map(({ content }) => content))
  return [...made.values()].flatMap(({ content, outcome, invokedAt }) => {
    if (outcome !== 'ok' || ended.has(content) || deletions.some(({ returnedAt }) => returnedAt >= invokedAt)) return []
    return [`${content} was accepted at ${invokedAt.toFixed(1)} and is gone, and nothing was deleted since`]
  })
}

/** What was there before a deletion is nowhere after it. */
function checkSight(
  { content, since, at, end, askedAt }: SightRecord,
  made: MadeRecord | undefined,
  deletions: readonly DeletionRecord[],
): string[] {
  if (made === undefined) return [`nobody made ${content}`]
  if (made.outcome === 'failed') return [`${content} came although it had failed`]
  // What got no answer may still be made after the deletion.
  const madeAt = made.outcome === 'ok' ? made.returnedAt : Number.POSITIVE_INFINITY
  const over = deletions.find((each) => each.outcome === 'ok' && madeAt < each.invokedAt && each.returnedAt < since)
  if (over !== undefined) return [`${content} came at ${at.toFixed(1)}, deleted at ${over.returnedAt.toFixed(1)}`]
  const under = deletions.find((each) => each.outcome === 'ok' && at < each.invokedAt && each.returnedAt < askedAt)
  if (under === undefined || end !== 'kept' || !Number.isFinite(askedAt)) return []
  return [`${content} was acknowledged at ${askedAt.toFixed(1)}, deleted at ${under.returnedAt.toFixed(1)}`]
}

/** Each message was acknowledged, or is among those that a deletion says it has deleted; of a topic none says so. */
function checkCounts(
  made: readonly MadeRecord[],
  deletions: readonly DeletionRecord[],
  sights: readonly SightRecord[],
): string[] {
  if (made.every(({ leaseMs }) => leaseMs === 0) || deletions.some(({ outcome }) => outcome !== 'ok')) return []
  const contents = (end: SightRecord['end']): Set<string> =>
    new Set(sights.filter((sight) => sight.end === end).map(({ content }) => content))
  const acknowledged = contents('kept')
  const uncertain = [...contents('unknown')].filter((content) => !acknowledged.has(content))
  const gone = deletions.reduce((sum, { count }) => sum + count, 0)
  const accepted = made.filter(({ outcome }) => outcome === 'ok').length
  const perhaps = made.filter(({ outcome }) => outcome === 'unknown').length
  const least = accepted - acknowledged.size - uncertain.length
  const most = accepted + perhaps - acknowledged.size
  if (gone >= least - perhaps && gone <= most) return []
  return [`deletions say that ${gone} messages went, and it were ${least} to ${most}`]
}

/** A message is delivered by the rules that its reader said, or whoever came since. */
function checkRules(said: ReadonlyMap<Millis, Millis>, sights: readonly SightRecord[]): string[] {
  return sights.flatMap(({ content, leaseMs, ownLeaseMs, since }) => {
    if (leaseMs === ownLeaseMs || (said.get(leaseMs) ?? 0) >= since) return []
    return [`${content} was delivered for ${leaseMs} ms to who had said ${ownLeaseMs}, and nobody has said that since`]
  })
}

/** When rules may have been said last. */
function saidBy(history: readonly DeletionEvent[]): Map<Millis, Millis> {
  const said = new Map<Millis, Millis>()
  const note = (leaseMs: Millis, at: Millis): void => void said.set(leaseMs, Math.max(said.get(leaseMs) ?? 0, at))
  for (const event of history) {
    if (event.type === 'reader') note(event.leaseMs, event.saidAt)
    if (event.type === 'made') note(event.leaseMs, event.outcome === 'ok' ? event.returnedAt : Number.POSITIVE_INFINITY)
  }
  return said
}
