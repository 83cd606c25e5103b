/** A frame slot hands small frames, one at a time, to a thread that is awake and looks for them: nobody has to be woken. */

/** Larger frames go another way. */
const SLOT_BYTES = 8_192
/** The bytes begin on a cache line of their own. */
const HEAD_BYTES = 64
/** Linux makes some 60 µs of it. */
const SHORTEST_MS = 0.001
/** Words of the head. */
const LENGTH = 0
const WATCHED = 1
const ASKER_AWAKE = 2

/**
 * Shared by one thread that puts and one that takes.
 *
 * Invariant: the length is 0 while the slot is empty. Only who puts makes it more, and only who takes makes it 0.
 */
export class FrameSlot {
  readonly #head: Int32Array
  readonly #bytes: Uint8Array

  /** @param shared what `FrameSlot.allocate` gave */
  constructor(shared: SharedArrayBuffer) {
    this.#head = new Int32Array(shared, 0, 3)
    this.#bytes = new Uint8Array(shared, HEAD_BYTES)
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(HEAD_BYTES + SLOT_BYTES)
  }

  /** The taker is looking. Whoever puts must ask again afterwards: the taker may just have looked for the last time. */
  get isWatched(): boolean {
    return Atomics.load(this.#head, WATCHED) === 1
  }

  /** Look once more after it was set to false. */
  set isWatched(isWatched: boolean) {
    Atomics.store(this.#head, WATCHED, isWatched ? 1 : 0)
  }

  /** The one that puts questions stays awake for the answers; said by that thread only. */
  get isAskerAwake(): boolean {
    return Atomics.load(this.#head, ASKER_AWAKE) === 1
  }

  set isAskerAwake(isAwake: boolean) {
    Atomics.store(this.#head, ASKER_AWAKE, isAwake ? 1 : 0)
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#head, LENGTH) === 0
  }

  /** False when the frame doesn't fit, or the one before has not been taken. */
  put(frame: Uint8Array): boolean {
    if (frame.length === 0 || frame.length > SLOT_BYTES || !this.isEmpty) return false
    this.#bytes.set(frame)
    Atomics.store(this.#head, LENGTH, frame.length)
    return true
  }

  /** Sleeps for as short as the system can, unless there is a frame: another thread that waits for this processor gets it. */
  giveWay(): void {
    Atomics.wait(this.#head, LENGTH, 0, SHORTEST_MS)
  }

  take(): Uint8Array | undefined {
    const length = Atomics.load(this.#head, LENGTH)
    if (length === 0) return undefined
    const frame = new Uint8Array(length)
    frame.set(this.#bytes.subarray(0, length))
    Atomics.store(this.#head, LENGTH, 0)
    return frame
  }
}
