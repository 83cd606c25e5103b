/** A stream is an async iterable whose items are made from those of another; each walk starts the other anew. */

import { isTroupeError } from '../base/error.ts'

/**
 * @param make gives undefined for what is to be left out
 * @param isEnd tells the errors of the source that are its orderly end
 */
export function mapStream<From, To>(
  start: () => AsyncIterable<From>,
  make: (item: From) => To | undefined | Promise<To | undefined>,
  isEnd: (error: unknown) => boolean = () => false,
): AsyncIterable<To> {
  return { [Symbol.asyncIterator]: () => new MappedIterator(start()[Symbol.asyncIterator](), make, isEnd) }
}

/** A loop ends with its Troupe, rather than throw while the process is about to end well. */
export function endOf(ending: AbortSignal): (error: unknown) => boolean {
  return (error) => ending.aborted && isTroupeError(ending.reason, 'CLOSED') && isTroupeError(error, 'CLOSED')
}

/** No generator: its `return` would wait for a pending `next`, and each item would cost three promises more. */
class MappedIterator<From, To> implements AsyncIterator<To, undefined> {
  readonly #source: AsyncIterator<From>
  readonly #isEnd: (error: unknown) => boolean
  readonly #step: (result: IteratorResult<From, unknown>) => Promise<IteratorResult<To, undefined>>

  constructor(
    source: AsyncIterator<From>,
    make: (item: From) => To | undefined | Promise<To | undefined>,
    isEnd: (error: unknown) => boolean,
  ) {
    this.#source = source
    this.#isEnd = isEnd
    this.#step = async (result) => {
      if (result.done === true) return { done: true, value: undefined }
      let value: To | undefined
      try {
        value = await make(result.value)
      } catch (error) {
        // The consumer sees a rejected `next` as the end and calls no `return`: the source is let go here.
        await this.return()
        if (isEnd(error)) return { done: true, value: undefined }
        throw error
      }
      return value === undefined ? this.next() : { done: false, value }
    }
  }

  next(): Promise<IteratorResult<To, undefined>> {
    return this.#source.next().then(this.#step, (error: unknown) => {
      if (this.#isEnd(error)) return { done: true, value: undefined }
      throw error
    })
  }

  async return(): Promise<IteratorResult<To, undefined>> {
    await this.#source.return?.()
    return { done: true, value: undefined }
  }
}
