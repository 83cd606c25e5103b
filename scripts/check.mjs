/** The check: everything a change must satisfy besides its tests; its parts are the scripts `check:*` of package.json, run at once. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)

/** @type {{ scripts: Record<string, string> }} */
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const parts = Object.entries(scripts).filter(([name]) => name.startsWith('check:'))
const verdicts = await Promise.all(parts.map(([name, command]) => runPart(name.slice('check:'.length), command)))
process.exitCode = verdicts.every(Boolean) ? 0 : 1

/**
 * @param {string} name
 * @param {string} command
 * @returns {Promise<boolean>} whether the part found nothing
 */
function runPart(name, command) {
  const started = performance.now()
  const child = spawn(command, {
    cwd: root,
    shell: true,
    env: { ...process.env, PATH, NO_COLOR: '1', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => {
    child.on('close', (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
      if (code !== 0) console.log(output)
      resolve(code === 0)
    })
  })
}
