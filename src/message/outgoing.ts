/** An outgoing message is a value with all that its sender said about it, ready for a driver. */

import { checkDuration, checkTime, invalidArgument, LONGEST_MS, refuseUnknownOptions } from '../base/argument.ts'
import { TroupeError } from '../base/error.ts'
import { encodeHeaders, HEADERS_LIMIT_BYTES, type Headers, LARGE_HEADER, PARENT_HEADER } from '../base/headers.ts'
import { CALL_OPTIONS } from '../data/call.ts'
import { checkBound, isWellFormed } from '../data/key.ts'
import { type StandardSchema, validate } from '../data/schema.ts'
import type { DeduplicationMode, OutgoingMessage } from '../driver/contract.ts'
import type { DeduplicateOptions, QueueDefinition, SendOptions } from './queue.ts'

export const SEND_OPTIONS: ReadonlySet<string> = new Set([
  ...CALL_OPTIONS,
  'key',
  'delay',
  'at',
  'ttl',
  'priority',
  'deduplicate',
  'headers',
  'fence',
])
export const PUBLISH_OPTIONS: ReadonlySet<string> = new Set([...CALL_OPTIONS, 'key', 'headers', 'fence'])
const DEDUPLICATE_OPTIONS: ReadonlySet<string> = new Set(['id', 'mode', 'window'])
const MODES: readonly DeduplicationMode[] = ['drop', 'replace', 'debounce', 'requeue']
const WINDOW_MS = 300_000
const LEAST_TTL_MS = 1
export const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** Encodes a value that fits its schema; at once unless the schema is asynchronous. */
export function outgoingMessage<Value, Input>(
  definition: QueueDefinition<Value, Input>,
  value: Input,
  options: SendOptions,
  codec: { encode(value: unknown): Uint8Array },
): OutgoingMessage | Promise<OutgoingMessage> {
  if (definition?.kind !== 'queue') throw invalidArgument('a message goes to a definition made by defineQueue')
  const { schema, name } = definition
  const { key, headers, delay, ttl, priority, deduplication } = envelopeOf(options)
  // Spelled out: on Node 20 an object that is spread and added to is of a new shape each time, and slow to read ever
  // after.
  return whenValid(schema, value, `the message for '${name}'`, (valid) => ({
    key,
    payload: codec.encode(valid),
    headers,
    delay,
    ttl,
    priority,
    deduplication,
  }))
}

/** What `use` makes of the value, once it fits its schema. */
export function whenValid<Result>(
  schema: StandardSchema | undefined,
  value: unknown,
  where: string,
  use: (valid: unknown) => Result,
): Result | Promise<Result> {
  if (schema === undefined) return use(value)
  const valid = validate(schema, value, where)
  return valid instanceof Promise ? valid.then(use) : use(valid)
}

export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  if (headers === NO_HEADERS) return
  // A Map, or the headers of a request, would pass for an object without any.
  if (Object.prototype.toString.call(headers) !== '[object Object]')
    throw invalidArgument('headers is a plain object of texts')
  for (const [name, text] of Object.entries(headers)) {
    if (typeof text !== 'string') throw invalidArgument(`the header '${name}' is a text`)
    if (!(isWellFormed(name) && isWellFormed(text)))
      throw invalidArgument(`the header '${name}' holds half a surrogate pair, which UTF-8 cannot carry`)
  }
  const { length } = encodeHeaders(headers)
  if (length > HEADERS_LIMIT_BYTES)
    throw new TroupeError('TOO_LARGE', `the headers take ${length} bytes; the limit is ${HEADERS_LIMIT_BYTES}`)
}

/**
 * The headers without what the engine has said of another message: who passes on the headers of what it handles passes
 * on neither whose child that was nor where its payload lies.
 */
export function ownHeaders(headers: Headers = NO_HEADERS): Headers {
  checkHeaders(headers)
  if (headers[PARENT_HEADER] === undefined && headers[LARGE_HEADER] === undefined) return headers
  const { [PARENT_HEADER]: _parent, [LARGE_HEADER]: _large, ...own } = headers
  return own
}

function envelopeOf(options: SendOptions): Omit<OutgoingMessage, 'payload'> {
  const { key = '', delay = 0, at, ttl = Number.POSITIVE_INFINITY, priority = 0 } = options
  checkBound('key', key)
  const headers = ownHeaders(options.headers)
  checkDuration('delay', delay, -LONGEST_MS)
  if (at !== undefined && options.delay !== undefined) throw invalidArgument('give either a delay or a time, not both')
  if (at !== undefined) checkTime('at', at)
  if (ttl !== Number.POSITIVE_INFINITY) checkDuration('ttl', ttl, LEAST_TTL_MS)
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
  checkDuration('window', window)
  return { id, mode, window }
}
