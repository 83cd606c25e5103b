/** A dataset that a command only looks at must be there: a misspelt name is told its nearest, not shown as empty. */

import { invalidArgument, nearestName } from '../base/argument.ts'
import type { CallOptions, NamedTopic } from '../driver/contract.ts'
import { defineQueue, type QueueDefinition } from '../message/queue.ts'
import type { Client } from './command.ts'

/** The parts of what was given as `name` or `name@placement`. */
export function placeOf(given: string): { readonly name: string; readonly placement?: string } {
  const at = given.indexOf('@')
  return at < 0 ? { name: given } : { name: given.slice(0, at), placement: given.slice(at + 1) }
}

/** A queue that keeps the rules its application gave it. */
export function ruledByOthers(given: string): QueueDefinition<unknown> {
  const { name, ...place } = placeOf(given)
  return defineQueue(name, { keepRules: true, ...place })
}

export async function checkQueue(client: Client, name: string, options: CallOptions): Promise<void> {
  const known = await client.queues(options)
  if (!known.some((queue) => queue.name === name)) throw unknown('queue', name, known)
}

export async function knownTopic(client: Client, name: string, options: CallOptions): Promise<NamedTopic> {
  const known = await client.topics(options)
  const found = known.find((topic) => topic.name === name)
  if (found === undefined) throw unknown('topic', name, known)
  return found
}

function unknown(kind: 'queue' | 'topic', name: string, known: readonly { readonly name: string }[]): Error {
  const names = known.map((dataset) => dataset.name)
  const near = nearestName(name, names) ?? names.find((other) => other.startsWith(`${name}@`))
  const hint = near === undefined ? `'troupe ${kind}s' lists those that are there` : `did you mean '${near}'?`
  return invalidArgument(`there is no ${kind} '${name}'; ${hint}`)
}
