/** What the tests of the log share: groups, entries and a log on a virtual disk. */

import type { GroupId, NodeId } from '../../../../src/base/identity.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { type LogOptions, openLog } from '../../../../src/host/log/write-ahead-log.ts'
import type { LogDevice } from '../../../../src/host/log-device.ts'
import type { Entry } from '../../../../src/protocol/raft/message.ts'
import { VirtualDisk, type VirtualDiskOptions } from '../../../../src/simulation/world/disk.ts'

export const group = (id: number): GroupId => id as GroupId
export const node = (name: string): NodeId => name as NodeId

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function text(payload: Uint8Array): string {
  return new TextDecoder().decode(payload)
}

export function entry(index: number, term: number, payload = `${index}@${term}`): Entry {
  return { index, term, kind: 'command', payload: bytes(payload) }
}

export function virtualDisk(options: Partial<VirtualDiskOptions> = {}): VirtualDisk {
  return new VirtualDisk({ random: new SeededRandom(1), ...options })
}

export function open(disk: VirtualDisk, options: Partial<LogOptions> = {}): Promise<LogDevice> {
  return openLog({ disk, durability: 'disk', segmentBytes: 16 * 1024, ...options })
}

/** Commits, on a disk that calls back at once. */
export function commit(log: LogDevice): Error | undefined {
  let result: { error: Error | undefined } | undefined
  log.commit((error) => {
    result = { error }
  })
  if (result === undefined) throw new Error('the disk has not called back')
  return result.error
}

export function append(log: LogDevice, id: number, ...entries: Entry[]): Error | undefined {
  log.stage(group(id), { type: 'entries', entries })
  return commit(log)
}

/** All entries of a group, as texts. */
export function contents(log: LogDevice, id: number, start = 0): string[] {
  const texts: string[] = []
  for (let index = start + 1; log.chainAt(group(id), index) !== undefined; index++) {
    const [found] = log.entries(group(id), { from: index, until: index + 1, bytes: 0 })
    if (found !== undefined) texts.push(text(found.payload))
  }
  return texts
}
