/** The virtual disk keeps files in memory and forgets at a crash what real disks may forget, from a seed. */

import { assert } from '../../base/assert.ts'
import { crc32 } from '../../base/crc.ts'
import { isTroupeError, TroupeError } from '../../base/error.ts'
import type { Random } from '../../base/random.ts'
import type { Clock, Millis, Scheduler } from '../../base/time.ts'
import type { Disk, DiskFile, Done } from '../../host/port.ts'

export type DiskOperation =
  | 'list'
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'prepare'
  | 'sync-directory'

export interface VirtualDiskOptions {
  /** Draws what survives a crash. */
  readonly random: Random
  /** Without it, a sync calls back at once. */
  readonly time?: VirtualDiskTime
  /** Bytes of all files together; beyond it writes fail as on a full disk. Default: no limit. */
  readonly capacity?: number
  /** Called before every operation with its number since the disk was made, from 1. A `TroupeError` that it throws is what the operation meets. */
  readonly before?: (operation: DiskOperation, count: number) => void
}

export interface VirtualDiskTime {
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** How long the next sync takes. */
  readonly syncMillis: () => Millis
}

const SECTOR = 512
const PAGE = 4096

/**
 * One process's hold on a disk. `crash` (the power fails) and `kill` (the process ends) make it useless, callbacks under
 * way never come, and `reopen` gives the next process what is there then.
 */
export class VirtualDisk implements Disk {
  readonly #options: VirtualDiskOptions
  readonly #device: Device
  readonly #access: Access

  constructor(options: VirtualDiskOptions, device: Device = new Device()) {
    this.#options = options
    this.#device = device
    this.#access = new Access(options, device)
  }

  list(): readonly string[] {
    this.#access.begin('list')
    return [...this.#device.names.keys()].sort()
  }

  open(name: string, createBytes?: number): DiskFile {
    this.#access.begin(createBytes === undefined ? 'open' : 'create')
    if (createBytes !== undefined) {
      this.#access.reserve(createBytes)
      this.#device.change([[name, new Inode(createBytes)]])
      this.#device.syncDirectory()
    }
    return new VirtualFile(this.#access, name, this.#device.inode(name))
  }

  openAppended(name: string): DiskFile {
    this.#access.begin('open')
    return new AppendedFile(this.#access, name, this.#device.inode(name))
  }

  rename(from: string, to: string): void {
    this.#access.begin('rename')
    const inode = this.#device.inode(from)
    this.#device.change([
      [from, undefined],
      [to, inode],
    ])
  }

  remove(name: string): void {
    this.#access.begin('remove')
    this.#device.inode(name)
    this.#device.change([[name, undefined]])
  }

  syncDirectory(): void {
    this.#access.begin('sync-directory')
    this.#device.syncDirectory()
  }

  prepare(name: string, bytes: number, ready: Done): void {
    this.#access.later('prepare', ready, () => {
      if (this.#device.names.get(name)?.bytes.length !== bytes) {
        this.#access.reserve(bytes)
        this.#device.change([[name, new Inode(bytes)]])
      }
      return () => this.#device.syncDirectory()
    })
  }

  crc32(bytes: Uint8Array, seed?: number): number {
    return crc32(bytes, seed)
  }

  /** The power fails: every sector that no sync confirmed survives, is lost or is torn; so do names without `syncDirectory`. */
  crash(): void {
    this.#access.isAlive = false
    this.#device.crash(this.#options.random)
  }

  /** The process ends: what it wrote is with the operating system, but as unconfirmed as before. */
  kill(): void {
    this.#access.isAlive = false
  }

  /** What the next process finds. */
  reopen(options: VirtualDiskOptions = this.#options): VirtualDisk {
    assert(!this.#access.isAlive, 'a disk is reopened after a crash or kill')
    return new VirtualDisk(options, this.#device)
  }

  /** Damages one bit, on disk and in the operating system's cache alike. */
  flip(name: string, offset: number, bit = 0): void {
    const { bytes } = this.#device.inode(name)
    bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit)
  }

  /** An independent disk that holds the same, as if this process had been killed now. */
  clone(options: VirtualDiskOptions = this.#options): VirtualDisk {
    return new VirtualDisk(options, this.#device.clone())
  }
}

class VirtualFile implements DiskFile {
  readonly #access: Access
  readonly #name: string
  readonly #inode: Inode
  #isOpen = true

  constructor(access: Access, name: string, inode: Inode) {
    this.#access = access
    this.#name = name
    this.#inode = inode
  }

  get size(): number {
    return this.#inode.bytes.length
  }

  read(position: number, length: number, into?: Uint8Array): Uint8Array {
    this.#begin('read')
    const { bytes } = this.#inode
    if (into === undefined) return bytes.slice(position, position + length)
    const read = bytes.subarray(position, position + length)
    into.set(read)
    return into.subarray(0, read.length)
  }

  write(position: number, bytes: Uint8Array): void {
    this.#begin('write')
    this.#access.reserve(Math.max(0, position + bytes.length - this.size))
    this.#inode.write(position, bytes)
  }

  sync(done: Done): void {
    assert(this.#isOpen, `${this.#name} is open`)
    this.#access.later(
      'sync',
      (error) => {
        if (error !== undefined) this.#inode.failSync()
        done(error)
      },
      () => this.#inode.startSync(),
    )
  }

  truncate(bytes: number): void {
    this.#begin('truncate')
    this.#inode.resize(bytes)
  }

  close(): void {
    this.#isOpen = false
  }

  #begin(operation: DiskOperation): void {
    assert(this.#isOpen, `${this.#name} is open`)
    this.#access.begin(operation)
  }
}

/** Writes whole pages, as the real disk does past the cache. */
class AppendedFile extends VirtualFile {
  #end = 0

  override write(position: number, bytes: Uint8Array): void {
    assert(position === this.#end, 'an appended file is written from front to back')
    this.#end += bytes.length
    const start = position - (position % PAGE)
    const pages = new Uint8Array(Math.ceil((this.#end - start) / PAGE) * PAGE)
    pages.set(this.read(start, position - start))
    pages.set(bytes, position - start)
    super.write(start, pages)
  }
}

/** How one process reaches the storage: counted, delayed and failed as its options say, until it ends. */
class Access {
  isAlive = true
  readonly #options: VirtualDiskOptions
  readonly #device: Device

  constructor(options: VirtualDiskOptions, device: Device) {
    this.#options = options
    this.#device = device
  }

  begin(operation: DiskOperation): void {
    assert(this.isAlive, 'a process that ended touches no disk')
    this.#device.operations++
    this.#options.before?.(operation, this.#device.operations)
  }

  reserve(bytes: number): void {
    if (this.#device.bytes + bytes <= (this.#options.capacity ?? Number.POSITIVE_INFINITY)) return
    throw new TroupeError('DISK_FAILED', 'no space left on device', { details: { errno: 'ENOSPC' } })
  }

  /** Starts at once, and ends what `start` returned when the time has come. */
  later(operation: DiskOperation, done: Done, start: () => () => void): void {
    let end: () => void
    try {
      this.begin(operation)
      end = start()
    } catch (error) {
      if (!isTroupeError(error)) throw error
      done(error)
      return
    }
    const finish = () => {
      if (!this.isAlive) return
      end()
      done(undefined)
    }
    const { time } = this.#options
    if (time === undefined) finish()
    else time.scheduler.at(time.clock.now() + time.syncMillis(), finish)
  }
}

type NameChange = readonly (readonly [name: string, inode: Inode | undefined])[]

/** What the device and the operating system's cache hold between them. */
class Device {
  names: Map<string, Inode> = new Map()
  operations: number = 0
  /** Names as the device has them, and the changes since, in order. */
  #durable = new Map<string, Inode>()
  #changes: NameChange[] = []

  get bytes(): number {
    let sum = 0
    for (const inode of this.names.values()) sum += inode.bytes.length
    return sum
  }

  inode(name: string): Inode {
    const inode = this.names.get(name)
    if (inode === undefined) throw new TroupeError('DISK_FAILED', `there is no file ${name}`)
    return inode
  }

  change(change: NameChange): void {
    this.#changes.push(change)
    apply(this.names, change)
  }

  syncDirectory(): void {
    this.#durable = new Map(this.names)
    this.#changes = []
  }

  /** File systems journal their names: some of the changes came through, in order, and none after the first that did not. */
  crash(random: Random): void {
    const survivors = random.below(this.#changes.length + 1)
    this.names = this.#durable
    for (const change of this.#changes.slice(0, survivors)) apply(this.names, change)
    this.syncDirectory()
    for (const inode of new Set(this.names.values())) inode.crash(random)
  }

  clone(): Device {
    const copies = new Map<Inode, Inode>()
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? inode.clone()
      copies.set(inode, copy)
      return copy
    }
    const copy = new Device()
    for (const [name, inode] of this.names) copy.names.set(name, copyOf(inode))
    for (const [name, inode] of this.#durable) copy.#durable.set(name, copyOf(inode))
    copy.#changes = this.#changes.map((change) => change.map(([name, inode]) => [name, inode && copyOf(inode)]))
    return copy
  }
}

function apply(names: Map<string, Inode>, change: NameChange): void {
  for (const [name, inode] of change) {
    if (inode === undefined) names.delete(name)
    else names.set(name, inode)
  }
}

/** Sectors as the device has them, where the cache differs. */
type Sectors = Map<number, Uint8Array>

/** A file: its bytes as every process sees them, and what the device has instead where no sync confirmed them. */
class Inode {
  #buffer: Uint8Array
  #length: number
  #durableLength: number
  #unsynced: Sectors = new Map()
  #syncing: Sectors[] = []
  /** A sync failed on these, and the operating system believes them clean: no later sync writes them. */
  #forgotten: Sectors = new Map()

  constructor(length: number) {
    this.#buffer = new Uint8Array(length)
    this.#length = length
    this.#durableLength = length
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  write(position: number, bytes: Uint8Array): void {
    if (position + bytes.length > this.#length) this.resize(position + bytes.length)
    for (let sector = Math.floor(position / SECTOR); sector * SECTOR < position + bytes.length; sector++) {
      if (!this.#unsynced.has(sector)) this.#unsynced.set(sector, this.#sector(sector).slice())
    }
    this.#buffer.set(bytes, position)
  }

  resize(length: number): void {
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(length, this.#buffer.length * 2))
      grown.set(this.bytes)
      this.#buffer = grown
    }
    this.#buffer.fill(0, length)
    this.#length = length
  }

  /** Returns what ends the sync; writes from now on belong to the next one. */
  startSync(): () => void {
    const syncing = this.#unsynced
    const length = this.#length
    this.#unsynced = new Map()
    this.#syncing.push(syncing)
    return () => {
      this.#syncing = this.#syncing.filter((other) => other !== syncing)
      this.#durableLength = length
    }
  }

  failSync(): void {
    for (const [sector, bytes] of this.#unsynced) {
      if (!this.#forgotten.has(sector)) this.#forgotten.set(sector, bytes)
    }
    this.#unsynced = new Map()
  }

  crash(random: Random): void {
    const before: Sectors = new Map()
    for (const layer of [...this.#syncing, this.#unsynced]) {
      for (const [sector, bytes] of layer) if (!before.has(sector)) before.set(sector, bytes)
    }
    for (const [sector, bytes] of before) this.#revert(sector, bytes.subarray(survivingBytes(random)), bytes)
    for (const [sector, bytes] of this.#forgotten) this.#revert(sector, bytes, bytes)
    const [shorter, longer] = [Math.min(this.#length, this.#durableLength), Math.max(this.#length, this.#durableLength)]
    this.resize(shorter + random.below(longer - shorter + 1))
    this.#durableLength = this.#length
    this.#syncing = []
    this.#unsynced = new Map()
    this.#forgotten = new Map()
  }

  clone(): Inode {
    const copy = new Inode(0)
    copy.#buffer = this.#buffer.slice()
    copy.#length = this.#length
    copy.#durableLength = this.#durableLength
    copy.#unsynced = new Map(this.#unsynced)
    copy.#syncing = this.#syncing.map((layer) => new Map(layer))
    copy.#forgotten = new Map(this.#forgotten)
    return copy
  }

  #sector(sector: number): Uint8Array {
    return this.#buffer.subarray(sector * SECTOR, (sector + 1) * SECTOR)
  }

  /** Puts the end of a sector back to what the device had. */
  #revert(sector: number, tail: Uint8Array, whole: Uint8Array): void {
    this.#sector(sector).set(tail, whole.length - tail.length)
  }
}

/** How much of a sector's last write came through: all of it, none, or (devices promise otherwise, but do) a part. */
function survivingBytes(random: Random): number {
  const fate = random.below(3)
  if (fate === 2) return random.below(SECTOR)
  return fate === 1 ? SECTOR : 0
}
