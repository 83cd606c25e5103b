/** The effects of a handler become parts of one transaction with its acknowledgement, or commands for other shards in its outbox. */

import { invalidArgument } from '../../base/argument.ts'
import type { ByteWriter } from '../../base/bytes.ts'
import { TroupeError } from '../../base/error.ts'
import { hashText } from '../../base/hash.ts'
import { encodeHeaders } from '../../base/headers.ts'
import { COMMAND } from '../../machine/command.ts'
import { emitPart } from '../../machine/outbox.ts'
import { QUEUE_COMMAND } from '../../machine/queue/command.ts'
import { encodeArrive, encodeMessageId, encodeResult, type MessageName } from '../../machine/queue/encode.ts'
import { CHILD_RESULT_LIMIT_BYTES } from '../../machine/queue/flow.ts'
import { encodePublish, TOPIC_COMMAND } from '../../machine/topic/command.ts'
import { PARTS_LIMIT, type Part } from '../../machine/transaction.ts'
import type { CallOptions, Effect, NamedQueue, NamedTopic, OutgoingMessage } from '../contract.ts'
import { parentOf } from './queue/flow-parent.ts'
import type { RuledQueue } from './queue/rules.ts'
import type { Router } from './route/router.ts'

/** What effects need of the facets of queues and topics. */
export interface EffectPorts {
  readonly router: Router
  /** Makes sure that the queue's or the topic's rules are known. */
  prepare(queue: NamedQueue, options: CallOptions): Promise<RuledQueue>
  prepareTopic(topic: NamedTopic, options: CallOptions): Promise<void>
  shardOfMessage(queue: RuledQueue, message: OutgoingMessage): number
  encodeMessage(writer: ByteWriter, queue: NamedQueue, message: OutgoingMessage): void
}

export class EffectParts {
  readonly #ports: EffectPorts

  constructor(ports: EffectPorts) {
    this.#ports = ports
  }

  /** The acknowledgement comes last: its status and number are the transaction's. */
  async partsOf(
    effects: readonly Effect[],
    name: MessageName,
    shard: number,
    options: CallOptions,
  ): Promise<readonly Part[]> {
    if (effects.length >= PARTS_LIMIT) throw invalidArgument(`a commit has fewer than ${PARTS_LIMIT} effects`)
    const parts: Part[] = []
    for (const effect of effects) parts.push(await this.#partOf(effect, name, shard, options))
    const acknowledge = (writer: ByteWriter): void => encodeMessageId(writer, name.queue, name.id)
    return [...parts, { kind: QUEUE_COMMAND.acknowledge, encode: acknowledge }]
  }

  /** A message that is sent along with what happens in a shard. */
  async sendPart(name: NamedQueue, message: OutgoingMessage, shard: number, options: CallOptions): Promise<Part> {
    const queue = await this.#ports.prepare(name, options)
    const encode = (writer: ByteWriter): void => this.#ports.encodeMessage(writer, queue, message)
    const isAnywhere = message.key === '' && message.deduplication === undefined && !queue.rules.single
    const target = isAnywhere ? shard : this.#ports.shardOfMessage(queue, message)
    const part = { kind: QUEUE_COMMAND.send, encode }
    return target === shard ? part : emitPart(target, part)
  }

  async #partOf(effect: Effect, name: MessageName, shard: number, options: CallOptions): Promise<Part> {
    const { router } = this.#ports
    switch (effect.type) {
      case 'set':
      case 'delete':
        if (router.shardOf(effect.map, effect.key) !== shard) throw elsewhere(effect.map, effect.key, name.queue)
        return changePart(effect)
      case 'result':
        return {
          kind: QUEUE_COMMAND.result,
          encode: (writer) => encodeResult(writer, name, effect.keep, effect.value),
        }
      case 'send':
        return this.sendPart(effect.queue, effect.message, shard, options)
      case 'arrive':
        return arrivePart(effect, name, shard)
      case 'publish':
        return this.#publishPart(effect, name, shard, options)
    }
  }

  async #publishPart(effect: PublishEffect, { id }: MessageName, shard: number, options: CallOptions): Promise<Part> {
    const { router } = this.#ports
    const { key, payload } = effect
    const { name: topic, rules } = effect.topic
    await this.#ports.prepareTopic(effect.topic, options)
    // What has no key is spread by the message that it comes with.
    const partition = key === '' ? id % rules.partitions : partitionOf(key, rules.partitions)
    const headers = encodeHeaders(effect.headers)
    const encode = (writer: ByteWriter): void => encodePublish(writer, { topic, partition, key, headers, payload })
    const target = router.shardOf(topic, String(partition))
    const part = { kind: TOPIC_COMMAND.publish, encode }
    return target === shard ? part : emitPart(target, part)
  }
}

type PublishEffect = Extract<Effect, { type: 'publish' }>

/** Where it goes is in the header. A header that somebody else has made up is as if the flow were gone. */
function arrivePart({ parent, value }: Extract<Effect, { type: 'arrive' }>, name: MessageName, shard: number): Part {
  if (value.length > CHILD_RESULT_LIMIT_BYTES) {
    throw new TroupeError('TOO_LARGE', `the result of a child is at most ${CHILD_RESULT_LIMIT_BYTES} bytes`)
  }
  const target = parentOf(parent) ?? { shard, queue: name.queue, flow: parent, child: 0 }
  const part = { kind: QUEUE_COMMAND.arrive, encode: (writer: ByteWriter) => encodeArrive(writer, target, value) }
  return target.shard === shard ? part : emitPart(target.shard, part)
}

export type ChangeEffect = Extract<Effect, { type: 'set' | 'delete' }>

/** A set or delete as a part, of an effect or beside a fence. */
export function changePart(change: ChangeEffect): Part {
  const { map, key, ifRevision } = change
  return {
    kind: change.type === 'set' ? COMMAND.set : COMMAND.delete,
    encode(writer) {
      writer.u8(ifRevision === undefined ? 0 : 1)
      writer.u53(revisionOf(ifRevision))
      writer.text(map)
      writer.text(key)
      if (change.type === 'set') writer.blob(change.value)
    },
  }
}

/** The partition of a key. Part of the format: records of a key stay together because it never changes. */
export function partitionOf(key: string, partitions: number): number {
  return hashText(key) % partitions
}

/** The machine counts in numbers; a revision beyond them is never current. */
function revisionOf(revision: bigint | undefined): number {
  if (revision === undefined) return 0
  return revision >= 0n && revision < NEVER ? Number(revision) : Number(NEVER)
}

const NEVER = BigInt(Number.MAX_SAFE_INTEGER)

function elsewhere(map: string, key: string, queue: string): Error {
  return invalidArgument(
    `key '${key}' of '${map}' is not in the shard of this message: give '${map}' and '${queue}' the same placement, and the message this key`,
  )
}
