/** Randomness comes from a generator that is handed in, so that a seed repeats a run. */

export interface Random {
  /** A number in [0, 1) with 32 random bits. */
  next(): number
  /** An integer in [0, limit). */
  below(limit: number): number
}

/** A small fast generator with 128 bits of state (sfc32, from the PractRand suite by Chris Doty-Humphrey). Not for secrets. */
export class SeededRandom implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** Equal seeds give equal sequences; any integer below 2^53 is a seed. */
  constructor(seed: number) {
    this.#a = 0x9e3779b9
    this.#b = seed >>> 0
    this.#c = Math.floor(seed / 2 ** 32) >>> 0
    for (let round = 0; round < 12; round++) this.next()
  }

  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return (sum >>> 0) / 2 ** 32
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** An independent generator, so that one consumer's draws do not shift another's. */
  fork(): SeededRandom {
    return new SeededRandom(Math.floor(this.next() * 2 ** 32) * 2 ** 20 + Math.floor(this.next() * 2 ** 20))
  }
}

/** A whole number from 1 to 2^52, which nobody else draws: of two draws, because one has 32 random bits only. */
export function randomId(random: Random): number {
  return random.below(2 ** 26) * 2 ** 26 + random.below(2 ** 26) || 1
}
