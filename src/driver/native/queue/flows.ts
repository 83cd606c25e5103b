/** Flows are sent in one transaction with their children, each of which names the flow in a header. */

import { invalidArgument } from '../../../base/argument.ts'
import type { ByteWriter } from '../../../base/bytes.ts'
import { PARENT_HEADER } from '../../../base/headers.ts'
import { COMMAND } from '../../../machine/command.ts'
import { QUEUE_COMMAND } from '../../../machine/queue/command.ts'
import { decodeChildren, encodeChildrenQuery } from '../../../machine/queue/encode.ts'
import { CHILDREN_LIMIT } from '../../../machine/queue/flow.ts'
import type { CallOptions, NamedQueue, OutgoingFlow, OutgoingMessage } from '../../contract.ts'
import { ASK, type Bodies, commandVerb, type Done } from '../body.ts'
import type { EffectParts } from '../effects.ts'
import { Operation } from '../route/operation.ts'
import type { Router } from '../route/router.ts'
import { headerOf, type Parent } from './flow-parent.ts'
import type { RuledQueue } from './rules.ts'

const TRANSACTION = commandVerb(COMMAND.transaction)
/** Of a child that has no id of its own: as long as a flow that was sent twice is likely to be sent again. */
const WINDOW_MS = 300_000

export interface FlowPorts {
  readonly router: Router
  readonly bodies: Bodies
  readonly effects: EffectParts
  prepare(queue: NamedQueue, options: CallOptions): Promise<RuledQueue>
  encodeFlow(writer: ByteWriter, queue: RuledQueue, flow: OutgoingFlow): void
}

export class Flows {
  readonly #ports: FlowPorts

  constructor(ports: FlowPorts) {
    this.#ports = ports
  }

  async send(flow: OutgoingFlow, options: CallOptions): Promise<Done> {
    const { router, bodies, effects } = this.#ports
    const { name, children, message } = flow
    if (children.length === 0 || children.length > CHILDREN_LIMIT) {
      throw invalidArgument(`a flow has 1 to ${CHILDREN_LIMIT} children`)
    }
    await router.whenReady(options)
    const queue = await this.#ports.prepare(flow.queue, options)
    const shard = router.shardOf(queue.name, queue.rules.single ? '' : message.key === '' ? name : message.key)
    const parts = await Promise.all(
      children.map((child, at) => {
        const parent = { shard, queue: queue.name, flow: name, child: at }
        return effects.sendPart(child.queue, childMessage(child.message, parent), shard, options)
      }),
    )
    const encode = (writer: ByteWriter): void => this.#ports.encodeFlow(writer, queue, flow)
    const value = bodies.transaction([...parts, { kind: QUEUE_COMMAND.sendFlow, encode }])
    return router.submit(new Operation(TRANSACTION, { shard, value }), options)
  }

  async children(
    queue: string,
    place: { readonly shard: number; readonly number: number },
    options: CallOptions,
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const { router, bodies } = this.#ports
    const all: (Uint8Array | undefined)[] = []
    for (;;) {
      const name = { queue, id: place.number }
      const value = bodies.write((writer) => encodeChildrenQuery(writer, name, all.length))
      const page = decodeChildren(await router.submit(new Operation(ASK, { shard: place.shard, value }), options))
      all.push(...(page?.results ?? []))
      if (all.length >= (page?.count ?? 0)) return all
    }
  }
}

function childMessage(message: OutgoingMessage, parent: Parent): OutgoingMessage {
  const { flow, child } = parent
  const headers = { ...message.headers, [PARENT_HEADER]: headerOf(parent) }
  const deduplication = message.deduplication ?? { id: `${flow}#${child}`, mode: 'drop', window: WINDOW_MS }
  return { ...message, headers, deduplication }
}
