/** A dataset that a command only looks at must be there: a misspelt name is told its nearest, not shown as empty. */

import { invalidArgument, nearestName } from '../base/argument.ts'
import type { CallOptions, NamedTopic } from '../driver/contract.ts'
import { defineQueue, type QueueDefinition } from '../message/queue.ts'
import type { Client } from './command.ts'

/** A queue that keeps the rules its application gave it, by its name: `name` or `name@placement`. */
export function ruledByOthers(placed: string): QueueDefinition<unknown> {
  const [name = '', placement] = placed.split('@')
  return defineQueue(name, { keepRules: true, ...(placement === undefined ? {} : { placement }) })
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
