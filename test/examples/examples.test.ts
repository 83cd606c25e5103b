import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const compiled = join(root, 'temp', 'examples')

/** What each example prints. */
const OUTPUT: Readonly<Record<string, readonly string[]>> = {
  '01-map.ts': [
    'de/ann is taken',
    'de/ann has 421',
    'de/ann belongs to Ann',
    'de/bob belongs to Bob',
    'de/ann was closed after 3 deposits',
  ],
  '02-queue.ts': [
    'sent twice, kept once: true',
    'ann got welcome, your invoice, good bye',
    "{ to: 'nobody', text: 'hello?' } died of attempts after 3 deliveries: no such mailbox",
    'sent back: 1',
    'waiting: 1',
  ],
  '03-lock.ts': [
    'each was alone: true',
    'ann has 321',
    'the first holder is fenced off',
    'ann has 0',
    'billing is taken',
  ],
  '04-leader.ts': ['asked ann: run 1 by ann', 'asked bob: run 2 by ann', 'asked bob: run 3 by bob'],
  '05-fence.ts': [
    'sent: 200 written',
    'paid: 200 written',
    'sent-again: 412 somebody else holds the lock',
    'the invoice is at /paid',
    'holds: false true',
  ],
}

test('every example is listed here', () => {
  expect(readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))).toEqual(Object.keys(OUTPUT))
})

// As a newcomer runs it: the built package, in a process of its own, which must end by itself.
test.each(Object.entries(OUTPUT))('%s prints what it says', { timeout: 30_000 }, async (name, lines) => {
  const { stdout } = await promisify(execFile)(process.execPath, [compile(name)], { timeout: 20_000 })
  expect(stdout.trimEnd().split('\n')).toEqual(lines)
})

/** Node 20 runs no TypeScript. Within the package, so that the example finds `troupe` by its name. */
function compile(name: string): string {
  const source = readFileSync(join(root, 'examples', name), 'utf8')
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  })
  const file = join(compiled, name.replace(/\.ts$/, '.mjs'))
  mkdirSync(compiled, { recursive: true })
  writeFileSync(file, outputText)
  return file
}
