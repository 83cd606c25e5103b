/** A profile's summary is where a process spent its time, by function, idle time left out. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const SHOWN = 25
const NOT_WORK = new Set(['(idle)', '(program)', '(root)'])

/** @param {string} directory */
export function printProfiles(directory) {
  const files = readdirSync(directory, { recursive: true }).map(String)
  for (const file of files.filter((name) => name.endsWith('.cpuprofile')).sort()) printProfile(directory, file)
}

/**
 * @param {string} directory
 * @param {string} file
 */
function printProfile(directory, file) {
  /** @type {{ nodes: { id: number, callFrame: { functionName: string, url: string, lineNumber: number } }[], samples: number[], timeDeltas: number[] }} */
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(directory, file), 'utf8'))
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  /** @type {Map<string, number>} */
  const self = new Map()
  for (const [at, sample] of samples.entries()) {
    const name = names.get(sample) ?? '(unknown)'
    self.set(name, (self.get(name) ?? 0) + (timeDeltas[at] ?? 0))
  }
  const total = timeDeltas.reduce((sum, delta) => sum + delta, 0)
  const work = [...self].filter(([name]) => !NOT_WORK.has(name)).sort(([, a], [, b]) => b - a)
  const busy = work.reduce((sum, [, time]) => sum + time, 0)
  console.log(
    `\n${file}: ${(total / 1e6).toFixed(1)} s, busy ${percent(busy, total)}, (program) ${percent(self.get('(program)') ?? 0, total)}`,
  )
  for (const [name, time] of work.slice(0, SHOWN)) console.log(`  ${percent(time, busy).padStart(6)}  ${name}`)
}

/** @param {{ functionName: string, url: string, lineNumber: number }} callFrame */
function nameOf({ functionName, url, lineNumber }) {
  if (url === '') return functionName === '' ? '(anonymous)' : functionName
  const file = url.replace(/^.*\/dist\//, '').replace(/^.*\/node_modules\//, '')
  return `${functionName === '' ? '(anonymous)' : functionName}  ${file}:${lineNumber + 1}`
}

/**
 * @param {number} part
 * @param {number} whole
 */
function percent(part, whole) {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`
}
