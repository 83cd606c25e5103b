/** A lifetime is all that happened to one content that was sent: where it came, how it ended, and whether it died and was brought back. */

import type { Millis } from '../../base/time.ts'
import type { DeathReason, DeduplicationMode, Overflow } from '../../driver/contract.ts'

/** What a queue of the history is about: names that belong to messages, or its bound. */
export type LifetimeKind = DeduplicationMode | Overflow

/** One attempt to send. No two of a history carry the same content. */
export interface LifeSend {
  readonly type: 'send'
  readonly content: string
  /** Its deduplication id, which belongs to a message for as long as it lives; `''` for none. */
  readonly name: string
  readonly delayMs: Millis
  /** Infinity for never. */
  readonly ttlMs: Millis
  readonly invokedAt: Millis
  returnedAt: Millis
  /** `'full'`: refused for want of room. */
  outcome: 'ok' | 'failed' | 'unknown' | 'full'
  /** What stands for it: `shard.number`. */
  id: string | undefined
  isDuplicate: boolean
}

/** One delivery, and what its consumer did about it. */
export interface LifeDelivery {
  readonly type: 'delivery'
  readonly id: string
  readonly content: string
  readonly at: Millis
  asked: 'acknowledge' | 'retry' | 'reject' | undefined
  /** When it asked for that, and when it was answered; Infinity for never. */
  askedAt: Millis
  answeredAt: Millis
  end: 'open' | 'ok' | 'unknown' | 'fenced'
}

/** A dead letter, each time that it was seen. */
export interface LifeDeath {
  readonly type: 'death'
  readonly id: string
  readonly content: string
  readonly reason: string
  readonly at: Millis
}

/** How many messages lived, over all shards. */
export interface LifeStats {
  readonly type: 'stats'
  readonly living: number
}

/** Dead letters were brought back: some that were named, or those of one reason. Nobody else does so. */
export interface LifeRedrive {
  readonly type: 'redrive'
  readonly ids: readonly string[] | undefined
  readonly reason: DeathReason | undefined
  readonly limit: number
  /** So many that it is about were seen just before. */
  readonly seen: number
  readonly invokedAt: Millis
  /** Infinity for never. */
  returnedAt: Millis
  /** How many it brought back; undefined when nobody knows. */
  count: number | undefined
}

export type LifeEvent = LifeSend | LifeDelivery | LifeDeath | LifeStats | LifeRedrive

export interface LifePromises {
  readonly kind: LifetimeKind
  /** For how long a deduplication id belongs to a message; 0 for as long as that lives. */
  readonly windowMs: Millis
  /** Of messages that live, in each shard. */
  readonly limit: number
  readonly shards: number
  /** Leader time may have jumped: then delays and lifetimes mean nothing. */
  readonly clocksLie: boolean
  /** How far the time of one leader may lie behind that of the next. */
  readonly lagMs: Millis
  /** There were no faults: nothing comes late. */
  readonly isQuiet: boolean
}

/** Clocks are slewed by 1/256 at most. */
export const TOLERANCE = 0.98
/** Everything about one content. */
export interface Life {
  readonly send: LifeSend
  readonly deliveries: LifeDelivery[]
  readonly deaths: LifeDeath[]
}

export function byName(lives: readonly Life[]): ReadonlyMap<string, readonly Life[]> {
  const names = new Map<string, Life[]>()
  for (const life of lives) {
    const { name } = life.send
    names.set(name, [...(names.get(name) ?? []), life])
  }
  return names
}

/** That it was accepted under, or came under. */
export function idOf({ send, deliveries, deaths }: Life): string | undefined {
  return send.id ?? deliveries[0]?.id ?? deaths[0]?.id
}

export function mayBeAcknowledged({ deliveries }: Life): boolean {
  return deliveries.some(({ asked, end }) => asked === 'acknowledge' && end !== 'fenced')
}

export function shardOf(id: string): string {
  return id.slice(0, id.indexOf('.'))
}

export function numberOf(id: string): number {
  return Number(id.slice(id.indexOf('.') + 1))
}
