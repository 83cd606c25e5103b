/** Effects are what a handler wants to happen along with its message: nothing of it before the handler has succeeded. */

import { checkDuration, invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import { PARENT_HEADER } from '../base/headers.ts'
import type { Millis } from '../base/time.ts'
import { checkBound, checkKey } from '../data/key.ts'
import type { MapDefinition } from '../data/map.ts'
import type { Effect } from '../driver/contract.ts'
import { checkHeaders, NO_HEADERS, outgoingMessage, PUBLISH_OPTIONS, SEND_OPTIONS, whenValid } from './outgoing.ts'
import type { MessageParts } from './parts.ts'
import type { QueueDefinition, SendOptions } from './queue.ts'
import type { PublishOptions, TopicDefinition } from './topic.ts'

const RESULT_OPTIONS: ReadonlySet<string> = new Set(['keep'])
const RESULT_KEEP_MS: Millis = 24 * 3_600_000

/** The effects of one message; the contract's `Effect` says which can happen together. */
export class EffectBuffer {
  readonly #codec: MessageParts['codec']
  readonly #pending: (Effect | Promise<Effect>)[] = []
  /** Of map changes: the last one of a key counts. */
  readonly #changes = new Map<string, Effect | Promise<Effect>>()
  #result: Extract<Effect, { type: 'result' }> | undefined

  constructor({ codec }: MessageParts) {
    this.#codec = codec
  }

  get isEmpty(): boolean {
    return this.#pending.length === 0 && this.#changes.size === 0 && this.#result === undefined
  }

  send<Value, Input>(queue: QueueDefinition<Value, Input>, value: Input, options: SendOptions): void {
    refuseUnknownOptions('emit', options, SEND_OPTIONS)
    if (options.fence !== undefined) throw noFence()
    const message = outgoingMessage(queue, value, options, this.#codec)
    const { name, rules } = queue
    const effect = (sent: Awaited<typeof message>): Effect => ({ type: 'send', queue: { name, rules }, message: sent })
    this.#add(message instanceof Promise ? message.then(effect) : effect(message))
  }

  set<Value, Input>(map: MapDefinition<Value, Input>, key: string, value: Input): void {
    checkMap(map)
    checkKey(key)
    const { name, schema } = map
    if (value === undefined) throw invalidArgument(`undefined is no value for '${key}': use null, or delete the key`)
    const effect = whenValid<Effect>(schema, value, `the value for '${key}'`, (valid) => ({
      type: 'set',
      map: name,
      key,
      value: this.#codec.encode(valid),
    }))
    if (effect instanceof Promise) effect.catch(() => undefined)
    this.#changes.set(`${name}\0${key}`, effect)
  }

  delete<Value, Input>(map: MapDefinition<Value, Input>, key: string): void {
    checkMap(map)
    checkKey(key)
    const { name } = map
    this.#changes.set(`${name}\0${key}`, { type: 'delete', map: name, key })
  }

  publish<Value, Input>(topic: TopicDefinition<Value, Input>, value: Input, options: PublishOptions): void {
    if (topic?.kind !== 'topic') throw invalidArgument('a record goes to a definition made by defineTopic')
    refuseUnknownOptions('publish', options, PUBLISH_OPTIONS)
    const { key = '', headers = NO_HEADERS, fence } = options
    if (fence !== undefined) throw noFence()
    checkBound('key', key)
    checkHeaders(headers)
    const { name, schema, rules } = topic
    const effect = (valid: unknown): Effect => ({
      type: 'publish',
      topic: { name, rules },
      key,
      // In a compacted topic null is no value: the key is gone.
      payload: rules.compact && valid === null ? new Uint8Array(0) : this.#codec.encode(valid),
      headers,
    })
    const isDeletion = rules.compact && value === null
    this.#add(isDeletion ? effect(null) : whenValid(schema, value, `the record for '${name}'`, effect))
  }

  result(value: unknown, options: { readonly keep?: Millis }): void {
    refuseUnknownOptions('result', options, RESULT_OPTIONS)
    const { keep = RESULT_KEEP_MS } = options
    checkDuration('keep', keep)
    this.#result = { type: 'result', value: this.#codec.encode(value), keep }
  }

  /** Sees to it that whoever waits for the message has an answer: its result, or that it left none. */
  answer(headers: Readonly<Record<string, string>>): void {
    const result = this.#result ?? { type: 'result', value: this.#codec.encode(undefined), keep: RESULT_KEEP_MS }
    const parent = headers[PARENT_HEADER]
    if (parent !== undefined) this.#add({ type: 'arrive', parent, value: result.value })
    this.#result = result
  }

  /** Rejects when one of them does not fit its schema. */
  async all(): Promise<Effect[]> {
    const effects = await Promise.all([...this.#changes.values(), ...this.#pending])
    return this.#result === undefined ? effects : [...effects, this.#result]
  }

  #add(effect: Effect | Promise<Effect>): void {
    // Awaited only once the handler has returned: until then nobody looks at a rejection.
    if (effect instanceof Promise) effect.catch(() => undefined)
    this.#pending.push(effect)
  }
}

function checkMap(map: { readonly kind: 'map' }): void {
  if (map?.kind !== 'map') throw invalidArgument('a change is of a definition made by defineMap')
}

function noFence(): Error {
  return invalidArgument('what is emitted with a message has no fence of its own')
}
