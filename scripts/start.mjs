/** Starting is getting the tree ready and running `troupe dev` in this very process, which ends with the npm that started it. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SHELL = /^\s*(\d+)\s+(?:.*\/)?(?:ba|da|a|k|z)?sh\s*$/

// npm runs a shell that passes no signal on, and one that is killed by force takes nobody along.
const parent = process.ppid
const npm = parentOfShell(parent) ?? parent
const watch = setInterval(() => {
  if (process.ppid === parent && isThere(npm)) return
  clearInterval(watch)
  process.kill(process.pid, 'SIGTERM')
}, 500)
watch.unref()

await import('./ready.mjs')
const main = new URL('../dist/cli/main.js', import.meta.url)
process.argv.splice(1, 1, fileURLToPath(main), 'dev')
await import(main.href)

/** @param {number} pid */
function parentOfShell(pid) {
  const { stdout } = spawnSync('ps', ['-o', 'ppid=,comm=', '-p', String(pid)], { encoding: 'utf8' })
  const found = SHELL.exec(stdout ?? '')
  return found === null || process.env.npm_execpath === undefined ? undefined : Number(found[1])
}

/** @param {number} pid */
function isThere(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
