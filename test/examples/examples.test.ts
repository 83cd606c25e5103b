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
