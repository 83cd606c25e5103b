/** A sparse column has a value for each slot, and takes no memory while all have the usual one. */

const FEWEST_ROWS = 16

export class SparseColumn {
  readonly #usual: number
  #values: Float64Array

  constructor(usual: number, values: Float64Array = new Float64Array(0)) {
    this.#usual = usual
    this.#values = values
  }

  get(slot: number): number {
    return slot < this.#values.length ? (this.#values[slot] ?? 0) : this.#usual
  }

  set(slot: number, value: number): void {
    const { length } = this.#values
    if (slot >= length) {
      if (value === this.#usual) return
      const rows = roomFor(slot, length)
      this.#values = resized(this.#values, new Float64Array(rows).fill(this.#usual, length))
    }
    this.#values[slot] = value
  }

  copy(): SparseColumn {
    return new SparseColumn(this.#usual, this.#values.slice())
  }
}

/** The same of texts, of which `''` is the usual one. */
export class SparseTexts {
  readonly #values: string[]

  constructor(values: string[] = []) {
    this.#values = values
  }

  get(slot: number): string {
    return slot < this.#values.length ? (this.#values[slot] ?? '') : ''
  }

  set(slot: number, text: string): void {
    if (slot >= this.#values.length && text === '') return
    while (slot > this.#values.length) this.#values.push('')
    this.#values[slot] = text
  }

  copy(): SparseTexts {
    return new SparseTexts(this.#values.slice())
  }
}

/** How long a column becomes that is to have this row: twice what it was, or more. */
export function roomFor(row: number, length: number): number {
  let rows = Math.max(FEWEST_ROWS, length * 2)
  while (rows <= row) rows *= 2
  return rows
}

/** Copies a column into a larger one. */
export function resized<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
  to.set(from)
  return to
}
