/** An outgoing message is a value with all that its sender said about it, ready for a driver. */

import { invalidArgument, refuseUnknownOptions } from '../base/argument.ts'
import type { ValueCodec } from '../base/codec.ts'
import { checkBound } from '../data/key.ts'
import { type StandardSchema, validate } from '../data/schema.ts'
import type { DeduplicationMode, OutgoingMessage } from '../driver/contract.ts'
import type { DeduplicateOptions, QueueDefinition, SendOptions } from './queue.ts'

const DEDUPLICATE_OPTIONS: ReadonlySet<string> = new Set(['id', 'mode', 'window'])
const MODES: readonly DeduplicationMode[] = ['drop', 'replace', 'debounce', 'requeue']
const WINDOW_MS = 300_000
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** Encodes a value that fits its schema; at once unless the schema is asynchronous. */
export function outgoingMessage<Value, Input>(
  { schema, name }: QueueDefinition<Value, Input>,
  value: Input,
  options: SendOptions,
  codec: ValueCodec,
): OutgoingMessage | Promise<OutgoingMessage> {
  const envelope = envelopeOf(options)
  return whenValid(schema, value, `the message for '${name}'`, (valid) => ({
    ...envelope,
    payload: codec.encode(valid),
  }))
}

/** What `use` makes of the value, once it fits its schema. */
export function whenValid<Result>(
  schema: StandardSchema | undefined,
  value: unknown,
  where: string,
  use: (valid: unknown) => Result,
): Result | Promise<Result> {
  const valid = schema === undefined ? value : validate(schema, value, where)
  return valid instanceof Promise ? valid.then(use) : use(valid)
}

export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(headers)) {
    if (typeof text !== 'string') throw invalidArgument(`the header '${name}' is a text`)
  }
}

function envelopeOf(options: SendOptions): Omit<OutgoingMessage, 'payload'> {
  const { key = '', delay = 0, at, ttl = Number.POSITIVE_INFINITY, priority = 0, headers = NO_HEADERS } = options
  checkBound('key', key)
  checkHeaders(headers)
  if (typeof delay !== 'number' || Number.isNaN(delay)) throw invalidArgument('delay is a number of milliseconds')
  if (at !== undefined && options.delay !== undefined) throw invalidArgument('give either a delay or a time, not both')
  if (at !== undefined && !Number.isFinite(at)) throw invalidArgument('at is a time in milliseconds since 1970')
  if (!(typeof ttl === 'number' && ttl > 0)) throw invalidArgument('ttl is a number of milliseconds above 0')
  if (!(Number.isInteger(priority) && priority >= 0 && priority <= 9)) throw invalidArgument('priority is 0 to 9')
  const deduplication = deduplicationOf(options.deduplicate)
  return { key, headers, delay: at === undefined ? Math.max(0, delay) : { at }, ttl, priority, deduplication }
}

function deduplicationOf(given: string | DeduplicateOptions | undefined): OutgoingMessage['deduplication'] {
  if (given === undefined) return undefined
  const options = typeof given === 'string' ? { id: given } : given
  refuseUnknownOptions('deduplicate', options, DEDUPLICATE_OPTIONS)
  const { id, mode = 'drop', window = WINDOW_MS } = options
  if (typeof id !== 'string' || id === '') throw invalidArgument('the id of deduplicate is a text')
  checkBound('the id of deduplicate', id)
  if (!MODES.includes(mode)) throw invalidArgument(`mode is one of ${MODES.join(', ')}`)
  if (!(typeof window === 'number' && window >= 0 && Number.isFinite(window))) {
    throw invalidArgument('window is a number of milliseconds')
  }
  return { id, mode, window }
}
