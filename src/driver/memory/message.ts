/** A memory message is one message of a queue of the memory driver, from its sending to its end. */

import type { Millis, Timer, WallMillis } from '../../base/time.ts'
import type { DeathReason, InspectedMessage, MessageState, OutgoingMessage } from '../contract.ts'

export class MemoryMessage {
  readonly number: number
  key: string
  payload: Uint8Array
  headers: Readonly<Record<string, string>>
  readonly priority: number
  readonly sentAt: WallMillis
  readonly deduplicationId: string | undefined
  /** By the monotonic clock. */
  dueAt: Millis
  attempts = 0
  state: MessageState = 'waiting'
  death: DeathReason | undefined
  firstError: Uint8Array | undefined
  lastError: Uint8Array | undefined
  progress: Uint8Array | undefined
  result: Uint8Array | undefined
  /** Of a message that waits for its children: their results. */
  flow: { readonly name: string; readonly results: (Uint8Array | undefined)[] } | undefined
  /** What becomes due for it: a delay, its expiry, the end of a dead letter. */
  readonly timers: Timer[] = []

  constructor(number: number, message: OutgoingMessage, now: { readonly sentAt: WallMillis; readonly dueAt: Millis }) {
    this.number = number
    this.key = message.key
    this.payload = message.payload.slice()
    this.headers = { ...message.headers }
    this.priority = message.priority
    this.deduplicationId = message.deduplication?.id
    this.sentAt = now.sentAt
    this.dueAt = now.dueAt
  }

  get isWaitingForChildren(): boolean {
    return this.flow?.results.includes(undefined) === true
  }

  get id(): string {
    return `0.${this.number}`
  }

  fail(error: Uint8Array | undefined): void {
    this.attempts += 1
    if (error === undefined) return
    this.firstError ??= error
    this.lastError = error
  }

  cancelTimers(): void {
    for (const timer of this.timers.splice(0)) timer.cancel()
  }

  inspect(dueAt: WallMillis): InspectedMessage {
    const { id, key, state, headers, attempts, sentAt, priority, death } = this
    const { firstError, lastError, progress, result } = this
    if (state === 'done') return { ...NOTHING_KNOWN, id, state, result }
    const payload = this.payload.slice()
    return {
      id,
      key,
      state,
      payload,
      headers,
      attempts,
      sentAt,
      dueAt,
      priority,
      death,
      firstError,
      lastError,
      progress,
      result,
    }
  }
}

const NOTHING_KNOWN = {
  key: '',
  payload: new Uint8Array(0),
  headers: {},
  attempts: 0,
  sentAt: 0,
  dueAt: 0,
  priority: 0,
  death: undefined,
  firstError: undefined,
  lastError: undefined,
  progress: undefined,
} as const

/** The number in a message's id; undefined for a text that is none. */
export function numberOf(id: string): number | undefined {
  const match = /^0\.(\d{1,15})$/.exec(id)
  return match?.[1] === undefined ? undefined : Number(match[1])
}
