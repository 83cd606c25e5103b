/** A flow's parent is where its child brings its result; the child carries it as the text of a header. */

import type { ChildName } from '../../../machine/queue/encode.ts'

export interface Parent extends ChildName {
  readonly shard: number
}

export function headerOf({ shard, child, flow, queue }: Parent): string {
  return JSON.stringify([shard, child, flow, queue])
}

/** Undefined for a header that is not ours. */
export function parentOf(header: string): Parent | undefined {
  try {
    const [shard, child, flow, queue]: unknown[] = JSON.parse(header)
    const isOurs = typeof flow === 'string' && typeof queue === 'string'
    return isOurs ? { shard: Number(shard), child: Number(child), flow, queue } : undefined
  } catch {
    return undefined
  }
}
