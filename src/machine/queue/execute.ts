/** Commands of queues are read whole, then judged, then executed. */

import { type ByteReader, malformed } from '../../base/bytes.ts'
import { HEADERS_LIMIT_BYTES } from '../../base/headers.ts'
import { KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES } from '../../base/limit.ts'
import type { LeaderMicros } from '../batch.ts'
import { expectEnd, type Outcome, STATUS } from '../command.ts'
import { DEATHS, DEDUPLICATION_MODES, QUEUE_COMMAND } from './command.ts'
import { decodeSettings, oneOf } from './encode.ts'
import { beginFlow, CHILD_RESULT_LIMIT_BYTES, CHILDREN_LIMIT, type Flow, WAITING_FOR_CHILDREN } from './flow.ts'
import type { IdList } from './ids.ts'
import { FLAG, type NewMessage } from './messages.ts'
import { readPriority } from './snapshot.ts'
import type { QueueState } from './state.ts'

/** Most bytes of a message's progress. */
const PROGRESS_LIMIT_BYTES = 65_536
const NEVER: number = Number.POSITIVE_INFINITY
const DEATH_NAMES: readonly string[] = DEATHS

/** A command that is being executed (see `Table`): `run` judges and executes, `check` judges, `apply` executes. */
export interface Execution {
  readonly mode: 'run' | 'check' | 'apply'
  readonly time: LeaderMicros
  readonly outcome: Outcome
}

/** Filled again for every command. */
export interface CommandExecution extends Execution {
  mode: Execution['mode']
  time: LeaderMicros
  outcome: Outcome
  end: number
  /** Whether the queue is there, or there may be one more. */
  hasRoom: boolean
}

export interface OutgoingMessage extends NewMessage {
  readonly mode: (typeof DEDUPLICATION_MODES)[number]
  /** Microseconds; 0: as long as the message lives. */
  readonly window: number
}

/** Returns whether the queue may have changed. Throws `malformed` before anything has. */
export function executeCommand(
  kind: number,
  state: QueueState,
  reader: ByteReader,
  execution: CommandExecution,
): boolean {
  const { outcome } = execution
  if (kind === QUEUE_COMMAND.send || kind === QUEUE_COMMAND.sendFlow) {
    const flow = kind === QUEUE_COMMAND.sendFlow ? readFlowHead(reader) : undefined
    const message = readMessage(reader, execution.time, flow)
    expectEnd(reader, execution.end)
    if (execution.hasRoom) return sendMessage(state, message, execution)
    outcome.status = STATUS.full
    return false
  }
  if (kind === QUEUE_COMMAND.sendLarge) return sendLarge(state, reader, execution)
  if (kind === QUEUE_COMMAND.acknowledge) return acknowledge(state, reader, execution)
  if (ABOUT_MESSAGES.has(kind)) return executeOnMessage(kind, state, reader, execution)
  if (kind === QUEUE_COMMAND.arrive) return executeArrival(state, reader, execution)
  const act = readQueueCommand(kind, state, reader, execution.time)
  if (act === undefined) {
    outcome.status = STATUS.unsupported
    return false
  }
  expectEnd(reader, execution.end)
  outcome.status = execution.hasRoom ? STATUS.ok : STATUS.full
  if (execution.mode === 'check' || !execution.hasRoom) return false
  outcome.revision = act()
  return true
}

/** Judges a message and stores it; see `QUEUE_COMMAND`. */
export function sendMessage(state: QueueState, message: OutgoingMessage, execution: Execution): boolean {
  const { mode, time, outcome } = execution
  const isCheck = mode === 'check'
  outcome.status = STATUS.ok
  const same = message.flow === undefined ? undefined : state.flows.get(message.flow.name)
  const earlier = same ?? (message.deduplication === '' ? 0 : meetEarlier(state, message, time, isCheck))
  if (earlier !== 0) {
    // As a part it does not keep the others from happening.
    outcome.status = isCheck ? STATUS.ok : STATUS.duplicate
    outcome.revision = earlier
    return !isCheck
  }
  const { limit, overflow } = state.settings
  const isFull = state.live.size >= limit
  const isRefused = (isFull && overflow !== 'drop-oldest') || (message.deduplication !== '' && state.windows.isFull)
  if (isRefused && mode !== 'apply') {
    outcome.status = STATUS.full
    return false
  }
  if (isCheck) return false
  if (isFull && overflow === 'drop-oldest') state.dropOldest(time)
  outcome.revision = state.send(message, time)
  openWindow(state, message, outcome.revision, time)
  return true
}

/** A payload is let go of when nothing will refer to it, and kept when its message is sure to be sent again. */
function sendLarge(state: QueueState, reader: ByteReader, execution: CommandExecution): boolean {
  const { outcome, time } = execution
  const upload = reader.u53()
  const bytes = reader.u53()
  const message = { ...readMessage(reader, time, undefined), upload }
  expectEnd(reader, execution.end)
  if (message.mode === 'requeue') throw malformed('a large payload cannot be requeued')
  const { uploads } = state
  outcome.status = STATUS.conflict
  if (!uploads.isWhole(upload, bytes)) return false
  outcome.status = STATUS.full
  const isChanged = execution.hasRoom && sendMessage(state, message, execution)
  if (execution.mode === 'check') return false
  if (outcome.status === STATUS.full) uploads.renew(upload, time)
  if (outcome.status === STATUS.duplicate) uploads.discard(upload)
  return isChanged
}

/** The id of the message that stands for this one; 0 when it is to be sent. */
function meetEarlier(state: QueueState, message: OutgoingMessage, time: LeaderMicros, isCheck: boolean): number {
  const window = state.windows.get(message.deduplication)
  if (window === undefined) return 0
  if (message.mode === 'drop' || isCheck) return window.id
  const slot = state.live.find(window.id)
  if (slot === -1) return 0
  if (message.mode === 'requeue') {
    window.successor = { ...message, body: message.body.slice() }
    return window.id
  }
  // The old message may be with a worker, which only its leader knows: under a new id, what the worker settles is not
  // the new content.
  const due = message.mode === 'replace' ? state.messages.dueOf(slot) : message.due
  window.successor = undefined
  const { until } = window
  state.finish(slot, time, false)
  const id = state.send({ ...message, due }, time)
  if (message.mode === 'debounce') openWindow(state, message, id, time)
  else state.windows.open(message.deduplication, id, until)
  return id
}

function openWindow(state: QueueState, message: OutgoingMessage, id: number, time: LeaderMicros): void {
  if (message.deduplication === '') return
  state.windows.open(message.deduplication, id, message.window === 0 ? NEVER : capped(time + message.window))
}

function readFlowHead(reader: ByteReader): Flow {
  const name = reader.text(KEY_LIMIT_BYTES)
  const children = reader.u16()
  if (name === '' || children === 0 || children > CHILDREN_LIMIT) throw malformed('a flow has a name and children')
  return beginFlow(name, children)
}

function readMessage(reader: ByteReader, time: LeaderMicros, flow: Flow | undefined): OutgoingMessage {
  const key = reader.text(KEY_LIMIT_BYTES)
  const flags = reader.u8()
  if (flags > 3) throw malformed('no such flags of a message')
  const priority = readPriority(reader)
  const due = reader.u53()
  const expires = reader.u53()
  const deduplication = reader.text(KEY_LIMIT_BYTES)
  const mode = oneOf(DEDUPLICATION_MODES, reader.u8())
  const window = reader.u53() * 1000
  const start = reader.at
  reader.skipBlob(HEADERS_LIMIT_BYTES)
  reader.skipBlob(VALUE_LIMIT_BYTES)
  return {
    key,
    priority,
    due: flow === undefined ? Math.max(time, (flags & 1) !== 0 ? capped(time + due) : due) : WAITING_FOR_CHILDREN,
    expires: expires === 0 ? NEVER : (flags & 2) !== 0 ? capped(time + expires) : expires,
    deduplication,
    mode,
    window,
    body: reader.bytes.subarray(start, reader.at),
    flow,
  }
}

const ABOUT_MESSAGES: ReadonlySet<number> = new Set([
  QUEUE_COMMAND.retry,
  QUEUE_COMMAND.reject,
  QUEUE_COMMAND.release,
  QUEUE_COMMAND.lapse,
  QUEUE_COMMAND.move,
  QUEUE_COMMAND.remove,
  QUEUE_COMMAND.progress,
  QUEUE_COMMAND.result,
  QUEUE_COMMAND.revive,
])

/** Kinds that only the holder of a message sends: as parts they are fenced when it is gone. */
const SETTLEMENTS: ReadonlySet<number> = new Set([
  QUEUE_COMMAND.retry,
  QUEUE_COMMAND.reject,
  QUEUE_COMMAND.release,
  QUEUE_COMMAND.progress,
  QUEUE_COMMAND.result,
])

/** As the others, but without a closure: there is one for every message. */
function acknowledge(state: QueueState, reader: ByteReader, { mode, time, outcome, end }: CommandExecution): boolean {
  const id = reader.u53()
  expectEnd(reader, end)
  const slot = state.live.find(id)
  outcome.status = slot !== -1 ? STATUS.ok : mode === 'check' ? STATUS.fenced : STATUS.absent
  if (mode === 'check' || slot === -1) return false
  outcome.revision = id
  state.finish(slot, time)
  return true
}

function executeOnMessage(
  kind: number,
  state: QueueState,
  reader: ByteReader,
  { mode, time, outcome, end }: CommandExecution,
): boolean {
  const id = reader.u53()
  const act = readMessageCommand(kind, state, reader, { id, time, outcome })
  expectEnd(reader, end)
  const slot = slotOf(kind, state, id)
  // A result follows the acknowledgement that it belongs to.
  const isThere = slot !== -1 || (kind === QUEUE_COMMAND.result && mode === 'apply')
  outcome.status = isThere ? STATUS.ok : mode === 'check' && SETTLEMENTS.has(kind) ? STATUS.fenced : STATUS.absent
  if (mode === 'check' || !isThere) return false
  outcome.revision = id
  act(slot)
  return true
}

function executeArrival(
  state: QueueState,
  reader: ByteReader,
  { mode, time, outcome, end }: CommandExecution,
): boolean {
  const flow = reader.text(KEY_LIMIT_BYTES)
  const child = reader.u16()
  const result = reader.blob(CHILD_RESULT_LIMIT_BYTES)
  expectEnd(reader, end)
  const isThere = state.flows.has(flow)
  outcome.status = isThere ? STATUS.ok : STATUS.absent
  if (mode === 'check' || !isThere) return false
  outcome.revision = state.arrive(flow, child, result.slice(), time)
  return true
}

function slotOf(kind: number, state: QueueState, id: number): number {
  const living = kind === QUEUE_COMMAND.revive ? -1 : state.live.find(id)
  const mayBeDead = kind === QUEUE_COMMAND.remove || kind === QUEUE_COMMAND.revive
  return living === -1 && mayBeDead ? state.dead.find(id) : living
}

interface OnMessage extends Omit<Execution, 'mode'> {
  readonly id: number
}

/** Reads the rest of a command's body; what it returns executes it on the message's slot. */
function readMessageCommand(
  kind: number,
  state: QueueState,
  reader: ByteReader,
  { id, time, outcome }: OnMessage,
): (slot: number) => void {
  switch (kind) {
    case QUEUE_COMMAND.retry: {
      const delay = reader.u53() * 1000
      const error = reader.blob(VALUE_LIMIT_BYTES)
      return (slot) => {
        outcome.revision = state.fail(slot, delay, error, time)
      }
    }
    case QUEUE_COMMAND.reject: {
      const name = reader.text(KEY_LIMIT_BYTES)
      const reason = oneOf(DEATHS, DEATH_NAMES.indexOf(name))
      const error = reader.blob(VALUE_LIMIT_BYTES)
      return (slot) => state.reject(slot, reason, error, time)
    }
    case QUEUE_COMMAND.lapse: {
      const attempts = reader.u32()
      return (slot) => lapse(state, slot, attempts, { time, outcome })
    }
    case QUEUE_COMMAND.move: {
      const key = reader.text(KEY_LIMIT_BYTES)
      const due = reader.u53()
      return (slot) => state.move(slot, key === '' ? state.messages.keyOf(slot) : key, due, time)
    }
    case QUEUE_COMMAND.remove:
      return (slot) => (state.messages.has(slot, FLAG.dead) ? state.forget(slot) : state.finish(slot, time, false))
    case QUEUE_COMMAND.revive:
      return (slot) => state.redrive(slot, time)
    case QUEUE_COMMAND.progress: {
      const value = reader.blob(PROGRESS_LIMIT_BYTES)
      return (slot) => state.messages.detail(slot, { progress: value.slice() })
    }
    case QUEUE_COMMAND.result: {
      const keep = reader.u53() * 1000
      const value = reader.blob(VALUE_LIMIT_BYTES)
      return () => state.leaveResult(id, capped(time + keep), value, time)
    }
    default:
      return (slot) => state.order.unhold(slot)
  }
}

/** A lease ran out: an attempt failed, unless it has been counted already. */
function lapse(state: QueueState, slot: number, attempts: number, { time, outcome }: Omit<Execution, 'mode'>): void {
  const present = state.messages.attempts.get(slot)
  outcome.status = present === attempts ? STATUS.ok : STATUS.conflict
  outcome.revision = present === attempts ? state.fail(slot, 0, NO_ERROR, time) : present
}

const NO_ERROR: Uint8Array = new Uint8Array(0)

/** Reads the body of a command about a whole queue; what it returns executes it. Undefined for a kind that is none. */
function readQueueCommand(
  kind: number,
  state: QueueState,
  reader: ByteReader,
  time: LeaderMicros,
): (() => number) | undefined {
  switch (kind) {
    case QUEUE_COMMAND.configure:
    case QUEUE_COMMAND.confirm: {
      const settings = decodeSettings(reader)
      return () => (kind === QUEUE_COMMAND.confirm && state.isRuled ? 0 : state.configure(settings))
    }
    case QUEUE_COMMAND.pause: {
      const isPaused = reader.u8()
      if (isPaused > 1) throw malformed('a queue is paused or not')
      return () => {
        state.isPaused = isPaused === 1
        return 0
      }
    }
    case QUEUE_COMMAND.purge: {
      const what = reader.u8()
      if (what > 2) throw malformed('a purge is of waiting, dead or all messages')
      const limit = reader.u32()
      return () => purge(state, what, limit, time)
    }
    case QUEUE_COMMAND.redrive: {
      const limit = reader.u32()
      const name = reader.text(KEY_LIMIT_BYTES)
      const death = DEATH_NAMES.indexOf(name) + 1
      if (name !== '' && death === 0) throw malformed('no such reason of a death')
      return () => redrive(state, limit, death, time)
    }
    default:
      return undefined
  }
}

/** Oldest first, and the living before the dead. Returns how many. */
export function purge(state: QueueState, what: number, limit: number, time: LeaderMicros): number {
  const living = what === 1 ? [] : firstOf(state.live, limit)
  const dead = what === 0 ? [] : firstOf(state.dead, limit - living.length)
  for (const slot of living) state.finish(slot, time, false)
  for (const slot of dead) state.forget(slot)
  return living.length + dead.length
}

function firstOf(list: IdList, limit: number): readonly number[] {
  const slots: number[] = []
  list.forEach(0, (slot) => {
    if (slots.length >= limit) return false
    slots.push(slot)
    return true
  })
  return slots
}

/** @param death position of a reason plus one; 0 for any */
function redrive(state: QueueState, limit: number, death: number, time: LeaderMicros): number {
  const slots: number[] = []
  state.dead.forEach(0, (slot) => {
    if (slots.length >= limit) return false
    if (death === 0 || state.messages.details.get(slot)?.death === death) slots.push(slot)
    return true
  })
  for (const slot of slots) state.redrive(slot, time)
  return slots.length
}

function capped(time: LeaderMicros): LeaderMicros {
  return Math.min(time, Number.MAX_SAFE_INTEGER)
}
