import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { endAll, OsProcess, root } from './os-process.ts'

const directory = join(root, 'temp', 'bundle')
const thread = join(root, 'dist', 'platform', 'engine-thread.js')
const application = join(directory, 'application.mjs')
mkdirSync(directory, { recursive: true })
// Within the package, so that it finds `troupe` by its name.
writeFileSync(
  application,
  `
import { defineMap, open } from 'troupe'
const troupe = await open({ dataDir: process.argv[2] })
await troupe.map(defineMap('users')).set('ann', 'Ann')
console.log((await troupe.map(defineMap('users')).get('ann')).value)
await troupe.close()
`,
)
/** Whoever runs vitest has vite, which bundles. */
const { build } = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'))('vite') as {
  readonly build: (config: object) => Promise<unknown>
}

afterEach(endAll)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

async function bundle(name: string, input: Readonly<Record<string, string>>): Promise<string> {
  const outDir = join(directory, name)
  await build({
    configFile: false,
    logLevel: 'error',
    root: directory,
    ssr: { noExternal: true },
    build: { ssr: true, outDir, rollupOptions: { input, output: { entryFileNames: '[name].mjs' } } },
  })
  return outDir
}

test('a bundle that has the thread beside it as a second entry runs', async () => {
  const out = await bundle('whole', { application, 'engine-thread': thread })
  const program = new OsProcess(process.execPath, [join(out, 'application.mjs'), join(out, 'data')])
  expect(await program.ended).toMatchObject({ code: 0, stdout: 'Ann\n', stderr: '' })
})

test('a bundle that has not is told what to do', async () => {
  const out = await bundle('alone', { application })
  const { code, stderr } = await new OsProcess(process.execPath, [join(out, 'application.mjs'), join(out, 'data')])
    .ended
  expect(code).toBe(1)
  expect(stderr).toContain("mark 'troupe' as external")
  expect(stderr).toContain("code: 'UNSUPPORTED'")
})

test('the thread that syncs on slow disks runs from a bundle, too', async () => {
  const input = join(directory, 'sync.mjs')
  writeFileSync(
    input,
    `
import { openSync } from 'node:fs'
import { DiskThreads } from ${JSON.stringify(join(root, 'dist', 'platform', 'disk-thread.js'))}
const threads = new DiskThreads()
threads.sync(openSync(process.argv[1], 'r+'), (error) => {
  console.log(error?.message ?? 'synced')
  threads.close()
})
`,
  )
  const file = join(await bundle('sync', { sync: input }), 'sync.mjs')
  expect(await new OsProcess(process.execPath, [file]).ended).toMatchObject({ code: 0, stdout: 'synced\n', stderr: '' })
})
