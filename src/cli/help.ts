/** Help teaches a command by examples first, then says what it takes. */

import type { Command } from './command.ts'
import type { Flags } from './command-line.ts'
import { columns } from './text.ts'

const WIDTH = 120

const INTRODUCTION = `troupe runs and talks to a cluster of Troupe nodes.

  troupe dev                            three nodes on this machine
  troupe map set greetings hello Hi     write, from a second terminal
  troupe map get greetings hello        read it back
  troupe where hello --map greetings    which node leads this key
  troupe queue send emails hello        a message that is kept until somebody has done it
  troupe queue work emails -- cat       run a command for each
  troupe lock nightly -- ./backup.sh    one at a time in the whole cluster`

const ENDING = `'troupe COMMAND --help' shows examples and options of one command.

Commands that talk to a cluster find it at --connect, else at TROUPE_CONNECT, else at 127.0.0.1:7401, 7402 and 7403.
A cluster with a secret is opened by TROUPE_SECRET; a secret on the command line could be read by every user.

Exit codes: 0 done, 1 the operation failed, 2 the command line or an option is wrong, 70 Troupe contradicts itself,
74 the disk failed or its data is damaged, 78 another version of Troupe is needed.
Errors go to standard error: code, what happened, what to do.`

/** The page of `troupe --help`, or of a group such as `troupe map --help`. */
export function overview(commands: readonly Command[], group?: string): string {
  const listed = commands.filter((command) => group === undefined || command.name.startsWith(`${group} `))
  const list = columns(listed.map((command) => [`  ${synopsis(command)}`, command.summary]))
  return group === undefined ? `${INTRODUCTION}\n\nCommands:\n${list}\n\n${ENDING}` : `Commands:\n${list}`
}

/** The page of one command. */
export function commandHelp(command: Command): string {
  const parts = [
    `troupe ${synopsis(command)}: ${command.summary}`,
    `Examples:\n${examples(command)}`,
    ...command.notes,
    `Options:\n${columns(flagRows(command.flags), WIDTH)}`,
  ]
  return parts.join('\n\n')
}

/** Beside each line what it does, or above it where lines are long. */
function examples(command: Command): string {
  const isLong = command.examples.some(([line]) => line.length > WIDTH / 2)
  if (isLong) return command.examples.map(([line, meaning]) => `  # ${meaning}\n  ${line}`).join('\n')
  return columns(command.examples.map(([line, meaning]) => [`  ${line}`, meaning]))
}

function synopsis(command: Command): string {
  return [command.name, ...command.parameters].join(' ')
}

function flagRows(flags: Flags): string[][] {
  return Object.entries(flags).map(([name, { value, short, help }]) => {
    const long = value === undefined ? `--${name}` : `--${name} ${value}`
    return [`  ${short === undefined ? long : `${long}, -${short}`}`, help]
  })
}
