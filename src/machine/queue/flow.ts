/** A flow is a message that waits until each of its children, messages of any queue, has brought its result. */

import { type ByteReader, type ByteWriter, malformed } from '../../base/bytes.ts'
import type { LeaderMicros } from '../batch.ts'
import { readOptional, writeOptional } from './encode.ts'

/** Most children of a flow: they are sent in one transaction with it. */
export const CHILDREN_LIMIT = 1000
/** Most bytes of a child's result. */
export const CHILD_RESULT_LIMIT_BYTES = 65_536
/** When a flow is due that still waits. */
export const WAITING_FOR_CHILDREN: LeaderMicros = Number.MAX_SAFE_INTEGER

/** Replaced as a whole. */
export interface Flow {
  /** By which its children know it, unique in its queue. */
  readonly name: string
  /** By the children's numbers; undefined for one that has not come. */
  readonly results: readonly (Uint8Array | undefined)[]
  readonly missing: number
}

export function beginFlow(name: string, children: number): Flow {
  return { name, results: Array.from<undefined>({ length: children }), missing: children }
}

/** The same flow when a child has brought its result before, or is none of it. */
export function arrived(flow: Flow, child: number, result: Uint8Array): Flow {
  if (child >= flow.results.length || flow.results[child] !== undefined) return flow
  return { name: flow.name, results: flow.results.with(child, result), missing: flow.missing - 1 }
}

export function writeFlow(writer: ByteWriter, flow: Flow | undefined): void {
  writer.text(flow?.name ?? '')
  if (flow === undefined) return
  writer.u16(flow.results.length)
  for (const result of flow.results) writeOptional(writer, result)
}

export function readFlow(reader: ByteReader): Flow | undefined {
  const name = reader.text()
  if (name === '') return undefined
  const count = reader.u16()
  if (count > CHILDREN_LIMIT) throw malformed('a flow has at most 1000 children')
  const results = Array.from({ length: count }, () => readOptional(reader)?.slice())
  return { name, results, missing: results.filter((result) => result === undefined).length }
}
