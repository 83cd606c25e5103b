import type { StandardSchemaV1 } from '@standard-schema/spec'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { MapDefinition, TroupeMap } from '../../src/data/map.ts'
import { defineMap } from '../../src/data/map.ts'
import type { InputOf, OutputOf, StandardSchema } from '../../src/data/schema.ts'
import type { ScanOptions } from '../../src/driver/contract.ts'

const User = z.object({ name: z.string(), visits: z.number().default(0) })
type User = z.output<typeof User>
type NewUser = z.input<typeof User>

type Users = TroupeMap<User, NewUser>
type ItemOf<Stream> = Stream extends AsyncIterable<infer Item> ? Item : never

/** Compiles, or does not; never called. */
function attempts(users: Users): unknown {
  return [
    users.set('ann', { name: 'Ann' }),
    users.set('ann', { name: 'Ann' }, { ifRevision: 0n, timeout: 1 }),
    users.update('ann', (user) => ({ name: user?.name ?? 'Ann', visits: (user?.visits ?? 0) + 1 })),
    users.update('ann', async () => ({ name: 'Ann' })),
    // @ts-expect-error a value lacks a name
    users.set('ann', { visits: 1 }),
    // @ts-expect-error a revision is a bigint
    users.set('ann', { name: 'Ann' }, { ifRevision: 0 }),
    // @ts-expect-error no such option
    users.get('ann', { retries: 3 }),
    // @ts-expect-error no such read level
    users.get('ann', { read: 'eventual' }),
    // @ts-expect-error a forgotten return
    users.update('ann', (user) => void user),
    // @ts-expect-error a key is a string
    users.get(7),
    // @ts-expect-error what this schema returns does not fit it again
    defineMap('lengths', { schema: z.string().transform((text) => text.length) }),
    // @ts-expect-error no such consistency
    defineMap('online', { consistency: 'weak' }),
  ]
}

describe('types', () => {
  test('of a definition flow from its schema', () => {
    expectTypeOf(defineMap('users', { schema: User })).toEqualTypeOf<MapDefinition<User, NewUser>>()
    expectTypeOf(defineMap<number>('counts')).toEqualTypeOf<MapDefinition<number>>()
    expectTypeOf(defineMap('any')).toEqualTypeOf<MapDefinition<unknown>>()
    expectTypeOf(defineMap('sum', { schema: z.coerce.number() })).toEqualTypeOf<MapDefinition<number, unknown>>()
  })

  test('of what is read are those of the schema, with defaults filled in', () => {
    type Found = NonNullable<Awaited<ReturnType<Users['get']>>>
    expectTypeOf<Found['value']>().toEqualTypeOf<User>()
    expectTypeOf(attempts).toBeFunction()
  })

  test('of changes are told apart by their type', () => {
    type Change = ItemOf<ReturnType<Users['watch']>>
    expectTypeOf<Extract<Change, { type: 'set' }>['value']>().toEqualTypeOf<User>()
    expectTypeOf<Extract<Change, { type: 'delete' }>>().not.toHaveProperty('value')
  })

  test('of Standard Schema and of its reduction agree', () => {
    expectTypeOf<typeof User>().toExtend<StandardSchema<NewUser, User>>()
    expectTypeOf<StandardSchemaV1<NewUser, User>>().toExtend<StandardSchema<NewUser, User>>()
    expectTypeOf<InputOf<typeof User>>().toEqualTypeOf<StandardSchemaV1.InferInput<typeof User>>()
    expectTypeOf<OutputOf<typeof User>>().toEqualTypeOf<StandardSchemaV1.InferOutput<typeof User>>()
  })

  test('of a driver ask for what the front has filled in', () => {
    expectTypeOf<ScanOptions>().toHaveProperty('limit').toEqualTypeOf<number>()
  })
})
