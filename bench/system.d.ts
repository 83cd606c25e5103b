/** A system is something that can be measured: how its servers are started and how a client does one operation. */

import type { Site } from './site.mjs'

export type WorkloadName =
  | 'map.set'
  | 'map.get linearizable'
  | 'queue.send'
  | 'queue.sendAll'
  | 'queue.receive+ack'
  | 'queue.roundtrip'
  | 'topic.publish'
  | 'topic.consume'
  | 'lock'

export interface Cell {
  readonly workload: WorkloadName
  readonly inflight: number
  readonly seconds: number
}

export type Operation = (worker: number, sequence: number) => Promise<unknown>

/** One cell, ready to be measured. */
export interface Run {
  readonly operation: Operation
  /** How many operations one call is, all under way at once; then calls follow one another. */
  readonly batch?: number
  /** Of a workload that consumes: puts so many more there. */
  fill?(count: number): Promise<void>
  /** Ends what consumes and throws away what is left. */
  end?(): Promise<void>
}

export interface SystemClient {
  begin(cell: Cell): Run | Promise<Run>
  /** For one that shares its process with others. */
  close?(): Promise<void>
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
