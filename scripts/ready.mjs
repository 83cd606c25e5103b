/** A tree is ready when its dependencies are those of the lockfile and `dist` is what `src` compiles to. */

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'src')
const output = join(root, 'dist')

refuseOldNode()
if (!isInstalled()) install()
if (process.argv[2] !== 'install' && !isBuilt()) build()

function refuseOldNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  console.error(`Troupe needs Node 20.19 or newer; this is ${process.versions.node} (${process.execPath}).`)
  process.exit(1)
}

/** Compares what npm says it installed with the lockfile; file times say nothing after a checkout. */
function isInstalled() {
  const installed = packagesIn(join(root, 'node_modules', '.package-lock.json'))
  return Object.entries(packagesIn(join(root, 'package-lock.json'))).every(([path, wanted]) => {
    if (path === '' || (wanted.optional && installed[path] === undefined)) return true
    return installed[path]?.version === wanted.version
  })
}

/**
 * @param {string} lockfile
 * @returns {Record<string, { version: string, optional?: boolean }>}
 */
function packagesIn(lockfile) {
  return existsSync(lockfile) ? JSON.parse(readFileSync(lockfile, 'utf8')).packages : {}
}

function install() {
  console.error('Installing dependencies (npm ci) …')
  const command = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = process.env.npm_execpath
  // npm is a shell script on Windows, unless npm itself started us and says where its code is.
  if (npm?.endsWith('.js')) run(process.execPath, [npm, ...command])
  else run('npm', command, process.platform === 'win32')
}

function isBuilt() {
  const sources = filesIn(source).filter((path) => path.endsWith('.ts'))
  const outputs = new Set(filesIn(output).filter((path) => path.endsWith('.js')))
  if (sources.length !== outputs.size) return false
  return sources.every((path) => {
    const compiled = path.replace(/\.ts$/, '.js')
    return outputs.has(compiled) && statSync(join(output, compiled)).mtimeMs >= statSync(join(source, path)).mtimeMs
  })
}

function build() {
  console.error('Building (tsc) …')
  const sources = new Set(filesIn(source).map((path) => path.replace(/\.ts$/, '')))
  for (const path of filesIn(output)) {
    if (!sources.has(path.replace(/(\.d\.ts|\.js(\.map)?)$/, ''))) rmSync(join(output, path))
  }
  run(process.execPath, [join(root, 'node_modules/@typescript/native/bin/tsc'), '-p', join(root, 'tsconfig.json')])
  // npx links to it and makes it executable once only: not again when it was compiled after that.
  chmodSync(join(output, 'cli/main.js'), 0o755)
}

/** @param {string} folder */
function filesIn(folder) {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args, shell = false) {
  // stdout belongs to whatever runs next, which may be read by a program.
  const { status, error } = spawnSync(command, args, { cwd: root, shell, stdio: ['ignore', 2, 2] })
  if (error) console.error(error.message)
  if (status !== 0) process.exit(status ?? 1)
}
