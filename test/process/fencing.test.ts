import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defineMap } from '../../src/data/map.ts'
import { readSequencer } from '../../src/data/sequencer.ts'
import { open } from '../../src/platform/open.ts'
import type { Troupe } from '../../src/runtime/troupe.ts'
import { ObjectStore } from './object-store.ts'
import { endAll, OsProcess, root } from './os-process.ts'
import { Postgres } from './postgres.ts'

const accounts = defineMap<string>('accounts')

/** The statements of the guide, in their order: what is tested is what people copy. */
const [column, update, insert, table, lockRow] = [
  ...readFileSync(join(root, 'docs/guide/fencing.md'), 'utf8').matchAll(/```sql\n(.*?)```/gs),
].map(([, sql = '']) => sql.trim())

const [putFenced = ''] = [...readFileSync(join(root, 'docs/guide/fencing.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)]
  .map(([, code = '']) => code)
  .filter((code) => code.includes('function putFenced'))

/** A process that takes the lock, and writes once the file is there, whatever has become of the lock by then. */
const HOLDER = `
  const { open, defineMap } = await import(process.env.ENTRY)
  const { existsSync } = await import('node:fs')
  const { execFileSync } = await import('node:child_process')
  const client = await open({ connect: [process.env.ADDRESS] })
  const lock = await client.lock('billing', { ttl: 1000 })
  const go = async () => {
    console.log('holds ' + lock.sequencer)
    while (!existsSync(process.env.GO)) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  if (process.env.PAUSE === 'between') {
    const { fetch } = globalThis
    globalThis.fetch = async (...words) => {
      const answer = await fetch(...words)
      globalThis.fetch = fetch
      await go()
      return answer
    }
  } else await go()
  if (process.env.STORE) {
    const { putFenced } = await import(process.env.RECIPE)
    const put = putFenced(process.env.STORE, 'late', lock.token)
    console.log('store: ' + await put.then(() => 'written', (error) => error.message))
  }
  console.log('was lost: ' + lock.signal.aborted)
  const set = client.map(defineMap('accounts')).set('ann', 'late', { fence: lock })
  console.log('map: ' + await set.then(() => 'written', (error) => error.code))
  if (process.env.PSQL) {
    const [command, ...words] = JSON.parse(process.env.PSQL)
    const sql = process.env.SQL.replaceAll('$1', lock.token)
    console.log('rows: ' + execFileSync(command, [...words, '-c', sql], { encoding: 'utf8' }).trim())
  }
  await client.close()
  console.log('ended')
`

describe('a holder that was stopped for longer than its lease', () => {
  let troupe: Troupe
  let address = ''
  let pauses = 0
  const directory = mkdtempSync(join(tmpdir(), 'troupe-fencing-'))
  beforeAll(async () => {
    troupe = await open({ listen: '127.0.0.1:0' })
    address = (await troupe.status()).members[0]?.address ?? ''
  })
  afterAll(async () => {
    await endAll()
    await troupe.close()
    rmSync(directory, { recursive: true })
  })

  /** Stops it, has `next` write in its stead, and lets it go on to its end. */
  async function overtake(
    environment: Readonly<Record<string, string>>,
    next: (token: bigint) => Promise<void>,
  ): Promise<string> {
    const go = join(directory, `go-${++pauses}`)
    const ENTRY = new URL('../../dist/index.js', import.meta.url).href
    const more = { ENTRY, ADDRESS: address, GO: go, ...environment }
    const holder = new OsProcess(process.execPath, ['--input-type=module', '--eval', HOLDER], more)
    await holder.says('holds ')
    const stale = /holds (\S+)/.exec(holder.stdout)?.[1] ?? ''
    expect(await troupe.verify(stale)).toBe(true)
    holder.kill('SIGSTOP')
    await using lock = await troupe.lock('billing')
    expect(lock.token).toBeGreaterThan(readSequencer(stale).token)
    await troupe.map(accounts).set('ann', 'next', { fence: lock })
    await next(lock.token)
    expect([await troupe.verify(stale), await troupe.verify(lock.sequencer)]).toEqual([false, true])
    writeFileSync(go, '')
    holder.kill('SIGCONT')
    await holder.says('ended')
    expect((await troupe.map(accounts).get('ann'))?.value).toBe('next')
    return holder.stdout
  }

  test('knows that it was lost, and is FENCED off from our maps', async () => {
    const said = await overtake({}, async () => {})
    expect(said).toContain('was lost: true')
    expect(said).toContain('map: FENCED')
  })

  test.each(['before', 'between'])(
    'is fenced off by the function of the guide, in a store like S3, when it was stopped %s reading and writing',
    async (pause) => {
      const recipe = join(directory, 'recipe.mjs')
      const { outputText } = ts.transpileModule(putFenced, { compilerOptions: { module: ts.ModuleKind.ESNext } })
      writeFileSync(recipe, outputText)
      const store = await ObjectStore.start()
      const url = `${store.url}/invoice-7`
      const put: (url: string, value: unknown, token: bigint) => Promise<void> = (await import(recipe)).putFenced
      try {
        // Its content before and after is the same but for the token.
        await put(url, 'next', 0n)
        const said = await overtake({ STORE: url, RECIPE: recipe, PAUSE: pause }, (token) => put(url, 'next', token))
        expect(said).toContain('store: somebody else holds the lock')
        expect(await (await fetch(url)).json()).toMatchObject({ value: 'next' })
        const raced = await Promise.allSettled(
          [9n, 8n, 7n].map((token) => put(`${store.url}/new`, String(token), token)),
        )
        expect(raced[0]).toMatchObject({ status: 'fulfilled' })
        expect(await (await fetch(`${store.url}/new`)).json()).toEqual({ fence: '9', value: '9' })
      } finally {
        await store.end()
      }
    },
  )

  const isHere = Postgres.programs() !== undefined
  // A machine that builds for others has one, or says that it has not.
  test.skipIf(!isHere && process.env.CI === undefined)(
    'is fenced off by the statements of the guide, in a real Postgres',
    async () => {
      const postgres = await Postgres.start()
      try {
        await postgres.run(`CREATE TABLE invoices (id int PRIMARY KEY, state text NOT NULL); ${column}; ${table}`)
        await postgres.run(`INSERT INTO invoices VALUES (1, 'new'), (2, 'new'), (4, 'new')`)
        const places = [
          [update, 1],
          [insert, 2],
          [insert, 3],
          [lockRow, 4],
        ] as const
        const rows = (state: string) =>
          places
            .map(([sql = '', id]) =>
              sql.replaceAll('$2', `${id}`).replace('sent', state).replace(/;$/, ' RETURNING id;'),
            )
            .join('\n')
        const environment = { PSQL: JSON.stringify(postgres.psql), SQL: rows('late') }
        const said = await overtake(environment, async (token) => {
          expect(await postgres.run(rows('next').replaceAll('$1', `${token}`))).toBe('1\n2\n3\n4')
        })
        expect(said).toMatch(/rows: *\nended/)
        expect(await postgres.run('SELECT state FROM invoices ORDER BY id')).toBe('next\nnext\nnext\nnext')
      } finally {
        await postgres.end()
      }
    },
  )
})
