/** A name is what a dataset is called throughout the cluster; its placement says which datasets share shards. */

import { invalidArgument } from '../base/argument.ts'

const NAME_PATTERN = /^[A-Za-z0-9._:/-]{1,128}$/

/** @param article the kind of the thing with its article, such as `a map` */
export function checkName(article: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME_PATTERN.test(name)) return
  throw invalidArgument(
    `${article}'s name has 1 to 128 of A-Z a-z 0-9 . _ : / - and is not '${String(name).slice(0, 140)}'`,
  )
}

/** What drivers know a dataset by: things of one placement have their equal keys in the same shard. */
export function placedName(name: string, placement: string | undefined): string {
  if (placement === undefined) return name
  checkName('a placement', placement)
  return `${name}@${placement}`
}

export function checkSchema(what: string, schema: { readonly '~standard'?: unknown } | undefined): void {
  if (schema === undefined) return
  const standard = schema?.['~standard'] as { readonly validate?: unknown } | undefined
  if (typeof standard?.validate === 'function') return
  throw invalidArgument(`schema of ${what} is no Standard Schema (zod, valibot, arktype and others make one)`)
}
