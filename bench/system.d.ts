/** A system is something that can be measured: how its servers are started and how a client does one operation. */

import type { Site } from './site.mjs'

export type WorkloadName = 'map.set' | 'map.get linearizable'

export interface Cell {
  readonly workload: WorkloadName
  readonly inflight: number
  readonly seconds: number
}

export interface SystemClient {
  operation(workload: WorkloadName): (worker: number, sequence: number) => Promise<unknown>
}

export interface System {
  readonly name: string
  readonly workloads: readonly WorkloadName[]
  /** What is missing on this machine and how to get it; undefined when nothing is. */
  missing(): string | undefined
  /** Starts the servers; what it returns is handed to `connect`, in another process. */
  serve(site: Site, profileDirectory: string | undefined): Promise<unknown>
  connect(connection: unknown): Promise<SystemClient>
}
