/** A command line is what the user typed after the command's words, checked against what the command takes. */

import { parseArgs } from 'node:util'
import { nearestName, unknownName } from '../base/argument.ts'
import type { ReadLevel } from '../driver/contract.ts'

/** An option of a command; one with a `value` takes an argument, whose placeholder this is. */
export interface Flag {
  readonly value?: string
  readonly short?: string
  readonly help: string
}

export type Flags = Readonly<Record<string, Flag>>

/** What a command takes. */
export interface Syntax {
  /** The words that call it, such as `map get`. */
  readonly name: string
  /** Placeholders in order; those in brackets may be left out. */
  readonly parameters: readonly string[]
  readonly flags: Flags
}

/** The line can't be understood; the message says which part and how it should look. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  /** The words of the command whose help answers; undefined when no command was recognised. */
  readonly command: string | undefined

  constructor(message: string, command: string | undefined) {
    super(message)
    this.command = command
  }
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m)?$/
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 }

/** Typed access to flags and parameters; each accessor throws a {@link UsageError} that names the flag. */
export class CommandLine {
  readonly #command: Syntax
  readonly #flags: ReadonlyMap<string, string | true>
  readonly #parameters: readonly string[]

  constructor(command: Syntax, flags: ReadonlyMap<string, string | true>, parameters: readonly string[]) {
    this.#command = command
    this.#flags = flags
    this.#parameters = parameters
  }

  has(flag: string): boolean {
    return this.#flags.has(flag)
  }

  /** The parameter at this place; `''` when it was left out. */
  parameter(at: number): string {
    return this.#parameters[at] ?? ''
  }

  get parameterCount(): number {
    return this.#parameters.length
  }

  text(flag: string): string | undefined {
    const value = this.#flags.get(flag)
    return typeof value === 'string' ? value : undefined
  }

  /** Comma-separated texts without blanks. */
  list(flag: string): string[] | undefined {
    return this.text(flag) === undefined ? undefined : splitList(this.text(flag) ?? '')
  }

  count(flag: string, least = 0): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
    throw this.wrong(`--${flag} takes a whole number from ${least}, not '${text}'`)
  }

  counts(flag: string, least = 0): number[] | undefined {
    return this.list(flag)?.map((text) => {
      if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text)
      throw this.wrong(`--${flag} takes whole numbers from ${least}, separated by commas, not '${text}'`)
    })
  }

  revision(flag: string): bigint | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    if (/^\d{1,20}$/.test(text)) return BigInt(text)
    throw this.wrong(`--${flag} takes a revision (digits), not '${text}'`)
  }

  milliseconds(flag: string): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = parseDuration(text)
    if (value !== undefined && value > 0) return value
    throw this.wrong(`--${flag} takes milliseconds or a duration such as 500ms or 5s, not '${text}'`)
  }

  readLevel(flag: string): ReadLevel | undefined {
    const text = this.text(flag)
    if (text === undefined || text === 'linearizable' || text === 'local') return text
    const maxStalenessMs = parseDuration(text)
    if (maxStalenessMs !== undefined) return { maxStalenessMs }
    throw this.wrong(`--${flag} takes 'linearizable', 'local' or the greatest age, such as 500ms, not '${text}'`)
  }

  wrong(message: string): UsageError {
    return new UsageError(message, this.#command.name)
  }
}

/** The command that the first words name, and the rest of them. */
export function findCommand<Command extends Syntax>(
  commands: readonly Command[],
  words: readonly string[],
): { readonly command: Command; readonly rest: readonly string[] } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ')
    const command = commands.find((candidate) => candidate.name === name)
    if (command !== undefined) return { command, rest: words.slice(length) }
  }
  throw unknownCommand(commands, words)
}

function unknownCommand(commands: readonly Syntax[], words: readonly string[]): UsageError {
  const [first = '', second] = words
  if (first.startsWith('-')) return new UsageError(`the command comes first, before '${first}'`, undefined)
  const group = commands.filter((command) => command.name.startsWith(`${first} `))
  if (group.length > 0) {
    const rest = group.map((command) => command.name.slice(first.length + 1))
    const complaint = second === undefined || second.startsWith('-') ? undefined : second
    if (complaint === undefined) return new UsageError(`'${first}' needs one of: ${rest.join(', ')}`, first)
    return new UsageError(unknownName(`there is no command '${first}`, complaint, rest).replace(" '", ' '), first)
  }
  const names = new Set(commands.flatMap((command) => [command.name, command.name.split(' ')[0] ?? '']))
  const near = nearestName(second === undefined ? first : `${first} ${second}`, names) ?? nearestName(first, names)
  const hint = near === undefined ? '' : `; did you mean '${near}'?`
  return new UsageError(`there is no command '${first}'${hint}`, undefined)
}

/** Checks the words after the command's name. */
export function parseCommandLine(command: Syntax, words: readonly string[]): CommandLine {
  const flags = new Map<string, string | true>()
  const parameters: string[] = []
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: parseOptions(command),
  })
  for (const token of tokens) {
    if (token.kind === 'positional') parameters.push(token.value)
    if (token.kind === 'option') flags.set(token.name, flagValue(command, token))
  }
  checkParameters(command, parameters)
  return new CommandLine(command, flags, parameters)
}

type ParseOptions = Record<string, { type: 'string' | 'boolean'; short?: string }>

function parseOptions(command: Syntax): ParseOptions {
  const options: ParseOptions = {}
  for (const [name, { value, short }] of Object.entries(command.flags)) {
    options[name] = { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) }
  }
  return options
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value?: string | undefined
}

function flagValue(command: Syntax, { name, rawName, value }: OptionToken): string | true {
  const flag: Flag | undefined = Object.hasOwn(command.flags, name) ? command.flags[name] : undefined
  if (flag === undefined) {
    const known = Object.keys(command.flags)
    const hint = rawName.startsWith('--') ? '' : '; before a value that begins with - put --'
    throw new UsageError(
      `${unknownName(`'${command.name}' has no option`, rawName.replace(/^-+/, ''), known)}${hint}`,
      command.name,
    )
  }
  if (flag.value === undefined && value !== undefined) throw new UsageError(`${rawName} takes no value`, command.name)
  if (flag.value === undefined) return true
  if (value === undefined || value === '') throw new UsageError(`${rawName} needs a value: ${flag.value}`, command.name)
  return value
}

function checkParameters(command: Syntax, given: readonly string[]): void {
  const missing = command.parameters.slice(given.length).find((parameter) => !parameter.startsWith('['))
  if (missing !== undefined) {
    throw new UsageError(`'${command.name}' needs ${command.parameters.join(' ')}; ${missing} is missing`, command.name)
  }
  const extra = given[command.parameters.length]
  if (extra !== undefined) {
    const takes = command.parameters.length === 0 ? 'no parameters' : command.parameters.join(' ')
    throw new UsageError(
      `'${command.name}' takes ${takes}; '${extra}' is one too many (quote texts with blanks)`,
      command.name,
    )
  }
}

export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function parseDuration(text: string): number | undefined {
  const [, digits, unit = 'ms'] = DURATION.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * (UNIT_MS[unit] ?? 1)
}
