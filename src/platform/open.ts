/** Opening is how an application comes by its Troupe: a node of its own, a cluster elsewhere, or another engine. */

import { writeSync } from 'node:fs'
import { clearInterval, setInterval } from 'node:timers'
import { isTroupeError, TroupeError } from '../base/error.ts'
import { SeededRandom } from '../base/random.ts'
import { nativeDriver } from '../driver/native/native.ts'
import { formatAddress } from '../runtime/address.ts'
import { type OpenOptions, parseOptions, type Settings } from '../runtime/options.ts'
import { createTroupe, type Troupe } from '../runtime/troupe.ts'
import type { Channel } from '../wire/channel.ts'
import { RealClock, RealScheduler, type TimeSource } from './clock.ts'
import { isDiskFull } from './disk-error.ts'
import { exitCodeOf } from './engine.ts'
import { startInlineEngine } from './inline-engine.ts'
import { randomSeed } from './random.ts'
import { type Connected, connectChannel } from './tcp-channel.ts'
import { startThreadedEngine } from './threaded-engine.ts'
import { warn } from './warning.ts'

/** What an application wants to be told. */
export interface OpenHooks {
  /**
   * Called when the engine of this process ends by itself: its disk is full or has failed (`DISK_FAILED`,
   * `DATA_DAMAGED`) or it contradicted itself (`INTERNAL`). `troupe.signal` aborts with the error, and calls fail with
   * it or, where they may have happened, with `OUTCOME_UNKNOWN`. Default: says so on stderr, and lives on when the disk
   * is full, so that the application can make room, close and open again; otherwise exits, with code 74 for the disk
   * and 70 for the rest.
   */
  readonly onFatal?: (error: TroupeError, exitCode: number) => void
}

/**
 * Opens a Troupe. Without options: one node in memory, in a thread of this process, which opens no port. It keeps the
 * process alive until it is closed.
 *
 * `dataDir`: the node keeps its data there. `join`: it is a member of a cluster. `connect`: a client of a cluster,
 * which hosts nothing. `driver`: another engine. Options that are not given are taken from the environment
 * (`TROUPE_…`).
 *
 * Rejects before anything is changed, with a code that names the option and the remedy: `INVALID_ARGUMENT`,
 * `ADDRESS_INVALID`, `ADDRESS_IN_USE`, `INSECURE`, `DIRECTORY_UNUSABLE`, `DIRECTORY_IN_USE`, `WRONG_CLUSTER`,
 * `UNAUTHENTICATED`, `VERSION_SKEW`, `DATA_DAMAGED`, `UNREACHABLE`.
 *
 * @example
 * await using troupe = await open({ dataDir: './data' })
 * await troupe.map(defineMap('users')).set('ann', { name: 'Ann' })
 */
export async function open(options: OpenOptions = {}, hooks: OpenHooks = {}): Promise<Troupe> {
  const settings = parseOptions(options, process.env)
  if (settings.driver !== undefined) return createTroupe({ driver: settings.driver, ...driverPorts(globalThis) })
  return settings.connect.length > 0 ? openClient(settings) : openNode(settings, hooks)
}

async function openNode(settings: Settings, hooks: OpenHooks): Promise<Troupe> {
  const { driver: _driver, connect: _connect, engine: mode, ...engineSettings } = settings
  const engine = await (mode === 'inline' ? startInlineEngine(engineSettings) : startThreadedEngine(engineSettings))
  const connect = async (): Promise<Channel> => {
    engine.failed.throwIfAborted()
    return engine.connect()
  }
  const ports = driverPorts()
  const { failed } = engine
  const driver = nativeDriver({ ...ports, connect, seeds: [engine.address], direct: false, failed })
  const onFatal = hooks.onFatal ?? complain
  engine.failed.addEventListener('abort', () => {
    const error: unknown = engine.failed.reason
    void driver.close()
    onFatal(fatalError(error), exitCodeOf(error))
  })
  return createTroupe({
    driver,
    ...ports,
    drain: (timeout) => engine.drain(timeout),
    close: () => engine.close(),
    failed: engine.failed,
  })
}

async function openClient(settings: Settings): Promise<Troupe> {
  const addresses = settings.connect.map(formatAddress)
  const secret = settings.secret === undefined ? undefined : new TextEncoder().encode(settings.secret)
  const dial = (address: string): Promise<Connected> =>
    connectChannel(address, { secret, cluster: settings.cluster ?? '' })
  // One connection first, so that a wrong secret or address is an error of `open` and not of every call.
  const first = await firstOf(addresses, dial)
  let spare: Channel | undefined = first.channel
  const connect = async (address: string): Promise<Channel> => {
    if (address !== first.address || spare === undefined) return (await dial(address)).channel
    const channel = spare
    spare = undefined
    return channel
  }
  const ports = driverPorts()
  const driver = nativeDriver({ ...ports, connect, seeds: addresses, direct: true })
  // Timers keep no process alive; a client that waits for a node to come back does.
  const alive = setInterval(() => {}, 2 ** 30)
  return createTroupe({ driver, ...ports, close: async () => clearInterval(alive) })
}

interface DriverPorts {
  readonly clock: RealClock
  readonly scheduler: RealScheduler
  readonly random: SeededRandom
  readonly warn: (message: string) => void
}

function driverPorts(source?: TimeSource): DriverPorts {
  const clock = new RealClock(source)
  const warnOf = (message: string): void => warn(message, 'RULES_REPLACED')
  return { clock, scheduler: new RealScheduler(clock, source), random: new SeededRandom(randomSeed()), warn: warnOf }
}

async function firstOf(
  addresses: readonly string[],
  dial: (address: string) => Promise<Connected>,
): Promise<{ readonly address: string; readonly channel: Channel }> {
  const errors: unknown[] = []
  for (const address of addresses) {
    try {
      return { address, channel: (await dial(address)).channel }
    } catch (error) {
      errors.push(error)
    }
  }
  // A node that answers and refuses says more than one that does not answer.
  const refusal = errors.find((error) => !isTroupeError(error, 'UNREACHABLE'))
  if (refusal !== undefined) throw refusal
  throw new TroupeError('UNREACHABLE', `no node answers at ${addresses.join(', ')}: check that one is running`, {
    details: { addresses },
    cause: errors[0],
  })
}

function fatalError(reason: unknown): TroupeError {
  if (isTroupeError(reason)) return reason
  return new TroupeError('INTERNAL', reason instanceof Error ? reason.message : String(reason), { cause: reason })
}

function complain(error: TroupeError, exitCode: number): void {
  const cause = error.code === 'INTERNAL' && error.cause instanceof Error ? `\n${error.cause.stack}` : ''
  try {
    writeSync(2, `troupe: the node has stopped: ${error.code}: ${error.message}${cause}\n`)
  } finally {
    if (!isDiskFull(error)) process.exit(exitCode)
  }
}
