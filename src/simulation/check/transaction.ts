/**
 * A transaction's history is all that one handler run may have left behind; checking it finds runs that happened in
 * part, or more than once.
 */

export interface OrderRecord {
  readonly type: 'order'
  readonly order: string
  outcome: 'ok' | 'failed' | 'unknown'
}

/** Something that a run emitted, each time that it came. */
export interface EmissionRecord {
  readonly type: 'emission'
  /** Where it came from: a queue or a topic. */
  readonly place: string
  /** Of the message or record there. */
  readonly id: string
  readonly order: string
  /** The run of the handler; no two have the same. */
  readonly run: string
}

/** What the map held at the end. */
export interface EntryRecord {
  readonly type: 'entry'
  readonly order: string
  /** The run that set it; undefined for none. */
  readonly run: string | undefined
}

/** An order that ended as a dead letter. */
export interface DeadOrderRecord {
  readonly type: 'dead'
  readonly order: string
}

/** A run that failed after it had emitted. */
export interface FailedRunRecord {
  readonly type: 'failed-run'
  readonly run: string
}

export type TransactionEvent = OrderRecord | EmissionRecord | EntryRecord | DeadOrderRecord | FailedRunRecord

/**
 * Every promise that was broken, as a sentence. Expects that at the end all work was done and all entries were read.
 *
 * @param places where each run emits, once to each
 */
export function checkTransactions(history: readonly TransactionEvent[], places: readonly string[]): readonly string[] {
  const entries = new Map<string, string | undefined>()
  const dead = new Set<string>()
  const failed = new Set<string>()
  const emissions = new Map<string, Map<string, string>>()
  for (const event of history) {
    if (event.type === 'entry') entries.set(event.order, event.run)
    else if (event.type === 'dead') dead.add(event.order)
    else if (event.type === 'failed-run') failed.add(event.run)
    else if (event.type === 'emission') {
      const at = `${event.place} ${event.order}`
      const ids = emissions.get(at) ?? new Map<string, string>()
      emissions.set(at, ids.set(event.id, event.run))
    }
  }
  const broken: string[] = []
  for (const event of history) {
    if (event.type !== 'order') continue
    const { order, outcome } = event
    const run = entries.get(order)
    if (outcome === 'ok' && run === undefined && !dead.has(order)) broken.push(`${order} was accepted and left nothing`)
    if (outcome === 'failed' && run !== undefined) broken.push(`${order} was worked off although its send had failed`)
    if (run !== undefined && dead.has(order)) broken.push(`${order} is dead and was worked off by ${run}`)
    if (run !== undefined && failed.has(run)) broken.push(`${run} of ${order} failed and has left an entry`)
    for (const place of places) {
      const ids = [...(emissions.get(`${place} ${order}`) ?? [])]
      for (const [id, by] of ids) {
        if (by !== run) broken.push(`${id} in ${place} is of ${by}, and the entry of ${order} of ${run}`)
      }
      if (ids.length > 1) broken.push(`${order} emitted ${ids.length} times to ${place}: ${ids.join(' and ')}`)
      if (run !== undefined && ids.length === 0)
        broken.push(`${run} of ${order} set the entry and emitted nothing to ${place}`)
    }
  }
  return broken
}
