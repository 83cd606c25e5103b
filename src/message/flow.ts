/** A flow is a message that comes once the messages it depends on, its children, are done, with all their results. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { ValueCodec } from '../base/codec.ts'
import type { OutgoingFlow, QueuedMessage } from '../driver/contract.ts'
import { outgoingMessage, SEND_OPTIONS } from './outgoing.ts'
import type { QueueDefinition, SendOptions } from './queue.ts'

/** Most children of a flow. */
const CHILDREN_LIMIT = 1000

/** How a flow is sent: as a message is, but for when and under which id. */
export interface FlowOptions extends Omit<SendOptions, 'delay' | 'at' | 'deduplicate' | 'fence'> {
  /** Names the flow in its queue: the same one again changes nothing, as long as the flow is there. Default: a name of its own. */
  readonly name?: string
}

/** The children that a flow is to have, 1 to 1,000 in all; their results come in this order. */
export interface FlowChildren {
  send<Value, Input>(this: void, queue: QueueDefinition<Value, Input>, value: Input, options?: SendOptions): void
}

export class ChildList implements FlowChildren {
  readonly #codec: ValueCodec
  readonly #children: Promise<QueuedMessage>[] = []

  constructor(codec: ValueCodec) {
    this.#codec = codec
  }

  get send(): FlowChildren['send'] {
    return (queue, value, options = {}) => this.#add(queue, value, options)
  }

  async all(): Promise<OutgoingFlow['children']> {
    if (this.#children.length === 0) throw invalidArgument('a flow has children')
    return Promise.all(this.#children)
  }

  #add<Value, Input>(queue: QueueDefinition<Value, Input>, value: Input, options: SendOptions): void {
    refuseUnknownOptions('the child of a flow', options, SEND_OPTIONS)
    if (options.fence !== undefined) throw invalidArgument('the child of a flow has no fence of its own')
    if (this.#children.length === CHILDREN_LIMIT) throw invalidArgument(`a flow has at most ${CHILDREN_LIMIT} children`)
    const message = outgoingMessage(queue, value, options, this.#codec)
    const { name, rules } = queue
    const child = (sent: Awaited<typeof message>): QueuedMessage => ({ queue: { name, rules }, message: sent })
    const added = message instanceof Promise ? message.then(child) : Promise.resolve(child(message))
    // Awaited together with the others.
    added.catch(() => undefined)
    this.#children.push(added)
  }
}
