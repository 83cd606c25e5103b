/** The watch workload writes a few keys while watches follow them, leave, go on from where they were, and fall behind what is kept. */

import { isTroupeError } from '../../base/error.ts'
import type { Millis } from '../../base/time.ts'
import type { Change } from '../../driver/contract.ts'
import { checkWatches, type WatchEvent, type WatchRecord, type WriteRecord } from '../check/watch.ts'
import type { Coverage } from '../coverage.ts'
import type { Program, ProgramContext } from '../program.ts'
import { attempt } from './attempt.ts'
import { auditor } from './auditor.ts'
import { producer } from './producer.ts'
import type { Workload, WorkloadPorts } from './workload.ts'

const MAP = 'watched'
const EVERYTHING = { from: '', until: '' }
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f']
const WRITERS = 2
const WATCHERS = 3
const CALL_MS: Millis = 5000
const LONGEST_STAY_MS: Millis = 4000
const LONGEST_BREAK_MS: Millis = 6000
/** What was written last has come by then, or is written again. */
const ROUND_MS: Millis = 1000
const TEXT = new TextEncoder()
const UTF8 = new TextDecoder()

interface Log {
  readonly events: WatchEvent[]
  readonly coverage: Coverage
  readonly working: Set<string>
  /** By watcher: what it shows now. */
  readonly current: Map<string, WatchRecord>
  isAudited: boolean
}

export function watchWorkload({ random, coverage }: WorkloadPorts): Workload {
  const log: Log = { events: [], coverage, working: new Set(), current: new Map(), isAudited: false }
  const pauseMs = 10 + random.below(200)
  const make = (context: ProgramContext, number: number): Promise<unknown> =>
    write(KEYS[context.random.below(KEYS.length)] ?? '', `${context.name}.${number}`, context, log)
  return {
    programs: [
      auditorOf(log),
      ...Array.from({ length: WRITERS }, (_, at) => producer(`writer-${at}`, { working: log.working, pauseMs, make })),
      ...Array.from({ length: WATCHERS }, (_, at) => watcherOf(`watcher-${at}`, log)),
    ],
    needsAll: true,
    isDone: () => log.isAudited,
    judge: () => checkWatches(log.events),
    history: log.events,
  }
}

async function write(key: string, content: string, context: ProgramContext, log: Log): Promise<boolean> {
  const { driver, random, now, closing } = context
  const value = random.next() < 0.2 && !closing.aborted ? '' : content
  const record: WriteRecord = { type: 'write', key, value, invokedAt: now(), outcome: 'unknown', revision: undefined }
  log.events.push(record)
  const { keyValue } = driver
  const options = { timeout: CALL_MS }
  const written = await attempt(
    value === '' ? keyValue.delete(MAP, key, options) : keyValue.set(MAP, key, TEXT.encode(value), options),
  )
  record.outcome = written.outcome
  if (written.outcome !== 'ok') return false
  const isChange = !('existed' in written.value) || written.value.existed === true
  if (isChange) record.revision = Number(written.value.revision)
  return true
}

/** Watches for a while, and goes on after a break from where it was; who was killed begins anew. */
function watcherOf(name: string, log: Log): Program {
  return {
    name,
    async run(_, context) {
      const { random, ending, closing, sleep } = context
      let cursor: string | undefined
      for (let number = 0; !ending.aborted; number++) {
        if (cursor === undefined) begin(name, `${context.name}.${number}`, log)
        const record = log.current.get(name)
        if (record === undefined) return
        cursor = await follow(record, cursor, context)
        if (record.end === 'compacted') log.coverage.reached('watch-compacted')
        await sleep(random.below(closing.aborted ? 100 : LONGEST_BREAK_MS))
      }
    },
  }
}

function begin(watcher: string, name: string, log: Log): void {
  const before = log.current.get(watcher)
  if (before?.end === 'current') before.end = 'left'
  const record: WatchRecord = { type: 'watch', name, stoodAt: Number.POSITIVE_INFINITY, end: 'current', changes: [] }
  log.current.set(watcher, record)
  log.events.push(record)
}

/** Resolves to where it was when it left; undefined when nothing can go on from there. */
async function follow(
  record: WatchRecord,
  from: string | undefined,
  { driver, random, ending, closing, now, sleep }: ProgramContext,
): Promise<string | undefined> {
  const leaving = new AbortController()
  void sleep(random.below(LONGEST_STAY_MS)).then(() => {
    if (!closing.aborted) leaving.abort()
  })
  const signal = AbortSignal.any([ending, leaving.signal])
  const onStanding = (): void => {
    record.stoodAt = Math.min(record.stoodAt, now())
  }
  let cursor = from
  try {
    const options = { signal, onStanding, ...(from === undefined ? {} : { from }) }
    for await (const change of driver.keyValue.watch(MAP, EVERYTHING, options)) {
      record.changes.push(changeOf(change))
      cursor = change.cursor
    }
  } catch (error) {
    if (signal.aborted) return cursor
    if (!isTroupeError(error, 'COMPACTED')) throw error
    record.end = 'compacted'
    return undefined
  }
  return cursor
}

function changeOf(change: Change): WatchRecord['changes'][number] {
  const value = change.type === 'set' ? UTF8.decode(change.value) : ''
  return { key: change.key, value, revision: Number(change.revision) }
}

/** Writes every key until a round of that has come to each watcher. */
function auditorOf(log: Log): Program {
  return auditor(log, async (_, context) => {
    for (let round = 0; ; round++) {
      const values = KEYS.map((key) => `probe.${key}.${round}`)
      for (const [at, value] of values.entries()) {
        for (let again = 0; !(await write(KEYS[at] ?? '', `${value}.${again}`, context, log)); again++);
      }
      await context.sleep(ROUND_MS)
      const hasAll = ({ changes }: WatchRecord): boolean =>
        values.every((value) => changes.some((change) => change.value.startsWith(`${value}.`)))
      if ([...log.current.values()].every(hasAll)) return
    }
  })
}
