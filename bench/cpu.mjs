/** CPU time is what an operation really cost, whoever else uses the machine: the kernel's count for each process, threads included. */

import { readFileSync } from 'node:fs'

/** Linux counts in hundredths of a second on every machine that Node runs on. */
const TICKS_PER_SECOND = 100

/**
 * Seconds of CPU time that these processes have used; NaN where there is no /proc.
 * @param {readonly number[]} pids
 */
export function cpuSeconds(pids) {
  return pids.map(ticks).reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND
}

/** @param {number} pid */
function ticks(pid) {
  try {
    // The name, in parentheses, may hold blanks; after it user and system time are the 12th and 13th fields (proc(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return Number.NaN
  }
}
