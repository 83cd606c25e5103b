/** The directory lock is a file that names the process to which a data directory belongs. */

import { linkSync, readFileSync, readlinkSync, renameSync, statSync, unlinkSync, utimes, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { clearInterval, setInterval } from 'node:timers'
import { threadId } from 'node:worker_threads'
import { TroupeError } from '../base/error.ts'

/** Who holds a directory. A process id alone is given to another process one day; with its start it is unique until the next boot. */
interface Owner {
  readonly pid: number
  readonly started: string
  readonly boot: string
  /** The name of the machine. */
  readonly host: string
  /** Process ids of different namespaces (containers) say nothing about each other. */
  readonly namespace: string
}

const NAME = 'lock'
const TOUCH_MILLIS = 5_000
/** A lock of another namespace or machine that was not touched for so long is left over. */
const FOREIGN_STALE_MILLIS = 20_000

export function isLockFile(name: string): boolean {
  return name === NAME || name.startsWith(`${NAME}.`)
}

/**
 * Node offers no lock that the kernel would release, so the file says who made it: process id, start time and boot. It
 * is stale as soon as that process is gone. Of a process in another container, or on another machine, only the file's
 * age tells, which its owner keeps below 5 s. Limits: on systems without /proc a reused process id keeps a stale lock;
 * and of three processes that start within the same microseconds on a stale lock, two may get it.
 */
export class DirectoryLock {
  readonly #path: string
  readonly #text: string
  readonly #touching: NodeJS.Timeout

  /** Throws `DIRECTORY_IN_USE`. */
  static acquire(directory: string): DirectoryLock {
    const path = join(directory, NAME)
    const mine = `${path}.${process.pid}.${threadId}`
    const text = JSON.stringify(self())
    try {
      writeFileSync(mine, text, { mode: 0o600 })
      claim(directory, path, mine)
    } catch (error) {
      if (error instanceof TroupeError) throw error
      const reason = error instanceof Error ? error.message : String(error)
      const message = `the data directory ${directory} cannot be locked: ${reason}`
      throw new TroupeError('DIRECTORY_UNUSABLE', message, { details: { directory }, cause: error })
    } finally {
      removeIfThere(mine)
    }
    return new DirectoryLock(path, text)
  }

  private constructor(path: string, text: string) {
    this.#path = path
    this.#text = text
    this.#touching = setInterval(() => utimes(path, new Date(), new Date(), () => {}), TOUCH_MILLIS)
    this.#touching.unref()
  }

  /** Whoever was suspended for so long that another one took over has nothing to release. */
  release(): void {
    clearInterval(this.#touching)
    if (readIfThere(this.#path) === this.#text) removeIfThere(this.#path)
  }
}

/** A link is made or refused as one step, and shows the whole content from the start. */
function claim(directory: string, path: string, mine: string): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    if (linkUnlessThere(mine, path)) return
    const text = readIfThere(path)
    if (text === undefined) continue
    const owner = parse(text)
    if (owner !== undefined && isAlive(owner, path)) throw inUse(directory, owner.pid)
    const aside = `${mine}.stale`
    renameSync(path, aside)
    // Somebody else replaced the stale lock meanwhile: it was theirs that went aside.
    if (readIfThere(aside) !== text) linkUnlessThere(aside, path)
    removeIfThere(aside)
  }
  throw inUse(directory, parse(readIfThere(path) ?? '')?.pid)
}

function inUse(directory: string, pid: number | undefined): TroupeError {
  return new TroupeError(
    'DIRECTORY_IN_USE',
    `process ${pid ?? 'unknown'} uses the data directory ${directory}. Stop it, or give each node a directory of its own.`,
    { details: { directory, pid } },
  )
}

function self(): Owner {
  return {
    pid: process.pid,
    started: startOf(process.pid) ?? '',
    boot: readIfThere('/proc/sys/kernel/random/boot_id')?.trim() ?? '',
    host: hostname(),
    namespace: namespace(),
  }
}

function isAlive(owner: Owner, path: string): boolean {
  const me = self()
  const isSameBoot = owner.boot === me.boot
  // Of another machine that shares the directory, as of another container, only the file's age tells.
  const isForeign = owner.namespace !== me.namespace || (!isSameBoot && owner.host !== me.host)
  if (isForeign) return Date.now() - statSync(path).mtimeMs < FOREIGN_STALE_MILLIS
  if (!isSameBoot) return false
  const started = startOf(owner.pid)
  return started === undefined ? exists(owner.pid) : started === owner.started
}

/** Start of a process in clock ticks since boot; undefined where the system does not tell, or there is no such process. */
function startOf(pid: number): string | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`)
  // The name in parentheses may hold spaces; the fields after it do not. The 22nd field is the 20th after the name.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return hostname()
  }
}

function parse(text: string): Owner | undefined {
  try {
    const owner: unknown = JSON.parse(text)
    const isOwner = typeof owner === 'object' && owner !== null && 'pid' in owner && Number.isInteger(owner.pid)
    return isOwner ? (owner as Owner) : undefined
  } catch {
    return
  }
}

function linkUnlessThere(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return
    throw error
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code)
}
