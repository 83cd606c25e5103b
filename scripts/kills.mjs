/** The kill campaign: kills the leader of three real nodes under load, as often as asked, and says what that cost. */

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { kills: { type: 'string', default: '30' } } })
if (!/^[1-9]\d{0,4}$/.test(values.kills)) {
  console.error(`--kills takes a whole number from 1, not '${values.kills}'`)
  process.exit(2)
}

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const test = [join(root, 'scripts/test.mjs'), 'test/process/failover.test.ts', '-t', 'a leader killed with -9']
const { status } = spawnSync(process.execPath, test, {
  cwd: root,
  env: { ...process.env, KILLS: values.kills },
  stdio: ['ignore', 'inherit', 'inherit'],
})
process.exitCode = status ?? 1
