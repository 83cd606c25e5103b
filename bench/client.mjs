/** A client is a process of its own that measures one system: cells come in as messages, rows go out. */

import { built } from './built.mjs'

const [system, connection] = process.argv.slice(2)
/** @type {import('./system.d.ts').System} */
const measured = await import(new URL(`./${system}.mjs`, import.meta.url).href)
const { measure } = await built('cli/measure')
const client = await measured.connect(JSON.parse(String(connection)))

/** @param {import('./system.d.ts').Cell} cell */
async function answer(cell) {
  const operation = client.operation(cell.workload)
  process.send?.(await measure({ system: measured.name, ...cell, operation }))
}

process.on('message', (/** @type {import('./system.d.ts').Cell} */ cell) => void answer(cell))
// A profile is written when a process ends by itself.
process.on('SIGTERM', () => process.exit(0))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
