/** A workload is one operation that a measurement repeats, on a client of a cluster. */

import { defineMap } from '../data/map.ts'
import type { Client } from './command.ts'

export const WORKLOADS = ['map.set', 'map.get linearizable'] as const
export type Workload = (typeof WORKLOADS)[number]

/** Keys of each worker: enough to spread over all shards, few enough that every read finds something. */
const KEYS_OF_A_WORKER = 1000

/** The operation of a workload, with values of so many bytes. */
export function operationOf(
  client: Client,
  workload: Workload,
  valueBytes: number,
): (worker: number, sequence: number) => Promise<unknown> {
  const map = client.map(defineMap<Uint8Array>('bench'))
  const value = new Uint8Array(valueBytes)
  const key = (worker: number, sequence: number): string => `k${worker}:${sequence % KEYS_OF_A_WORKER}`
  if (workload === 'map.set') return (worker, sequence) => map.set(key(worker, sequence), value)
  return (worker, sequence) => map.get(key(worker, sequence))
}
