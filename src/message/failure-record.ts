/** A failure record is what is kept of something that was thrown: readable, of bounded size, whatever it was. */

export interface FailureRecord {
  /** The error's class, or the type of what was thrown. */
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  /** One line for each cause, outermost first. */
  readonly causes?: readonly string[]
  /** Where the value missed its schema. */
  readonly issues?: unknown
}

/** Most bytes of an encoded record. */
const LIMIT_BYTES = 4096
const MESSAGE_LIMIT = 512
const STACK_LIMIT = 1500
const MOST_CAUSES = 4
/** How many of a long list of issues are tried to keep. */
const FEWER_ISSUES = [16, 4, 1]

/** Never throws: getters that do, proxies and cycles are described as far as they let themselves. */
export function failureRecord(thrown: unknown): FailureRecord {
  if (typeof thrown !== 'object' || thrown === null) {
    return { name: thrown === null ? 'null' : typeof thrown, message: cut(textOf(thrown), MESSAGE_LIMIT) }
  }
  const code = field(thrown, 'code')
  const stack = field(thrown, 'stack')
  const details = field(thrown, 'details')
  const issues = typeof details === 'object' && details !== null ? field(details, 'issues') : undefined
  const causes = causesOf(thrown)
  return {
    ...headOf(thrown),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: cut(String(code), 64) } : {}),
    ...(typeof stack === 'string' ? { stack: cut(stack, STACK_LIMIT) } : {}),
    ...(causes.length > 0 ? { causes } : {}),
    ...(issues === undefined ? {} : { issues }),
  }
}

/** JSON, at most 4 KiB: what does not fit goes, the least telling first. */
export function encodeFailure(thrown: unknown): Uint8Array {
  const { name, message, ...more } = failureRecord(thrown)
  const { stack: _stack, ...withoutStack } = more
  const { issues } = more
  const fewer = Array.isArray(issues)
    ? FEWER_ISSUES.map((count) => ({ ...withoutStack, issues: issues.slice(0, count) }))
    : []
  for (const rest of [more, withoutStack, ...fewer, {}]) {
    const bytes = jsonBytes({ name, message, ...rest })
    if (bytes !== undefined && bytes.length <= LIMIT_BYTES) return bytes
  }
  return new TextEncoder().encode(JSON.stringify({ name: 'unknown', message: 'what was thrown cannot be described' }))
}

export function decodeFailure(bytes: Uint8Array | undefined): FailureRecord | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined
  const text = new TextDecoder().decode(bytes)
  try {
    const record: unknown = JSON.parse(text)
    if (typeof record === 'object' && record !== null && 'name' in record && 'message' in record) {
      return record as FailureRecord
    }
  } catch {
    // Written by something else: its text is what there is.
  }
  return { name: 'unknown', message: cut(text, MESSAGE_LIMIT) }
}

function headOf(thrown: object): { readonly name: string; readonly message: string } {
  const message = field(thrown, 'message')
  const name = field(thrown, 'name')
  if (typeof message === 'string') {
    return { name: cut(typeof name === 'string' ? name : 'Error', 64), message: cut(message, MESSAGE_LIMIT) }
  }
  return { name: 'object', message: cut(jsonText(thrown) ?? textOf(thrown), MESSAGE_LIMIT) }
}

function causesOf(thrown: object): string[] {
  const lines: string[] = []
  let cause = field(thrown, 'cause')
  while (cause !== undefined && lines.length < MOST_CAUSES) {
    const isObject = typeof cause === 'object' && cause !== null
    const { name, message } = isObject ? headOf(cause as object) : { name: typeof cause, message: textOf(cause) }
    lines.push(cut(`${name}: ${message}`, 256))
    cause = isObject ? field(cause as object, 'cause') : undefined
  }
  return lines
}

function field(thing: object, name: string): unknown {
  try {
    return (thing as Readonly<Record<string, unknown>>)[name]
  } catch {
    return undefined
  }
}

function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return 'an object that cannot be turned into text'
  }
}

function jsonText(value: unknown): string | undefined {
  const above = new Set<unknown>()
  try {
    return JSON.stringify(value, (_, part: unknown) => {
      if (typeof part === 'bigint') return `${part}n`
      if (typeof part !== 'object' || part === null) return part
      if (above.has(part)) return '[seen above]'
      above.add(part)
      return part
    })
  } catch {
    return undefined
  }
}

function jsonBytes(record: object): Uint8Array | undefined {
  const text = jsonText(record)
  return text === undefined ? undefined : new TextEncoder().encode(text)
}

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`
}
