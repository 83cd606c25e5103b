/** The virtual disk keeps files in memory and forgets at a crash what real disks may forget, from a seed. */

import { assert } from '../../base/assert.ts'
import { crc32 } from '../../base/crc.ts'
import { isTroupeError, TroupeError } from '../../base/error.ts'
import type { Random } from '../../base/random.ts'
import type { Clock, Millis, Scheduler } from '../../base/time.ts'
import type { Disk, DiskFile, Done } from '../../host/port.ts'
import { Inode, PAGE } from './inode.ts'

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
  /** Bytes of all files together, at the moment; beyond it writes fail as on a full disk. Default: no limit. */
  readonly capacity?: () => number
  /**
   * Called before every operation with its number since the disk was made, from 1. A `TroupeError` that it throws is
   * what the operation meets.
   */
  readonly before?: (operation: DiskOperation, count: number) => void
}

export interface VirtualDiskTime {
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** How long the next sync takes. */
  readonly syncMillis: () => Millis
  /**
   * What appended files are given goes past the cache, and whoever gives it stands still until the device has it.
   * Without this it goes through the cache.
   */
  readonly standStill?: (forMs: Millis) => void
}

/** As the real disk has it: after a wait of this length appended files go through the cache, for so many times as long. */
const SLOW_MS: Millis = 50
const SLOW_FOR = 20

/**
 * One process's hold on a disk. `crash` (the power fails) and `kill` (the process ends) make it useless, callbacks
 * under way never come, and `reopen` gives the next process what is there then.
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

  /**
   * The power fails: every sector that no sync confirmed survives, is lost or is torn; so do names without
   * `syncDirectory`. With `'unreadable'` the device cannot read a page of which only a part came through, until `mend`.
   */
  crash(torn: 'readable' | 'unreadable' = 'readable'): void {
    this.#access.isAlive = false
    this.#device.crash(this.#options.random, torn === 'unreadable')
  }

  /** Of all files together. */
  get bytes(): number {
    return this.#device.bytes
  }

  /** The device can read every page again. */
  mend(): void {
    this.#device.mend()
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
    const read = this.#inode.read(position, length)
    if (into === undefined) return read.slice()
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

  /** Writes past the cache, and stands still until the device has it. Returns false when the disk is too slow for that. */
  protected writeThrough(position: number, bytes: Uint8Array): boolean {
    if (!this.#access.standStill()) return false
    this.#begin('write')
    this.#inode.writeThrough(position, bytes)
    return true
  }

  #begin(operation: DiskOperation): void {
    assert(this.#isOpen, `${this.#name} is open`)
    this.#access.begin(operation)
  }
}

/** Writes whole pages, as the real disk does past the cache. */
class AppendedFile extends VirtualFile {
  #end = 0
  /** Whether something went through the cache, by us or by whoever had the file before. */
  #isCached = true

  override write(position: number, bytes: Uint8Array): void {
    assert(position === this.#end, 'an appended file is written from front to back')
    this.#end += bytes.length
    const start = position - (position % PAGE)
    const pages = new Uint8Array(Math.ceil((this.#end - start) / PAGE) * PAGE)
    pages.set(this.read(start, position - start))
    pages.set(bytes, position - start)
    if (this.writeThrough(start, pages)) return
    this.#isCached = true
    super.write(start, pages)
  }

  override sync(done: Done): void {
    if (!this.#isCached) {
      done(undefined)
      return
    }
    this.#isCached = false
    super.sync(done)
  }
}

/** How one process reaches the storage: counted, delayed and failed as its options say, until it ends. */
class Access {
  isAlive = true
  readonly #options: VirtualDiskOptions
  readonly #device: Device
  #slowUntil: Millis = 0

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
    if (bytes === 0 || this.#device.bytes + bytes <= (this.#options.capacity?.() ?? Number.POSITIVE_INFINITY)) return
    throw new TroupeError('DISK_FAILED', 'no space left on device', { details: { errno: 'ENOSPC' } })
  }

  /** Waits for the device in the thread that asks, unless such a wait was slow lately. */
  standStill(): boolean {
    const { time } = this.#options
    if (time?.standStill === undefined || time.clock.now() < this.#slowUntil) return false
    const millis = time.syncMillis()
    time.standStill(millis)
    if (millis > SLOW_MS) this.#slowUntil = time.clock.now() + SLOW_FOR * millis
    return true
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
  crash(random: Random, isTornUnreadable: boolean): void {
    const survivors = random.below(this.#changes.length + 1)
    this.names = this.#durable
    for (const change of this.#changes.slice(0, survivors)) apply(this.names, change)
    this.syncDirectory()
    for (const inode of new Set(this.names.values())) {
      const torn = inode.crash(random)
      if (isTornUnreadable) for (const page of torn) inode.unreadable.add(page)
    }
  }

  mend(): void {
    for (const inode of this.names.values()) inode.unreadable.clear()
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
