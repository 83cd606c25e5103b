/** A measurement runs closed-loop workers, each of which waits for its answer before it asks again. */

import { performance } from 'node:perf_hooks'

export interface Measurement {
  readonly system: string
  readonly workload: string
  /** Operations under way at once: the number of workers. */
  readonly inflight: number
  readonly seconds: number
  /** Not counted; default 1. */
  readonly warmupSeconds?: number
  /** One operation of a worker; `sequence` counts all of them. */
  readonly operation: (worker: number, sequence: number) => Promise<unknown>
}

export interface MeasuredRow {
  readonly system: string
  readonly workload: string
  readonly inflight: number
  readonly opsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function measure(measurement: Measurement): Promise<MeasuredRow> {
  const { system, workload, inflight, seconds, warmupSeconds = 1 } = measurement
  await runWorkers(measurement, warmupSeconds)
  const { latencies, elapsedMs } = await runWorkers(measurement, seconds)
  const sorted = Float64Array.from(latencies).sort()
  const opsPerSecond = Math.round((sorted.length * 1000) / elapsedMs)
  return { system, workload, inflight, opsPerSecond, p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
}

/** The value below which a share `q` of the ascending values lies, to a hundredth; 0 when there are none. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const at = Math.min(ascending.length - 1, Math.floor(ascending.length * q))
  return Math.round((ascending[at] ?? 0) * 100) / 100
}

async function runWorkers(
  { inflight, operation }: Measurement,
  seconds: number,
): Promise<{ readonly latencies: number[]; readonly elapsedMs: number }> {
  const latencies: number[] = []
  const begin = performance.now()
  const end = begin + seconds * 1000
  let sequence = 0
  const work = async (worker: number): Promise<void> => {
    let started = performance.now()
    while (started < end) {
      await operation(worker, sequence++)
      const answered = performance.now()
      latencies.push(answered - started)
      started = answered
    }
  }
  await Promise.all(Array.from({ length: inflight }, (_, worker) => work(worker)))
  return { latencies, elapsedMs: performance.now() - begin }
}
