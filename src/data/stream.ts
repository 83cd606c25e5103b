/** A stream is an async iterable whose items are made, one for one, from those of another; each walk starts the other anew. */

export function mapStream<From, To>(
  start: () => AsyncIterable<From>,
  make: (item: From) => To | Promise<To>,
): AsyncIterable<To> {
  return { [Symbol.asyncIterator]: () => new MappedIterator(start()[Symbol.asyncIterator](), make) }
}

/** No generator: its `return` would wait for a pending `next`, and each item would cost three promises more. */
class MappedIterator<From, To> implements AsyncIterator<To, undefined> {
  readonly #source: AsyncIterator<From>
  readonly #step: (result: IteratorResult<From, unknown>) => Promise<IteratorResult<To, undefined>>

  constructor(source: AsyncIterator<From>, make: (item: From) => To | Promise<To>) {
    this.#source = source
    this.#step = async (result) => {
      if (result.done === true) return { done: true, value: undefined }
      try {
        return { done: false, value: await make(result.value) }
      } catch (error) {
        // The consumer sees a rejected `next` as the end and calls no `return`: the source is let go here.
        await this.return()
        throw error
      }
    }
  }

  next(): Promise<IteratorResult<To, undefined>> {
    return this.#source.next().then(this.#step)
  }

  async return(): Promise<IteratorResult<To, undefined>> {
    await this.#source.return?.()
    return { done: true, value: undefined }
  }
}
