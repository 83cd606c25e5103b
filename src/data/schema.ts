/** A schema says which values a dataset takes; any library that implements Standard Schema provides one. */

import { TroupeError } from '../base/error.ts'

/**
 * Standard Schema, version 1 (standardschema.dev), reduced to what is used here: zod, valibot, arktype and others have
 * it.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a schema makes of a value: the value to keep, or why it does not fit. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** Where a value does not fit its schema, and why. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a writer hands in. */
export type InputOf<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['input']

/** What is stored and what a reader gets. */
export type OutputOf<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['output']

/** The schema's output for `value`, at once unless the schema is asynchronous. Otherwise `VALIDATION`, with `where` in its message. */
export function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
  where: string,
): Output | Promise<Output> {
  const result = schema['~standard'].validate(value)
  return result instanceof Promise ? result.then((late) => accept(late, where)) : accept(result, where)
}

function accept<Output>(result: SchemaResult<Output>, where: string): Output {
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(({ message, path }) => ({ message, path: (path ?? []).map(segmentOf) }))
  const first = issues[0]
  const at = first === undefined || first.path.length === 0 ? '' : ` at ${first.path.join('.')}`
  throw new TroupeError('VALIDATION', `${where} does not fit its schema${at}: ${first?.message ?? 'no reason given'}`, {
    details: { issues },
  })
}

/** A segment as text or number: symbols cannot be printed or sent. */
function segmentOf(segment: PropertyKey | { readonly key: PropertyKey }): string | number {
  const key = typeof segment === 'object' ? segment.key : segment
  return typeof key === 'symbol' ? String(key) : key
}
