/** Commands and queries for the tests of queues, all of them on one shard. */

import type { ByteWriter } from '../../../../src/base/bytes.ts'
import { type CommandReply, encodeHead } from '../../../../src/machine/command.ts'
import { QUEUE_COMMAND, QUEUE_QUERY, type QueueSettings } from '../../../../src/machine/queue/command.ts'
import {
  decodeInspect,
  decodePeek,
  decodeStats,
  encodeConfigure,
  encodeInspect,
  encodeLapse,
  encodeMessageId,
  encodePause,
  encodePeek,
  encodePurge,
  encodeQueueQuery,
  encodeRedrive,
  encodeReject,
  encodeRetry,
  encodeSend,
  type PeekedMessage,
  type PeekedState,
  type SendCommand,
  type StatsAnswer,
} from '../../../../src/machine/queue/encode.ts'
import { DEFAULT_SETTINGS } from '../../../../src/machine/queue/state.ts'
import { Shard } from '../../../../src/machine/shard.ts'
import { anyone, apply, bytes } from '../operations.ts'

export const QUEUE = 'jobs'
const NONE: Uint8Array = new Uint8Array(0)

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

export function textOf(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : new TextDecoder().decode(value)
}

export function command(kind: number, encode: (writer: ByteWriter) => void): Uint8Array {
  return bytes((writer) => {
    encodeHead(writer, kind, anyone)
    encode(writer)
  })
}

export type Content = Partial<Omit<SendCommand, 'payload' | 'queue'>>

export function outgoing(payload: string, content: Content = {}): SendCommand {
  return {
    queue: QUEUE,
    key: '',
    priority: 0,
    due: 0,
    isDueRelative: true,
    expires: 0,
    isExpiresRelative: true,
    deduplication: '',
    mode: 'drop',
    windowMs: 0,
    headers: NONE,
    payload: text(payload),
    ...content,
  }
}

export const sending = (payload: string, content: Content = {}) =>
  command(QUEUE_COMMAND.send, (writer) => encodeSend(writer, outgoing(payload, content)))
export const acknowledging = (id: number) =>
  command(QUEUE_COMMAND.acknowledge, (writer) => encodeMessageId(writer, QUEUE, id))
export const retrying = (id: number, delayMs = 0, error = '') =>
  command(QUEUE_COMMAND.retry, (writer) => encodeRetry(writer, { queue: QUEUE, id }, delayMs, text(error)))
export const rejecting = (id: number, error = '') =>
  command(QUEUE_COMMAND.reject, (writer) => encodeReject(writer, { queue: QUEUE, id }, 'rejected', text(error)))
export const lapsing = (id: number, attempts: number) =>
  command(QUEUE_COMMAND.lapse, (writer) => encodeLapse(writer, { queue: QUEUE, id }, attempts))
export const removing = (id: number) => command(QUEUE_COMMAND.remove, (writer) => encodeMessageId(writer, QUEUE, id))
export const releasing = (id: number) => command(QUEUE_COMMAND.release, (writer) => encodeMessageId(writer, QUEUE, id))
export const configuring = (settings: Partial<QueueSettings>) =>
  command(QUEUE_COMMAND.configure, (writer) => encodeConfigure(writer, QUEUE, { ...DEFAULT_SETTINGS, ...settings }))
export const pausing = (isPaused: boolean) =>
  command(QUEUE_COMMAND.pause, (writer) => encodePause(writer, QUEUE, isPaused))
export const purging = (what: 'waiting' | 'dead' | 'all', limit = 1000) =>
  command(QUEUE_COMMAND.purge, (writer) => encodePurge(writer, QUEUE, what, limit))
export const redriving = (limit = 1000, reason = '') =>
  command(QUEUE_COMMAND.redrive, (writer) => encodeRedrive(writer, QUEUE, limit, reason))

/** A shard whose time goes on by what it is told, in milliseconds. */
export class House {
  shard: Shard = new Shard()
  ms = 1000

  do(...commands: Uint8Array[]): CommandReply[] {
    return apply(this.shard, this.ms * 1000, ...commands)
  }

  /** Returns the number of the reply, which must be `ok`. */
  ok(one: Uint8Array): number {
    const [reply] = this.do(one)
    if (reply?.status !== 'ok') throw new Error(`the command came to ${reply?.status}`)
    return reply.revision
  }

  send(payload: string, content: Content = {}): number {
    return this.ok(sending(payload, content))
  }

  /** Time passes, and the leader does what has fallen due. */
  pass(ms: number): void {
    this.ms += ms
    this.do()
  }

  hold(): { readonly id: number; readonly payload: string; readonly attempts: number } | undefined {
    const held = this.shard.view.queues.hold(QUEUE, this.ms * 1000)
    return held && { id: held.id, payload: textOf(held.body.subarray(8)) ?? '', attempts: held.attempts }
  }

  /** Holds as many as there are, up to a limit: their payloads. */
  holdAll(limit = 1000): string[] {
    const payloads: string[] = []
    for (let held = this.hold(); held !== undefined; held = this.hold()) {
      payloads.push(held.payload)
      if (payloads.length === limit) break
    }
    return payloads
  }

  /** Holds and acknowledges one after the other: their payloads. */
  work(limit = 1000): string[] {
    const payloads: string[] = []
    while (payloads.length < limit) {
      const held = this.hold()
      if (held === undefined) break
      payloads.push(held.payload)
      this.ok(acknowledging(held.id))
    }
    return payloads
  }

  unhold(id: number): void {
    this.shard.view.queues.unhold(QUEUE, id)
  }

  stats(): StatsAnswer {
    return decodeStats(this.shard.query(bytes((writer) => encodeQueueQuery(writer, QUEUE_QUERY.stats, QUEUE))).slice())
  }

  peek(what: PeekedState, after = 0, limit = 1000): readonly PeekedMessage[] {
    return decodePeek(this.shard.query(bytes((writer) => encodePeek(writer, QUEUE, what, { after, limit }))).slice())
  }

  inspect(id: number): PeekedMessage | undefined {
    return decodeInspect(this.shard.query(bytes((writer) => encodeInspect(writer, QUEUE, id))).slice())
  }

  /** Another replica that begins with a snapshot of this one. */
  copy(): House {
    const copy = new House()
    const frozen = this.shard.freeze()
    copy.shard.restore(frozen.chunks())
    frozen.release()
    copy.ms = this.ms
    return copy
  }
}
