/** A value of the command line is a text, or what its JSON says; `-` stands for standard input. */

import type { Terminal } from './command.ts'
import type { CommandLine, Flags } from './command-line.ts'

export const VALUE_FLAGS: Flags = { 'json-value': { help: 'VALUE is JSON: numbers, objects, lists …' } }

/** The value at this place of the parameters. */
export async function givenValue(line: CommandLine, at: number, terminal: Terminal): Promise<unknown> {
  const given = line.parameter(at)
  return parseValue(line, given === '-' ? await terminal.input() : given)
}

export function parseValue(line: CommandLine, text: string): unknown {
  if (!line.has('json-value')) return text
  try {
    return JSON.parse(text)
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error)
    throw line.wrong(`with --json-value VALUE is JSON, and '${text.slice(0, 40)}' is not: ${cause}`)
  }
}

export const HEADER_FLAGS: Flags = {
  header: { value: 'NAME=TEXT', help: 'travels along; may be repeated' },
}

/** The headers given by `--header`. */
export function headersOf(line: CommandLine): { readonly headers?: Readonly<Record<string, string>> } {
  const given = line.texts('header')
  if (given.length === 0) return {}
  const headers = given.map((text): readonly [string, string] => {
    const at = text.indexOf('=')
    if (at < 1) throw line.wrong(`--header takes NAME=TEXT, not '${text}'`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
  return { headers: Object.fromEntries(headers) }
}
