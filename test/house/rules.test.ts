import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** A planted violation: what the file says, and the rule that must refuse it. */
interface Plant {
  readonly file: string
  readonly says: string
  readonly rule: string
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const house = realpathSync(mkdtempSync(join(tmpdir(), 'troupe-house-')))
const tools = join(root, 'node_modules')

/** Files that exist so that a planted import has something to name; every rule must leave them alone. */
const furniture: readonly (readonly [string, string])[] = [
  ['src/entry.ts', "export { port } from './host/port.ts'\n"],
  ['src/base/base.ts', 'export const base = 1\n'],
  ['src/protocol/core.ts', 'export type Core = string\n'],
  ['src/sharding/shard.ts', 'export const shard = 1\n'],
  ['src/machine/machine.ts', "import { shard } from '../sharding/shard.ts'\n\nexport const machine: number = shard\n"],
  ['src/wire/frame.ts', 'export type Frame = string\n'],
  [
    'src/host/port.ts',
    "import type { Core } from '../protocol/core.ts'\n\nexport const port = (core: Core): Core => core\n",
  ],
  ['src/driver/contract.ts', 'export const contract = 1\n'],
  ['src/driver/native/native.ts', "import type { Frame } from '../../wire/frame.ts'\n\nexport type Native = Frame\n"],
  ['src/data/map.ts', "import { contract } from '../driver/contract.ts'\n\nexport const map: number = contract\n"],
  ['src/message/queue.ts', "import { map } from '../data/map.ts'\n\nexport const queue: number = map\n"],
  ['src/runtime/table.ts', "export const table: ReadonlyMap<string, number> = new Map([['a', 1]])\n"],
  [
    'src/platform/clock.ts',
    "import { hrtime } from 'node:process'\n\nlet last = 0n\nexport function now(): bigint {\n  last = hrtime.bigint()\n  return last\n}\n",
  ],
  ['src/simulation/clock.ts', 'export const clock = 1\n'],
  [
    'test/unit/fine.test.ts',
    "import { readFileSync } from 'node:fs'\n\nexport const text: string = readFileSync('a', 'utf8')\n",
  ],
]

const floors: readonly Plant[] = [
  { file: 'src/base/high.ts', says: "import { shard } from '../sharding/shard.ts'", rule: 'floor-of-base' },
  { file: 'src/base/entry.ts', says: "import { port } from '../entry.ts'", rule: 'floor-of-base' },
  { file: 'src/protocol/high.ts', says: "import type { Frame } from '../wire/frame.ts'", rule: 'floor-of-protocol' },
  { file: 'src/protocol/side.ts', says: "import { machine } from '../machine/machine.ts'", rule: 'floor-of-protocol' },
  { file: 'src/sharding/side.ts', says: "import { machine } from '../machine/machine.ts'", rule: 'floor-of-sharding' },
  { file: 'src/machine/side.ts', says: "import type { Core } from '../protocol/core.ts'", rule: 'floor-of-machine' },
  { file: 'src/telemetry/side.ts', says: "export type { Frame } from '../wire/frame.ts'", rule: 'floor-of-telemetry' },
  { file: 'src/cluster/high.ts', says: "import { contract } from '../driver/contract.ts'", rule: 'floor-of-cluster' },
  {
    file: 'src/driver/memory.ts',
    says: "import type { Frame } from '../wire/frame.ts'",
    rule: 'only-the-native-driver-sees-the-engine',
  },
  {
    file: 'src/driver/nats.ts',
    says: "import type { Native } from './native/native.ts'",
    rule: 'only-the-native-driver-sees-the-engine',
  },
  { file: 'src/data/deep.ts', says: "import { machine } from '../machine/machine.ts'", rule: 'floor-of-data' },
  { file: 'src/data/side.ts', says: "import { queue } from '../message/queue.ts'", rule: 'floor-of-data' },
  {
    file: 'src/message/deep.ts',
    says: "import type { Native } from '../driver/native/native.ts'",
    rule: 'floor-of-message',
  },
  {
    file: 'src/actor/deep.ts',
    says: "import type { Native } from '../driver/native/native.ts'",
    rule: 'floor-of-actor',
  },
  { file: 'src/platform/side.ts', says: "import { clock } from '../simulation/clock.ts'", rule: 'floor-of-platform' },
  {
    file: 'src/simulation/side.ts',
    says: "export const load = () => import('../platform/clock.ts')",
    rule: 'floor-of-simulation',
  },
  { file: 'src/garage/car.ts', says: "import { base } from '../base/base.ts'", rule: 'every-folder-has-a-floor' },
  { file: 'src/runtime/disk.ts', says: "import { readFileSync } from 'node:fs'", rule: 'the-world-stays-outside' },
  { file: 'src/simulation/bare.ts', says: "import type { Stats } from 'fs'", rule: 'the-world-stays-outside' },
  { file: 'src/host/egg.ts', says: "import type { Hen } from './hen.ts'\nexport type Egg = Hen", rule: 'no-cycles' },
  { file: 'src/host/hen.ts', says: "import type { Egg } from './egg.ts'\nexport type Hen = Egg", rule: 'no-cycles' },
  { file: 'src/host/lost.ts', says: "import { gone } from './gone.ts'", rule: 'no-unresolvable' },
  { file: 'src/cli/stranger.ts', says: "import { test } from 'vitest'", rule: 'only-declared-dependencies' },
  { file: 'src/cluster/index.ts', says: 'export const index = 1', rule: 'no-barrels-no-drawers' },
  { file: 'src/host/utils.ts', says: 'export const utils = 1', rule: 'no-barrels-no-drawers' },
]

const many = (count: number, line: string) => Array.from({ length: count }, () => line).join('\n')

const style: readonly Plant[] = [
  {
    file: 'src/runtime/date.ts',
    says: 'export const at = (): number => Date.now()',
    rule: 'style/noRestrictedGlobals',
  },
  {
    file: 'src/runtime/newdate.ts',
    says: 'export const at = (): unknown => new Date()',
    rule: 'style/noRestrictedGlobals',
  },
  { file: 'src/host/timer.ts', says: 'setTimeout(() => {}, 1)', rule: 'style/noRestrictedGlobals' },
  { file: 'src/host/interval.ts', says: 'setInterval(() => {}, 1)', rule: 'style/noRestrictedGlobals' },
  { file: 'src/host/immediate.ts', says: 'setImmediate(() => {})', rule: 'style/noRestrictedGlobals' },
  {
    file: 'src/host/stopwatch.ts',
    says: 'export const at = (): number => performance.now()',
    rule: 'style/noRestrictedGlobals',
  },
  { file: 'src/platform/timer.ts', says: 'setTimeout(() => {}, 1)', rule: 'style/noRestrictedGlobals' },
  { file: 'src/data/talk.ts', says: "console.log('x')", rule: 'style/noRestrictedGlobals' },
  { file: 'src/data/exit.ts', says: 'process.exit()', rule: 'style/noRestrictedGlobals' },
  {
    file: 'src/wire/buffer.ts',
    says: "export const bytes: Uint8Array = Buffer.from('x')",
    rule: 'style/noRestrictedGlobals',
  },
  { file: 'src/wire/escape.ts', says: 'globalThis.setTimeout(() => {}, 1)', rule: 'style/noRestrictedGlobals' },
  { file: 'src/driver/memory.ts', says: "fetch('x')", rule: 'style/noRestrictedGlobals' },
  { file: 'src/data/counter.ts', says: 'let counter = 0\nexport const next = (): number => ++counter', rule: 'plugin' },
  { file: 'src/data/cache.ts', says: 'export const cache = new Map<string, number>()', rule: 'plugin' },
  { file: 'src/data/static.ts', says: 'export class Counter {\n  static count = 0\n}', rule: 'plugin' },
  {
    file: 'src/platform/open.ts',
    says: 'export const open = (s: { listen(p: number): void }): void => s.listen(80)',
    rule: 'plugin',
  },
  { file: 'src/data/any.ts', says: 'export const any = (x: any): string => x', rule: 'suspicious/noExplicitAny' },
  {
    file: 'src/data/bang.ts',
    says: 'export const bang = (x?: string): string => x!',
    rule: 'style/noNonNullAssertion',
  },
  {
    file: 'src/data/type.ts',
    says: "import { Frame } from '../wire/frame.ts'\n\nexport type F = Frame",
    rule: 'style/useImportType',
  },
  { file: 'src/data/suffix.ts', says: "export { map } from './map'", rule: 'correctness/useImportExtensions' },
  { file: 'src/data/default.ts', says: 'export default 1', rule: 'style/noDefaultExport' },
  { file: 'src/data/enum.ts', says: 'export enum Colour {\n  red = 1,\n}', rule: 'style/noEnum' },
  { file: 'src/data/namespace.ts', says: 'export namespace N {\n  export const a = 1\n}', rule: 'style/noNamespace' },
  {
    file: 'src/data/property.ts',
    says: 'export class P {\n  constructor(readonly a: string) {}\n}',
    rule: 'style/noParameterProperties',
  },
  { file: 'src/data/CamelCase.ts', says: 'export const name = 1', rule: 'style/useFilenamingConvention' },
  {
    file: 'src/data/five.ts',
    says: 'export const five = (a: 1, b: 1, c: 1, d: 1, e: 1): number => a + b + c + d + e',
    rule: 'complexity/useMaxParams',
  },
  {
    file: 'src/data/long.ts',
    says: `export function long(): void {\n${many(61, '  long()')}\n}`,
    rule: 'complexity/noExcessiveLinesPerFunction',
  },
  {
    file: 'src/data/file.ts',
    says: `${many(500, '// one more')}\nexport const last = 1`,
    rule: 'style/noExcessiveLinesPerFile',
  },
]

const purity: readonly Plant[] = [
  {
    file: 'src/runtime/dice.ts',
    says: 'export const dice = (): number => Math.random()',
    rule: 'no-restricted-properties',
  },
  {
    file: 'src/runtime/uuid.ts',
    says: 'export const uuid = (): string => crypto.randomUUID()',
    rule: 'no-restricted-properties',
  },
  { file: 'src/base/async.ts', says: 'export async function f(): Promise<void> {}', rule: 'no-async-await' },
  {
    file: 'src/protocol/promise.ts',
    says: 'export const p: unknown = new Promise(() => {})',
    rule: 'no-restricted-globals',
  },
  { file: 'src/sharding/micro.ts', says: 'queueMicrotask(() => {})', rule: 'no-restricted-globals' },
  {
    file: 'src/machine/like.ts',
    says: 'export const later = (done: PromiseLike<void>): void => void done',
    rule: 'no-restricted-types',
  },
  {
    file: 'src/host/floating.ts',
    says: 'export const f = (g: () => Promise<void>): void => {\n  g()\n}',
    rule: 'no-floating-promises',
  },
  {
    file: 'src/host/misused.ts',
    says: 'export const f = (g: Promise<boolean>): number => (g ? 1 : 2)',
    rule: 'no-misused-promises',
  },
  {
    file: 'src/host/thenable.ts',
    says: 'export const f = async (): Promise<number> => await 1',
    rule: 'await-thenable',
  },
  { file: 'test/unit/sleep.test.ts', says: 'setTimeout(() => {}, 10)', rule: 'no-restricted-globals' },
  {
    file: 'test/scenario/nap.ts',
    says: "import { setTimeout as nap } from 'node:timers/promises'\n\nawait nap(1)",
    rule: 'no-restricted-imports',
  },
]

beforeAll(() => {
  for (const file of [
    'biome.jsonc',
    '.oxlintrc.json',
    '.dependency-cruiser.mjs',
    'tsconfig.json',
    'tsconfig.check.json',
  ]) {
    cpSync(join(root, file), join(house, file))
  }
  cpSync(join(root, 'package.json'), join(house, 'package.json'))
  cpSync(join(root, '.gitignore'), join(house, '.gitignore'))
  cpSync(join(root, 'scripts', 'lint'), join(house, 'scripts', 'lint'), { recursive: true })
  symlinkSync(tools, join(house, 'node_modules'))
})

afterAll(() => rmSync(house, { recursive: true, force: true }))

describe.each([
  { name: 'dependency-cruiser', plants: floors, find: cruise },
  { name: 'biome', plants: style, find: lintStyle },
  { name: 'oxlint', plants: purity, find: lintPromises },
])('$name', ({ plants, find }) => {
  let found: readonly string[] = []
  let foundInFurniture: readonly string[] = []

  beforeAll(() => {
    rmSync(join(house, 'src'), { recursive: true, force: true })
    rmSync(join(house, 'test'), { recursive: true, force: true })
    for (const [file, says] of furniture) write(file, says)
    foundInFurniture = find()
    for (const { file, says } of plants) write(file, `${says}\n`)
    found = find()
  }, 60_000)

  test('finds nothing in a tidy house', () => {
    expect(foundInFurniture).toEqual([])
  })

  test.each(plants)('refuses $file: $rule', ({ file, rule }) => {
    expect(found).toContain(`${file} ${rule}`)
  })
})

test('nobody in the house silences a linter', () => {
  const silencers = /(?:\/[/*]|#)\s*(?:(?:biome|oxlint|eslint)-(?:ignore|disable)|@ts-(?:ignore|nocheck))/
  const files = ['src', 'test', 'bench', 'examples', 'scripts'].flatMap((folder) => filesIn(join(root, folder)))
  expect(files).toContain(fileURLToPath(import.meta.url))
  expect('// biome-ignore lint: no').toMatch(silencers)
  const silent = files.filter((file) => silencers.test(readFileSync(file, 'utf8')))
  // The words stand once in this very test, to show that the pattern finds them.
  expect(silent).toEqual([fileURLToPath(import.meta.url)])
})

function filesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  // The bench installs the clients of other systems beside itself.
  return files.filter((file) => !file.split(sep).includes('node_modules'))
}

function write(file: string, says: string): void {
  mkdirSync(dirname(join(house, file)), { recursive: true })
  writeFileSync(join(house, file), says)
}

function cruise(): readonly string[] {
  const report = json(run('dependency-cruiser/bin/dependency-cruise.mjs', 'src', '--config', '--output-type', 'json'))
  const { summary } = report as {
    summary: { violations: { from: string; rule: { name: string }; cycle?: { name: string }[] }[] }
  }
  return summary.violations.flatMap(({ from, rule, cycle = [] }) =>
    [from, ...cycle.map((file) => file.name)].map((file) => `${file} ${rule.name}`),
  )
}

function lintStyle(): readonly string[] {
  const output = run('@biomejs/biome/bin/biome', 'lint', '--colors=off', '--max-diagnostics=none', '--reporter=github')
  const lines = output.matchAll(/^::\w+ title=(?:lint\/)?([^,]+),file=([^,]+)/gm)
  return Array.from(lines, ([, rule, file = '']) => `${relative(house, file)} ${rule}`)
}

function lintPromises(): readonly string[] {
  const report = json(run('oxlint/bin/oxlint', '--type-aware', '--format=json'))
  const { diagnostics } = report as { diagnostics: { code: string; filename: string }[] }
  return diagnostics.map(({ code, filename }) => `${filename} ${code.replace(/^.*\((.*)\)$/, '$1')}`)
}

function run(tool: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, [join(tools, tool), ...args], {
    cwd: house,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout === '' ? stderr : stdout
}

function json(text: string): unknown {
  return JSON.parse(text.slice(text.indexOf('{')))
}
