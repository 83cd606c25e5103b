/** Dev ports are where the nodes of one data directory listen: chosen once, and kept, because members know each other by them. */

import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { TroupeError } from '../base/error.ts'
import { makeDirectory } from '../platform/make-directory.ts'

const FIRST_PORT = 7401
const FILE = 'ports.json'

/** The ports that `directory` remembers, or else the next free ones from 7401. */
export async function devPorts(directory: string, count: number): Promise<readonly number[]> {
  const path = join(directory, FILE)
  const remembered = readPorts(path, count)
  if (remembered !== undefined) {
    for (const port of remembered) await refuseBusy(port, directory)
    return remembered
  }
  const ports: number[] = []
  for (let port = FIRST_PORT; ports.length < count && port <= 65_535; port++) if (await isFree(port)) ports.push(port)
  keep(path, ports, directory)
  return ports
}

function readPorts(path: string, count: number): readonly number[] | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // Nothing was kept yet; an unreadable directory is reported when it is written to.
    return undefined
  }
  const ports: unknown = parse(text)
  if (Array.isArray(ports) && ports.length === count && ports.every((port) => Number.isInteger(port))) return ports
  throw new TroupeError('DATA_DAMAGED', `${path} should be a list of ${count} ports and is ${text.slice(0, 100)}`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function keep(path: string, ports: readonly number[], directory: string): void {
  try {
    makeDirectory(directory)
    writeFileSync(path, `${JSON.stringify(ports)}\n`)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TroupeError('DIRECTORY_UNUSABLE', `cannot write ${path}: ${reason}`, { cause: error })
  }
}

async function refuseBusy(port: number, directory: string): Promise<void> {
  if (await isFree(port)) return
  throw new TroupeError(
    'ADDRESS_IN_USE',
    `port ${port}, where a node of ${directory} belongs, is taken: is 'troupe dev' already running there? Stop it, or use another --data-dir`,
    { details: { address: `127.0.0.1:${port}` } },
  )
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
