/** An offset is the place of a record in its partition, and lies no further than the partition's end. */

import { invalidArgument } from '../base/argument.ts'

/** One beyond the end is of another topic, perhaps of one that was deleted: what came first would never be read. */
export function checkOffset(
  offset: bigint,
  { topic, partition, end }: { readonly topic: string; readonly partition: number; readonly end: bigint },
): bigint {
  if (offset <= end) return offset
  throw invalidArgument(`partition ${partition} of '${topic}' ends at ${end}, and has no offset ${offset}`)
}
