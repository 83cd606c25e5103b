import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { afterAll, expect, test } from 'vitest'
import { findCommand, parseCommandLine } from '../../src/cli/command-line.ts'
import { COMMANDS } from '../../src/cli/run.ts'
import { ProcessCluster } from '../process/cluster.ts'
import { root } from '../process/os-process.ts'

interface Page {
  /** What the page takes for granted: declarations of its reader's own code. */
  readonly reader: string
  /** Ends the program that the page's blocks make. */
  readonly end: string
  /** What it prints. */
  readonly prints: readonly unknown[]
}

const WAIT = 'await new Promise((again) => setTimeout(again, 20))'

const PAGES: Readonly<Record<string, Page>> = {
  'README.md': {
    reader: 'async function deliver(_: { to: string }, __: { signal: AbortSignal }) {}',
    end: 'console.log(ann?.value)',
    prints: ["{ name: 'Ann', mails: 1 }"],
  },
  'queue.md': {
    reader: `
      const delivered: string[] = []
      async function deliver({ to }: { to: string }, _: { signal: AbortSignal }) { delivered.push(to) }
      const bound: unknown[] = []
      function bind(pages: readonly unknown[]) { bound.push(...pages) }`,
    end: `
      while (bound.length < 3 || delivered.length < 2) ${WAIT}
      console.log(delivered.sort().join(', '), bound.join(', '), 'and', total)
      await worker.drain()`,
    prints: ['ann@example.org, eve page 1, page 2, page 3 and 42'],
  },
  'schedule.md': {
    reader: 'async function report(_: { kind: string }, __: string | undefined) {}',
    end: `console.log((await troupe.schedules()).map(({ id }) => id).join(', '))`,
    prints: [
      expect.stringMatching(/^beat \d+/),
      expect.stringMatching(/^new-year \d+/),
      expect.stringMatching(/^nightly \d+/),
      'beat, nightly',
    ],
  },
  'topic.md': {
    reader: `async function bill(value: { id: number }) { console.log('bill for', value.id) }`,
    end: '',
    prints: ['bill for 7', '90'],
  },
  'leader.md': {
    reader: `
      let made = 0
      async function plan() { made += 1; return 'work ' + made }
      let migrations = 0
      async function migrate() { migrations += 1; return 'version ' + (migrations + 1) }
      async function read() {}`,
    end: `
      ending.catch((error) => { if (error.code !== 'CLOSED' && error.code !== 'OUTCOME_UNKNOWN') throw error })
      while (made < 2) ${WAIT}
      console.log('planned', 'with', version)`,
    prints: ['held by till-3 with 0 in line', 'planned with version 2'],
  },
}

const directory = join(root, 'temp', 'guide')
mkdirSync(directory, { recursive: true })
const data = mkdtempSync(join(tmpdir(), 'troupe-guide-'))
afterAll(() => rmSync(data, { recursive: true, force: true }))

function blocks(page: string, language: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, code = '']) => code)
}

/** The page's blocks, in their order, as one program. */
function programOf(page: string, { reader, end }: Page): string {
  const path = page === 'README.md' ? page : `docs/guide/${page}`
  const code = [reader, ...blocks(path, 'ts'), end, 'await troupe.close()'].join('\n')
  return code.replace("'./data'", JSON.stringify(join(data, page)))
}

test('the programs of the guide have no type errors', { timeout: 60_000 }, () => {
  const files = Object.entries(PAGES).map(([name, page]) => {
    const file = join(directory, name.replace('.md', '.mts'))
    writeFileSync(file, programOf(name, page))
    return file
  })
  const program = ts.createProgram(files, {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  })
  const found = ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0
    return `${file?.fileName}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
  expect(found).toEqual([])
})

async function run(name: string, program: string, environment: Readonly<Record<string, string>>): Promise<string[]> {
  const { outputText } = ts.transpileModule(program, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  })
  const file = join(directory, name)
  writeFileSync(file, outputText)
  const env = { ...process.env, ...environment }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 20_000, env })
  expect(stderr).toBe('')
  return stdout.trimEnd().split('\n')
}

test.each(Object.entries(PAGES))('%s does what it says', { timeout: 30_000 }, async (name, page) => {
  expect(await run(name.replace('.md', '.mjs'), programOf(name, page), {})).toEqual(page.prints)
})

test('leader.md does what it says as a client of three nodes', { timeout: 60_000 }, async () => {
  const page = PAGES['leader.md']
  if (page === undefined) throw new Error('there is no such page')
  const cluster = await ProcessCluster.start()
  try {
    const program = programOf('leader.md', page).replace(/open\(\{ dataDir: .* \}\)/, 'open()')
    const printed = await run('leader-of-three.mjs', program, { TROUPE_CONNECT: cluster.addresses.join(',') })
    expect(printed).toEqual(page.prints)
  } finally {
    await cluster.close()
  }
})

/** The words of a line of a shell, up to a comment or whatever takes its output. */
function words(line: string): readonly string[] {
  const [own = ''] = line.split(/ [#|<>] | && | #/)
  return [...own.matchAll(/'([^']*)'|"([^"]*)"|[^\s'"]+/g)].map(([word, single, double]) => single ?? double ?? word)
}

const PLACES = [
  'README.md',
  'docs/guide/first-cluster.md',
  'docs/guide/queue.md',
  'docs/guide/schedule.md',
  'docs/guide/topic.md',
  'docs/guide/leader.md',
]

test.each(PLACES)('every command line in %s can be given', (place) => {
  const lines = blocks(place, 'sh').flatMap((block) => block.split('\n'))
  const given = lines.flatMap((line) => /^(?:npx )?troupe (.*)$/.exec(line)?.slice(1) ?? [])
  expect(given.length).toBeGreaterThan(0)
  for (const line of given) {
    const { command, rest } = findCommand(COMMANDS, words(line))
    expect(parseCommandLine(command, rest)).toBeDefined()
  }
})
