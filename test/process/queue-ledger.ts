/** A queue ledger is what all processes saw of a queue; its check says what a queue may never do, and why each duplicate was one. */

import { readFileSync } from 'node:fs'
import { type EventKind, KINDS, RECORD_BYTES } from './ledger-file.mjs'

export interface LedgerEvent {
  readonly kind: EventKind
  readonly key: number
  /** Which of its key's messages, from 0. */
  readonly serial: number
  /** The queue's own number of the message, which grows within a key; 0 when it is not known. */
  readonly id: number
  /** Which of its process's deliveries; 0 when it is about none. */
  readonly delivery: number
  readonly attempt: number
  /** Of the lease; 0 when it is about none. */
  readonly token: number
  /** When that lease ends at the earliest, as far as its consumer knows. */
  readonly until: number
  /** Milliseconds of the machine's monotonic clock. */
  readonly at: number
  /** Which process saw it. */
  readonly process: number
}

/** What was done to the processes meanwhile, by the same clock. */
export interface Incidents {
  /** When each process of a client was killed. */
  readonly clientKills: ReadonlyMap<number, number>
  /** When nodes were killed. */
  readonly nodeKills: readonly number[]
}

/** A consumer hears of the end of a connection, or has the answer to a delivery, at most so much later than it is so. */
const NEWS_MS = 1_000

/** Why a message was delivered again, or was there twice. */
export const CAUSES = [
  'sent again without an answer',
  'consumer killed',
  'leader changed',
  'lease ran out',
  'node killed',
] as const
export type Cause = (typeof CAUSES)[number]

export class Findings {
  sent = 0
  deliveries = 0
  acknowledged = 0
  retried = 0
  /** Deliveries that arrived when their lease was over already, and could settle nothing. */
  stale = 0
  readonly duplicates: Map<Cause, number> = new Map(CAUSES.map((cause) => [cause, 0]))
  lost = 0
  outOfOrder = 0
  unexplained = 0
  otherwise = 0
  /** The first of them, in words. */
  readonly violations: string[] = []

  explain(cause: Cause): void {
    this.duplicates.set(cause, (this.duplicates.get(cause) ?? 0) + 1)
  }

  violate(kind: 'lost' | 'outOfOrder' | 'unexplained' | 'otherwise', { key, serial, id }: Subject, why: string): void {
    this[kind]++
    if (this.violations.length < 20) this.violations.push(`message ${id} (${key}.${serial}): ${why}`)
  }

  get isClean(): boolean {
    return this.lost + this.outOfOrder + this.unexplained + this.otherwise === 0
  }
}

type Subject = Pick<LedgerEvent, 'key' | 'serial' | 'id'>

/** Tokens of a term lie between two multiples of it; see `cluster/duty/deliveries`. */
const TERM = 2 ** 32

/** Events of all processes in a few bytes each, for there are millions. */
export class LedgerFiles {
  readonly #files: readonly DataView[]
  /** File and record of each event, by key. */
  readonly #places: number[][] = []

  /** @param paths one for each process; a record that a kill cut short is none */
  constructor(paths: readonly string[]) {
    this.#files = paths.map((path) => {
      const { buffer, byteOffset, length } = readFileSync(path)
      return new DataView(buffer, byteOffset, length - (length % RECORD_BYTES))
    })
    for (const [process, file] of this.#files.entries()) {
      for (let at = 0; at < file.byteLength; at += RECORD_BYTES) {
        const key = file.getUint32(at + 4, true)
        this.#places[key] ??= []
        this.#places[key].push(process * 2 ** 40 + at)
      }
    }
  }

  /** The events of each key in the order of their time. */
  *keys(): Iterable<LedgerEvent[]> {
    for (const places of this.#places) {
      if (places !== undefined) yield places.map((place) => this.#event(place)).sort((a, b) => a.at - b.at)
    }
  }

  #event(place: number): LedgerEvent {
    const process = Math.floor(place / 2 ** 40)
    const offset = place % 2 ** 40
    const file = this.#files[process]
    const kind = KINDS[file?.getUint8(offset) ?? KINDS.length]
    if (file === undefined || kind === undefined) throw new Error(`process ${process} noted no event at ${offset}`)
    return {
      kind,
      key: file.getUint32(offset + 4, true),
      serial: file.getUint32(offset + 8, true),
      delivery: file.getUint32(offset + 12, true),
      id: file.getFloat64(offset + 16, true),
      attempt: file.getUint8(offset + 1),
      at: file.getFloat64(offset + 24, true),
      token: file.getFloat64(offset + 32, true),
      until: file.getFloat64(offset + 40, true),
      process,
    }
  }
}

/** One delivery of a message, and how it ended; a consumer that was killed left no end. */
interface Delivery {
  readonly event: LedgerEvent
  /** When its acknowledgement was about to leave. */
  acknowledging: number | undefined
  end: LedgerEvent | undefined
}

/** One message of the queue; what was sent twice is two of them. */
interface Message {
  readonly subject: Subject
  readonly deliveries: Delivery[]
  isSent: boolean
}

/** What is known of one key. */
interface Story {
  readonly messages: Map<number, Message>
  /** By process and number. */
  readonly deliveries: Map<string, Delivery>
  /** Of each serial: sends that had no answer and were made again. */
  readonly unsure: Map<number, number>
  /** In the order of their first delivery. */
  readonly begun: Message[]
}

/**
 * Checks one key, whose events come in the order of their time and belong to a queue that is empty now:
 *
 * - what was accepted has been acknowledged, and once;
 * - messages come in the order of their ids, each once the one before may have been acknowledged;
 * - what was acknowledged, or overtaken, is delivered to nobody who could settle it;
 * - every other delivery or copy has a cause.
 */
export function checkKey(events: readonly LedgerEvent[], incidents: Incidents, findings: Findings): void {
  const story = tell(events, findings)
  checkOrder(story, findings)
  for (const [at, message] of story.begun.entries()) {
    const overtakenAt = story.begun[at + 1]?.deliveries[0]?.event.at ?? Number.POSITIVE_INFINITY
    checkDeliveries(message, overtakenAt, incidents, findings)
  }
  for (const message of story.messages.values()) checkEnd(message, findings)
  checkCopies(story, findings)
}

function tell(events: readonly LedgerEvent[], findings: Findings): Story {
  const story: Story = { messages: new Map(), deliveries: new Map(), unsure: new Map(), begun: [] }
  let newestSent = 0
  for (const event of events) {
    if (event.kind === 'unsure') story.unsure.set(event.serial, (story.unsure.get(event.serial) ?? 0) + 1)
    else if (event.kind === 'sent') {
      const message = messageOf(story, event)
      if (message.isSent) findings.violate('otherwise', event, 'two sends were told that it is theirs')
      if (event.id < newestSent) findings.violate('outOfOrder', event, `accepted after ${newestSent}, and is older`)
      message.isSent = true
      newestSent = event.id
      findings.sent++
    } else if (event.kind === 'delivered') deliver(story, event)
    else settle(story, event, findings)
  }
  return story
}

function messageOf({ messages }: Story, { key, serial, id }: LedgerEvent): Message {
  const known = messages.get(id)
  if (known !== undefined) return known
  const message: Message = { subject: { key, serial, id }, deliveries: [], isSent: false }
  messages.set(id, message)
  return message
}

function deliver(story: Story, event: LedgerEvent): void {
  const message = messageOf(story, event)
  const delivery: Delivery = { event, acknowledging: undefined, end: undefined }
  if (message.deliveries.length === 0) story.begun.push(message)
  message.deliveries.push(delivery)
  story.deliveries.set(`${event.process} ${event.delivery}`, delivery)
}

function settle(story: Story, event: LedgerEvent, findings: Findings): void {
  const delivery = story.deliveries.get(`${event.process} ${event.delivery}`)
  if (delivery === undefined) findings.violate('otherwise', event, `${event.kind}, and was never delivered`)
  else if (event.kind === 'acknowledging') delivery.acknowledging = event.at
  else if (event.kind !== 'retrying') delivery.end = event
}

function checkOrder({ begun }: Story, findings: Findings): void {
  let newest: Message | undefined
  for (const message of begun) {
    const { subject, deliveries } = message
    const at = deliveries[0]?.event.at ?? 0
    if (newest !== undefined && newest.subject.id > subject.id) {
      findings.violate('outOfOrder', subject, `first delivered after ${newest.subject.id}`)
      continue
    }
    const isFree = newest?.deliveries.some((each) => isEnding(each) && (each.acknowledging ?? at) < at) ?? true
    if (!isFree) findings.violate('outOfOrder', subject, `delivered before ${newest?.subject.id} was done`)
    newest = message
  }
}

/** @param overtakenAt when a newer message of the key was first delivered */
function checkDeliveries(message: Message, overtakenAt: number, incidents: Incidents, findings: Findings): void {
  const { subject, deliveries } = message
  for (const [number, delivery] of deliveries.entries()) {
    const { event } = delivery
    findings.deliveries++
    const earlier = deliveries.slice(0, number)
    const isDone = earlier.some(({ end }) => end?.kind === 'acknowledged' && end.at < event.at)
    if (isDone || overtakenAt < event.at) {
      if (isOver(delivery)) findings.stale++
      else if (isDone) findings.violate('otherwise', subject, 'delivered after it was acknowledged')
      else findings.violate('outOfOrder', subject, 'delivered again after a newer one')
      continue
    }
    const failures = earlier.filter(({ end }) => end?.kind === 'retried' && end.at < event.at).length
    if (event.attempt <= failures) {
      findings.violate('otherwise', subject, `attempt ${event.attempt} after ${failures} recorded failures`)
    }
    const previous = earlier.at(-1)
    if (previous !== undefined) explain(previous, event, incidents, findings)
  }
}

function explain(previous: Delivery, again: LedgerEvent, incidents: Incidents, findings: Findings): void {
  if (previous.end?.kind === 'retried') {
    findings.retried++
    return
  }
  const cause = causeOf(previous, again, incidents)
  if (cause !== undefined) findings.explain(cause)
  else {
    const why = `delivered again after ${Math.round(again.at - previous.event.at)} ms and '${previous.end?.kind ?? 'nothing'}'`
    findings.violate('unexplained', again, why)
  }
}

/** What came between the two: what the consumer says of it is not asked, because a fault of ours looks the same to it. */
function causeOf({ event, end }: Delivery, { at, token }: LedgerEvent, incidents: Incidents): Cause | undefined {
  const killed = incidents.clientKills.get(event.process) ?? Number.POSITIVE_INFINITY
  if (end === undefined && killed < at) return 'consumer killed'
  if (termOf(event.token) !== termOf(token)) return 'leader changed'
  if (at >= event.until - NEWS_MS) return 'lease ran out'
  // The leader it came from may lead on: the connection to another node is what its answer was to come by.
  const heardAt = Math.min(end?.at ?? at, at)
  return incidents.nodeKills.some((kill) => kill > event.at - NEWS_MS && kill < heardAt) ? 'node killed' : undefined
}

function termOf(token: number): number {
  return Math.floor(token / TERM)
}

function checkEnd({ subject, deliveries, isSent }: Message, findings: Findings): void {
  const times = deliveries.filter(({ end }) => end?.kind === 'acknowledged').length
  if (times > 0) findings.acknowledged++
  if (times > 1) findings.violate('otherwise', subject, `acknowledged ${times} times`)
  if (isSent && !deliveries.some(isEnding)) findings.violate('lost', subject, 'accepted, and never acknowledged')
}

/** More copies of a message than sends of it may have made. */
function checkCopies({ messages, unsure }: Story, findings: Findings): void {
  for (const { subject, isSent } of messages.values()) {
    if (isSent) continue
    const left = unsure.get(subject.serial) ?? 0
    if (left > 0) findings.explain('sent again without an answer')
    else findings.violate('unexplained', subject, 'a copy that no send can have made')
    unsure.set(subject.serial, left - 1)
  }
}

/** Whether it may have been its acknowledgement that ended the message. */
function isEnding({ acknowledging, end }: Delivery): boolean {
  return acknowledging !== undefined && (end === undefined || end.kind === 'acknowledged' || end.kind === 'unanswered')
}

/** Whether whoever had it was told that it settles nothing. */
function isOver({ end }: Delivery): boolean {
  return end?.kind === 'refused' || end?.kind === 'lost'
}
