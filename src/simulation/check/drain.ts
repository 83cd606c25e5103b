/**
 * A history of workers is what their handlers did and what their drains said; checking it finds every message that a
 * drain cost, and every wrong word.
 */

import type { GroupId } from '../../base/identity.ts'
import type { Millis } from '../../base/time.ts'
import type { Election } from './ledger.ts'

export interface JobRecord {
  readonly type: 'job'
  readonly content: string
  outcome: 'ok' | 'failed' | 'unknown'
}

/** One run of a handler. */
export interface RunRecord {
  readonly type: 'run'
  readonly worker: string
  readonly content: string
  /** Of the message's shard. */
  readonly group: GroupId
  readonly attempt: number
  readonly at: Millis
  /** When the handler returned; Infinity while it has not. */
  returnedAt: Millis
}

export interface DrainRecord {
  readonly type: 'drain'
  readonly worker: string
  /** Handlers that it runs at once. */
  readonly concurrency: number
  /** What its drain may take. */
  readonly timeoutMs: Millis
  readonly invokedAt: Millis
  /** Infinity while it has not. */
  returnedAt: Millis
  finished: number
  abandoned: number
}

export type DrainEvent = JobRecord | RunRecord | DrainRecord

/** Clocks are slewed by 1/256 at most, and run at speeds that differ by a twentieth. */
const TOLERANCE = 0.9
/** Besides what handlers may take: for what goes back. */
const WORD_MS: Millis = 1000

/** A consumer learns within this that the leader is another one, and an acknowledgement arrives. */
const ON_ITS_WAY_MS: Millis = 1000

/**
 * Every promise that was broken, as a sentence. Expects that the queue was empty at the end. Elections are told where
 * nothing fails: there more is promised.
 */
export function checkDrains(history: readonly DrainEvent[], elections?: readonly Election[]): readonly string[] {
  const runs = history.filter((event) => event.type === 'run')
  const drains = history.filter((event) => event.type === 'drain')
  const jobs = history.filter((event) => event.type === 'job')
  return [
    ...checkJobs(jobs, runs),
    ...drains.flatMap((drain) =>
      checkDrain(
        drain,
        runs.filter(({ worker }) => worker === drain.worker),
        elections !== undefined,
      ),
    ),
    ...(elections === undefined ? [] : checkCosts(runs, drains, elections)),
  ]
}

function checkJobs(jobs: readonly JobRecord[], runs: readonly RunRecord[]): string[] {
  const outcomes = new Map(jobs.map(({ content, outcome }) => [content, outcome]))
  const done = new Set(runs.filter(({ returnedAt }) => Number.isFinite(returnedAt)).map(({ content }) => content))
  const strange = runs.filter(({ content }) => (outcomes.get(content) ?? 'failed') === 'failed')
  return [
    ...strange.map(({ content }) => `${content} was handled, and was not sent`),
    ...jobs
      .filter(({ content, outcome }) => outcome === 'ok' && !done.has(content))
      .map(({ content }) => `${content} was never handled to its end`),
  ]
}

function checkDrain(drain: DrainRecord, runs: readonly RunRecord[], isQuiet: boolean): string[] {
  const { worker, concurrency, timeoutMs, invokedAt, returnedAt, finished, abandoned } = drain
  if (!Number.isFinite(returnedAt)) return []
  const broken: string[] = []
  const late = runs.find(({ at }) => at > invokedAt)
  if (late !== undefined) broken.push(`${worker} began ${late.content} while it drained`)
  const open = runs.filter((run) => run.at <= invokedAt && run.returnedAt > invokedAt).length
  const left = runs.filter((run) => run.returnedAt > returnedAt).length
  const took = returnedAt - invokedAt
  const said = `${worker} said ${finished} finished and ${abandoned} abandoned`
  if (finished + abandoned < open) broken.push(`${said}, and ${open} were under way`)
  if (finished + abandoned > concurrency) broken.push(`${said}, and runs ${concurrency} at once`)
  if (abandoned < left) broken.push(`${said}, and ${left} had not returned`)
  if (abandoned > 0 && took < timeoutMs * TOLERANCE) broken.push(`${said} after ${took} of ${timeoutMs} ms`)
  if (isQuiet && took > timeoutMs + WORD_MS) broken.push(`${worker} took ${took} ms to drain, of ${timeoutMs}`)
  return broken
}

/**
 * Where nothing fails, a message comes again only when a drain abandoned its handler or its leader was replaced, and
 * that is no attempt.
 */
function checkCosts(
  runs: readonly RunRecord[],
  drains: readonly DrainRecord[],
  elections: readonly Election[],
): string[] {
  const ends = new Map(drains.map(({ worker, returnedAt }) => [worker, returnedAt]))
  const last = new Map<string, RunRecord>()
  return runs.flatMap((run) => {
    const { content, attempt } = run
    const before = last.get(content)
    last.set(content, run)
    if (attempt > 1) return [`${content} came as attempt ${attempt}, and none had failed`]
    if (before === undefined || before.returnedAt > (ends.get(before.worker) ?? Number.POSITIVE_INFINITY)) return []
    if (elections.some((election) => hasCost(election, before, run))) return []
    return [`${content} came again to ${run.worker} although ${before.worker} had finished it`]
  })
}

/**
 * Leaderships move without faults, too, towards the nodes that should have them; leases stay behind, also one whose
 * acknowledgement is on its way.
 */
function hasCost({ group, at }: Election, before: RunRecord, run: RunRecord): boolean {
  if (group !== run.group || at > run.at) return false
  return at >= before.at - ON_ITS_WAY_MS && at <= before.returnedAt + ON_ITS_WAY_MS
}
