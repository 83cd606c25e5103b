/**
 * The campaigns: real nodes under load lose processes to kill -9, or are asked for more than they can do, and what was
 * promised is checked.
 *
 *   npm run kills -- --kills 30                                   the leader, while a map is written and read
 *   npm run kills -- --queue --minutes 10 --messages 2000000      a node every 5 s, and consumers, while a queue is worked off
 *   npm run kills -- --overload --seconds 60                      nothing, while senders are far faster than workers
 *   npm run kills -- --crowd 1000000                              nothing, while so many messages wait beside ten that others have sent
 */

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readOptions } from './usage.mjs'

const values = readOptions(import.meta.url, {
  kills: { type: 'string', default: '30' },
  queue: { type: 'boolean', default: false },
  minutes: { type: 'string', default: '10' },
  messages: { type: 'string', default: '2000000' },
  overload: { type: 'boolean', default: false },
  seconds: { type: 'string', default: '60' },
  crowd: { type: 'string' },
})
demand('kills', /^[1-9]\d{0,4}$/)
demand('minutes', /^[1-9]\d{0,3}$/)
demand('messages', /^[1-9]\d{0,7}$/)
demand('seconds', /^[1-9]\d{0,3}$/)
demand('crowd', /^[1-9]\d{0,7}$/)

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [file, name, numbers] = campaign()
const words = [join(root, 'scripts/test.mjs'), `test/process/${file}.test.ts`, '-t', name]
const { status } = spawnSync(process.execPath, words, {
  cwd: root,
  env: { ...process.env, ...numbers },
  stdio: ['ignore', 'inherit', 'inherit'],
})
process.exitCode = status ?? 1

/** @returns {[file: string, name: string, numbers: Record<string, string>]} */
function campaign() {
  if (values.crowd !== undefined) return ['fairness', '', { CROWD: values.crowd }]
  if (values.overload) return ['overload', 'senders', { OVERLOAD_SECONDS: values.seconds }]
  if (!values.queue) return ['failover', 'a leader killed with -9', { KILLS: values.kills }]
  return ['queue-kills', 'a queue', { QUEUE_MINUTES: values.minutes, QUEUE_MESSAGES: values.messages }]
}

/**
 * @param {'kills' | 'minutes' | 'messages' | 'seconds' | 'crowd'} option
 * @param {RegExp} pattern
 */
function demand(option, pattern) {
  const value = values[option]
  if (value === undefined || pattern.test(value)) return
  console.error(`--${option} takes a whole number from 1, not '${value}'`)
  process.exit(2)
}
