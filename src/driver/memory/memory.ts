/** The memory driver keeps everything in this process and answers at once: the contract as a readable specification. */

import type { Clock, Scheduler } from '../../base/time.ts'
import type { CallOptions, ClusterStatus, Driver, Fence, OperationOutcome } from '../contract.ts'
import { MemoryDoor } from './door.ts'
import { MemoryKeyValue } from './key-value.ts'
import { MemoryLeases } from './lease.ts'
import { MemoryQueues } from './queue.ts'
import type { PlanCron } from './schedule.ts'
import { MemorySchedules } from './schedule.ts'
import { MemoryTopics } from './topic.ts'

/** What the memory driver keeps. */
export interface MemoryDriverOptions {
  /** How many of the newest changes a watch can still be given; an older one ends with `COMPACTED`. Default 65,536. */
  readonly history?: number
}

/** What the memory driver lives in. */
export interface MemoryPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly planCron: PlanCron
}

/** Without ports there is no time, and so only maps: queues, topics and leases wait for something. */
export function memoryDriver(options: MemoryDriverOptions = {}, ports?: MemoryPorts): Driver {
  const door = new MemoryDoor()
  const lease = ports === undefined ? undefined : new MemoryLeases(ports, door)
  const keyValue = new MemoryKeyValue(options.history ?? 65_536, door, (fence) => lease?.checkFence(fence))
  lease?.keepKeysIn(keyValue)
  return {
    name: 'memory',
    keyValue,
    ...(ports === undefined || lease === undefined ? {} : timedFacets(ports, door, { lease, keyValue })),
    outcome: (_operationId: string, call: CallOptions): Promise<OperationOutcome> => door.answer(call, () => 'unknown'),
    status: (call: CallOptions): Promise<ClusterStatus> =>
      door.answer(call, () => {
        return { cluster: 'memory', answeredBy: undefined, level: undefined, mendedPieces: 0, members: [], groups: [] }
      }),
    close: async (): Promise<void> => door.close(),
  }
}

function timedFacets(
  ports: MemoryPorts,
  door: MemoryDoor,
  { lease, keyValue }: { readonly lease: MemoryLeases; readonly keyValue: MemoryKeyValue },
): Required<Pick<Driver, 'queue' | 'topic' | 'lease'>> {
  const checkFence = (fence: Fence): void => lease.checkFence(fence)
  const topic = new MemoryTopics(ports, door, checkFence)
  const queue = new MemoryQueues(ports, door, {
    keyValue,
    topic,
    checkFence,
    schedules: (send) => new MemorySchedules(ports, door, send),
  })
  return { queue, topic, lease }
}
