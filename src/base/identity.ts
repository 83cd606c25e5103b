/** An identity names one thing for ever; each kind has a type of its own, so that one can't pass for another. */

declare const brand: unique symbol
type Branded<Value, Kind extends string> = Value & { readonly [brand]: Kind }

/** An engine in the cluster: 1–64 characters of `A–Z a–z 0–9 . _ -`. Written in its data directory; never reused. */
export type NodeId = Branded<string, 'NodeId'>

/** The replicas that share one log; 0 is the meta group, which holds members, definitions and the shard map. */
export type GroupId = Branded<number, 'GroupId'>

/** A slice of the key space, owned by one group at a time. */
export type ShardId = Branded<number, 'ShardId'>

/** A client's deduplication identity: a random integer below 2^52. */
export type SessionId = Branded<number, 'SessionId'>

export const META_GROUP: GroupId = 0 as GroupId

const NODE_ID_PATTERN = /^[A-Za-z0-9._-]{1,64}$/

export function isNodeId(text: string): text is NodeId {
  return NODE_ID_PATTERN.test(text)
}
