import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { CANARIES } from '../canary/canaries.mjs'
import { root } from '../process/os-process.ts'

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  rewriteRelativeImportExtensions: true,
}

test.each(CANARIES.map(({ name, file, find }) => [name, file, find] as const))(
  'a bug can be planted: %s',
  (_, file, find) => {
    const source = readFileSync(join(root, 'src', file.replace(/\.js$/, '.ts')), 'utf8')
    const compiled = ts.transpileModule(source, { compilerOptions: options }).outputText
    expect(compiled.split(find)).toHaveLength(2)
  },
)
