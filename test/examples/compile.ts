/** An example is compiled within the package, so that it finds `troupe` by its name; Node 20 runs no TypeScript. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from '../process/os-process.ts'

const compiled = join(root, 'temp', 'examples')

/** The path of what the example of this name was compiled to, after a change to it if there is one. */
export function compile(name: string, change: (source: string) => string = (source) => source): string {
  const source = change(readFileSync(join(root, 'examples', name), 'utf8'))
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  })
  const file = join(compiled, name.replace(/\.ts$/, '.mjs'))
  mkdirSync(compiled, { recursive: true })
  writeFileSync(file, outputText)
  return file
}
