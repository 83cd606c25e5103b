/** A standing stream is one of which nothing is missed any more. */

export interface Standing<Item> {
  readonly changes: AsyncIterator<Item>
  /** What `next` was called for already; nobody need wait for it. */
  readonly first: Promise<IteratorResult<Item>>
}

/** Begins a stream, and resolves once it calls `onStanding`, or has ended before. Rejects as the stream does. */
export async function standing<Item>(begin: (onStanding: () => void) => AsyncIterable<Item>): Promise<Standing<Item>> {
  let stands = (): void => {}
  const standing = new Promise<void>((resolve) => {
    stands = resolve
  })
  const changes = begin(stands)[Symbol.asyncIterator]()
  const first = changes.next()
  await Promise.race([standing, first])
  first.catch(() => {})
  return { changes, first }
}
