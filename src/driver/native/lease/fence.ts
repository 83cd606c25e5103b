/** A fence lets a write happen only under a token that no newer one has replaced. */

import { fencePart, placeOfLock } from '../../../machine/lease/command.ts'
import type { Part } from '../../../machine/transaction.ts'
import type { Fence } from '../../contract.ts'
import type { Router } from '../route/router.ts'

/** The part of a transaction in this shard. The shards must be known. */
export function fenceOf(router: Router, { name, token }: Fence, shard: number): Part {
  const { map, key } = placeOfLock(name)
  return fencePart(name, tokenNumber(token), router.shardOf(map, key) === shard)
}

/** The machine counts in numbers; a token beyond them was never granted, and 0 is older than all. */
export function tokenNumber(token: bigint): number {
  return token > 0n && token <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(token) : 0
}
