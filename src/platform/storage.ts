/** Storage is what a node finds when it starts and leaves when it ends: who it is, its log, its snapshots with the pieces beside them, and its charter. */

import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers'
import { crc32 } from 'node:zlib'
import { TroupeError } from '../base/error.ts'
import type { NodeId } from '../base/identity.ts'
import type { CharterStore } from '../cluster/charter.ts'
import { CharterFile } from '../host/charter-file.ts'
import { claimDirectory, readIdentity } from '../host/data-directory.ts'
import { MemoryLog } from '../host/log/memory-log.ts'
import { openLog } from '../host/log/write-ahead-log.ts'
import type { LogDevice, SnapshotStore } from '../host/log-device.ts'
import { MemoryPieceStores, PieceFiles, type PieceStores } from '../host/piece-files.ts'
import type { Disk } from '../host/port.ts'
import { REMEDY } from '../host/remedy.ts'
import { SealedFile } from '../host/sealed-file.ts'
import { settled } from '../host/settled.ts'
import { MemorySnapshots } from '../host/snapshot/memory-snapshots.ts'
import { SnapshotFiles } from '../host/snapshot/snapshot-files.ts'
import { type DirectoryDisk, openDirectory } from './disk.ts'

export interface StorageSettings {
  /** Undefined: everything is kept in memory. */
  readonly dataDir: string | undefined
  readonly durability: 'disk' | 'os' | 'memory'
  readonly cluster: string
  /** Undefined: whoever the directory says, or a name that is made up. */
  readonly node: NodeId | undefined
  /** Nobody else uses this process. */
  readonly ownsProcess?: boolean
  /** Told what people should know of, though nothing is wrong. */
  readonly notice?: (message: string) => void
}

/** Who a node is. */
export interface NodeIdentity {
  readonly node: NodeId
  readonly cluster: string
  /** A random name of the data directory. */
  readonly directory: string
  readonly generation: number
}

export interface Storage {
  readonly identity: NodeIdentity
  readonly log: LogDevice
  readonly snapshots: SnapshotStore
  readonly pieces: PieceStores
  readonly charter: CharterStore
  close(): Promise<void>
}

/**
 * Opens what the settings name, and counts a start of the node.
 *
 * Rejects with `DIRECTORY_UNUSABLE`, `DIRECTORY_IN_USE`, `WRONG_CLUSTER`, `DATA_DAMAGED`, `VERSION_SKEW`, `DISK_FAILED`,
 * and then holds nothing.
 */
export async function openStorage(settings: StorageSettings): Promise<Storage> {
  const { dataDir, durability, ownsProcess = false } = settings
  if (dataDir === undefined || durability === 'memory') return memoryStorage(settings)
  const disk = openDirectory(dataDir, { ownsProcess })
  try {
    return await diskStorage(disk, durability, settings)
  } catch (error) {
    await new Promise<void>((resolve) => disk.close(resolve))
    throw error
  }
}

function memoryStorage({ cluster, node }: StorageSettings): Storage {
  const snapshots = new MemorySnapshots()
  const log = new MemoryLog({ checksum: crc32 })
  return {
    identity: { node: node ?? inventNode(), cluster, directory: randomName(16), generation: 1 },
    log,
    snapshots,
    pieces: new MemoryPieceStores(),
    charter: { read: () => undefined, replace: (_, done) => done(undefined) },
    close: async () => log.close(),
  }
}

async function diskStorage(
  disk: DirectoryDisk,
  durability: 'disk' | 'os',
  settings: StorageSettings,
): Promise<Storage> {
  const found = readIdentity(disk)
  const node = settings.node ?? found?.node ?? inventNode()
  const charter = new CharterFile(disk)
  // What cannot be read is refused before the start is counted.
  charter.read()
  const directory = await directoryName(disk, found === undefined)
  const identity = { ...(await claimDirectory(disk, { cluster: settings.cluster, node })), directory }
  const snapshots = new SnapshotFiles(disk)
  const pieces = new PieceFiles(disk)
  const log = await openLog({
    disk,
    durability,
    check: (groups) => snapshots.accept(groups),
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    dropped: ({ file, offset, bytes }) =>
      settings.notice?.(
        `${bytes} bytes at the end of ${file} (from byte ${offset}) were dropped: a crash came in the middle of a write, which was never acknowledged`,
      ),
  })
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      pieces.close()
      log.close(() => disk.close(resolve))
    })
  return { identity, log, snapshots, pieces, charter, close }
}

/** Written before the directory is claimed, so that a claimed directory without one is a damaged one. */
async function directoryName(disk: Disk, isNew: boolean): Promise<string> {
  const file = new SealedFile(disk, { name: 'directory', format: 1 })
  const stored = file.read()
  if (stored !== undefined) return new TextDecoder().decode(stored)
  if (!isNew) {
    throw new TroupeError('DATA_DAMAGED', `the data directory has lost its file \`directory\`. ${REMEDY}`, {
      details: { file: 'directory', offset: 0 },
    })
  }
  const name = randomName(16)
  await settled((done) => file.replace(new TextEncoder().encode(name), done))
  return name
}

function inventNode(): NodeId {
  return `n-${randomName(4)}` as NodeId
}

function randomName(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
