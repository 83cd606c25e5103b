/** What waiting messages cost: the memory of each of three nodes before and after a queue was filled with them. */

import { readFileSync } from 'node:fs'
import { repeat } from './inbox.mjs'
import { connect, serve } from './troupe.mjs'

const SENDERS = 1024

/**
 * @param {import('./site.mjs').Site} site
 * @param {number} count
 * @param {boolean} isJson
 */
export async function printWaiting(site, count, isJson) {
  const client = await connect(await serve(site, undefined))
  const before = site.pids.map(residentBytes)
  const run = await client.begin({ workload: 'queue.send', inflight: SENDERS, seconds: 0 })
  await repeat(count, () => run.operation(0, 0), SENDERS)
  if (!isJson)
    console.log('node      waiting messages    RSS before MB     RSS after MB    RSS highest MB    bytes a message')
  for (const [at, pid] of site.pids.entries()) {
    const { now, highest } = residentBytes(pid)
    const first = before[at]?.now ?? 0
    const row = { node: `n${at + 1}`, waiting: count, rssBeforeMb: mb(first), rssMb: mb(now), highestMb: mb(highest) }
    const bytes = Math.round((now - first) / count)
    const cells = [row.waiting, row.rssBeforeMb, row.rssMb, row.highestMb, bytes]
    const text = `${row.node}  ${cells.map((cell) => String(cell).padStart(17)).join(' ')}`
    console.log(isJson ? JSON.stringify({ ...row, bytesOfMessage: bytes }) : text)
  }
  await client.close?.()
}

/**
 * The memory that a process has and has had at most; NaN where there is no /proc.
 * @param {number} pid
 */
function residentBytes(pid) {
  let status = ''
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {}
  const kilobytes = (/** @type {string} */ field) => Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(status)?.[1])
  return { now: 1024 * kilobytes('VmRSS'), highest: 1024 * kilobytes('VmHWM') }
}

/** @param {number} bytes */
function mb(bytes) {
  return Math.round(bytes / 1e6)
}
