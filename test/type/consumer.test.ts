import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const project = join(root, 'temp', 'consumer')
const PROGRAM = `
import { defineMap, open, type Troupe } from 'troupe'
export async function main(): Promise<number | undefined> {
  const troupe: Troupe = await open()
  const entry = await troupe.map(defineMap<number>('visits')).get('all')
  return entry?.value
}
`
const { ModuleKind, ModuleResolutionKind } = ts

beforeAll(() => {
  mkdirSync(join(project, 'node_modules'), { recursive: true })
  symlinkSync(root, join(project, 'node_modules', 'troupe'))
  for (const name of ['main.mts', 'main.cts']) writeFileSync(join(project, name), PROGRAM)
})
afterAll(() => rmSync(project, { recursive: true, force: true }))

test.each([
  ['an ES module under node16', 'main.mts', ModuleKind.Node16, ModuleResolutionKind.Node16],
  ['an ES module under nodenext', 'main.mts', ModuleKind.NodeNext, ModuleResolutionKind.NodeNext],
  ['a CommonJS module under nodenext', 'main.cts', ModuleKind.NodeNext, ModuleResolutionKind.NodeNext],
  ['what a bundler takes', 'main.mts', ModuleKind.ESNext, ModuleResolutionKind.Bundler],
  ['a CommonJS module that knows no exports', 'main.cts', ModuleKind.CommonJS, ModuleResolutionKind.Node10],
])('the types are found, and true, from %s', { timeout: 30_000 }, (_, name, module, moduleResolution) => {
  const program = ts.createProgram([join(project, name)], {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    ignoreDeprecations: '6.0',
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts'],
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
    module,
    moduleResolution,
  })
  const found = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
  expect(found).toEqual([])
})
