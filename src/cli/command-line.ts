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
  /** Takes a command after `--`. */
  readonly takesCommand?: boolean
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

/** What was typed after the words of a command. */
export interface Typed {
  readonly flags: ReadonlyMap<string, readonly string[]>
  readonly parameters: readonly string[]
  /** The words after `--`, of a command that takes a command. */
  readonly command: readonly string[]
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DATE = /^\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-]\d\d:?\d\d)?)?$/

/** Typed access to flags and parameters; each accessor throws a {@link UsageError} that names the flag. */
export class CommandLine {
  readonly #syntax: Syntax
  readonly #typed: Typed

  constructor(syntax: Syntax, typed: Typed) {
    this.#syntax = syntax
    this.#typed = typed
  }

  /** The words of a command to run; empty when none was given. */
  get command(): readonly string[] {
    return this.#typed.command
  }

  has(flag: string): boolean {
    return this.#typed.flags.has(flag)
  }

  /** The parameter at this place; `''` when it was left out. */
  parameter(at: number): string {
    return this.#typed.parameters[at] ?? ''
  }

  text(flag: string): string | undefined {
    return this.texts(flag).at(-1)
  }

  /** All that was given, by repeating the flag. */
  texts(flag: string): readonly string[] {
    return this.#typed.flags.get(flag) ?? []
  }

  /** One of these words. */
  choice<Word extends string>(flag: string, words: readonly Word[]): Word | undefined {
    const text = this.text(flag)
    const word = words.find((candidate) => candidate === text)
    if (text === undefined || word !== undefined) return word
    throw this.wrong(`--${flag} takes ${words.join(', ')}, not '${text}'`)
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

  milliseconds(flag: string, least = 1): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = parseDuration(text)
    if (value !== undefined && value >= least) return value
    throw this.wrong(`--${flag} takes milliseconds or a duration such as 500ms, 5s, 10m, 2h or 3d, not '${text}'`)
  }

  /** A point of the calendar, in milliseconds since 1970. */
  time(flag: string): number | undefined {
    const text = this.text(flag)
    if (text === undefined) return undefined
    const value = parseTime(text)
    if (value !== undefined) return value
    throw this.wrong(`--${flag} takes a time such as 2031-12-24T18:00Z, or milliseconds since 1970, not '${text}'`)
  }

  readLevel(flag: string): ReadLevel | undefined {
    const text = this.text(flag)
    if (text === undefined || text === 'linearizable' || text === 'local') return text
    const maxStalenessMs = parseDuration(text)
    if (maxStalenessMs !== undefined) return { maxStalenessMs }
    throw this.wrong(`--${flag} takes 'linearizable', 'local' or the greatest age, such as 500ms, not '${text}'`)
  }

  wrong(message: string): UsageError {
    return new UsageError(message, this.#syntax.name)
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
    const near = nearestName(complaint, rest)
    const hint =
      near === undefined
        ? `known: ${[...plural(commands, first), ...rest].join(', ')}`
        : `did you mean '${first} ${near}'?`
    return new UsageError(`there is no command '${first} ${complaint}'; ${hint}`, first)
  }
  const names = new Set(commands.flatMap((command) => [command.name, command.name.split(' ')[0] ?? '']))
  const near = nearestName(second === undefined ? first : `${first} ${second}`, names) ?? nearestName(first, names)
  const hint = near === undefined ? '' : `; did you mean '${near}'?`
  return new UsageError(`there is no command '${first}'${hint}`, undefined)
}

/** Things are listed by their plural. */
function plural(commands: readonly Syntax[], group: string): readonly string[] {
  return commands.some(({ name }) => name === `${group}s`) ? [`${group}s (lists them)`] : []
}

/** Checks the words after the command's name. */
export function parseCommandLine(command: Syntax, words: readonly string[]): CommandLine {
  const flags = new Map<string, string[]>()
  const parameters: string[] = []
  const end = command.takesCommand === true ? words.indexOf('--') : -1
  const { tokens } = parseArgs({
    args: end === -1 ? [...words] : words.slice(0, end),
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: parseOptions(command),
  })
  for (const token of tokens) {
    if (token.kind === 'positional') parameters.push(token.value)
    if (token.kind === 'option') flags.set(token.name, [...(flags.get(token.name) ?? []), ...flagValue(command, token)])
  }
  checkParameters(command, parameters)
  if (end === words.length - 1 && end !== -1) throw new UsageError(`a command belongs after --`, command.name)
  return new CommandLine(command, { flags, parameters, command: end === -1 ? [] : words.slice(end + 1) })
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

/** None for a flag that takes none. */
function flagValue(command: Syntax, { name, rawName, value }: OptionToken): readonly string[] {
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
  if (flag.value === undefined) return []
  if (value === undefined || value === '') throw new UsageError(`${rawName} needs a value: ${flag.value}`, command.name)
  return [value]
}

function checkParameters(command: Syntax, given: readonly string[]): void {
  const missing = command.parameters.slice(given.length).find((parameter) => !parameter.startsWith('['))
  if (missing !== undefined) {
    throw new UsageError(`'${command.name}' needs ${command.parameters.join(' ')}; ${missing} is missing`, command.name)
  }
  const extra = given[command.parameters.length]
  if (extra !== undefined) {
    const takes = command.parameters.length === 0 ? 'no parameters' : command.parameters.join(' ')
    const hint = command.takesCommand === true ? 'put a command after --' : 'quote texts with blanks'
    throw new UsageError(`'${command.name}' takes ${takes}; '${extra}' is one too many (${hint})`, command.name)
  }
}

export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** A time of the calendar, in milliseconds since 1970; one without a zone is in this computer's. */
export function parseTime(text: string): number | undefined {
  if (/^\d{12,15}$/.test(text)) return Number(text)
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

export function parseDuration(text: string): number | undefined {
  const [, digits, unit = 'ms'] = DURATION.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * (UNIT_MS[unit] ?? 1)
}
