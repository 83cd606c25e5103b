/** Text is how values and tables look to a person or, as JSON, to a program. */

import { inspect } from 'node:util'

/** Rows as lines with aligned columns; the last column is wrapped so that lines keep within `width`, words permitting. */
export function columns(rows: readonly (readonly string[])[], width: number = Number.POSITIVE_INFINITY): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.slice(0, -1).entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  const indent = widths.reduce((sum, each) => sum + each + 2, 0)
  return rows.map((row) => rowText(row, widths, wrap(row.at(-1) ?? '', width - indent))).join('\n')
}

function rowText(row: readonly string[], widths: readonly number[], last: readonly string[]): string {
  const heads = row.slice(0, -1).map((cell, at) => `${cell.padEnd(widths[at] ?? 0)}  `)
  const blank = ' '.repeat(heads.join('').length)
  return last.map((text, at) => `${at === 0 ? heads.join('') : blank}${text}`.trimEnd()).join('\n')
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

const UNITS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
]

/** A duration for a person, in the largest unit of which there are two or more, or just one. */
export function elapsed(ms: number): string {
  const [length, unit] = UNITS.find(([each]) => ms >= 2 * each || ms === each) ?? [1, 'ms']
  return `${Math.round(ms / length)} ${unit}`
}

/** A value for a person: texts as they are, what JSON can say as JSON, the rest as Node shows it. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value
  return isPlain(value) ? JSON.stringify(value) : inspect(value, { depth: Number.POSITIVE_INFINITY, breakLength: 120 })
}

/** JSON of anything; what JSON lacks becomes its nearest: integers of any size their digits, bytes base64, sets and maps lists. */
export function json(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => nearest(part)) ?? 'null'
}

function nearest(part: unknown): unknown {
  if (typeof part === 'bigint') return part.toString()
  if (part instanceof Uint8Array) return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('base64')
  if (part instanceof Map || part instanceof Set) return [...part]
  if (part instanceof Error) return { name: part.name, message: part.message }
  return part
}

function isPlain(value: unknown): boolean {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return true
  if (typeof value === 'string') return true
  if (Array.isArray(value)) return value.every(isPlain)
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return false
  return Object.values(value).every(isPlain)
}
