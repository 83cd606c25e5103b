/** A run takes the words of a command line to an exit code. */

import { BENCH_COMMAND } from './bench-command.ts'
import { CLUSTER_COMMANDS } from './cluster-commands.ts'
import type { Command, Terminal } from './command.ts'
import { findCommand, parseCommandLine } from './command-line.ts'
import { DEV_COMMAND } from './dev-command.ts'
import { describeFailure, EXIT } from './failure.ts'
import { commandHelp, overview } from './help.ts'
import { MAP_COMMANDS } from './map-commands.ts'
import { QUEUE_COMMANDS } from './queue-commands.ts'
import { START_COMMAND } from './start-command.ts'

export const COMMANDS: readonly Command[] = [
  DEV_COMMAND,
  START_COMMAND,
  ...CLUSTER_COMMANDS,
  ...MAP_COMMANDS,
  ...QUEUE_COMMANDS,
  BENCH_COMMAND,
]

const HELP_WORDS: ReadonlySet<string | undefined> = new Set(['--help', '-h', 'help'])

export async function run(words: readonly string[], terminal: Terminal, version: string): Promise<number> {
  try {
    const page = pageFor(words, version)
    if (page === undefined) return await runCommand(words, terminal)
    await terminal.print(page)
    return EXIT.done
  } catch (error) {
    const { exitCode, text } = describeFailure(error, words.includes('--json'))
    terminal.complain(text)
    return exitCode
  }
}

function runCommand(words: readonly string[], terminal: Terminal): Promise<number> {
  const { command, rest } = findCommand(COMMANDS, words)
  return command.run(parseCommandLine(command, rest), terminal)
}

/** The page that the user asked for instead of a command; undefined when a command is to run. */
function pageFor(words: readonly string[], version: string): string | undefined {
  const [first, second] = words
  if (first === '--version' || first === '-v') return version
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && second === undefined)) {
    return overview(COMMANDS)
  }
  const end = words.indexOf('--')
  const isAsked = words
    .slice(0, end === -1 ? words.length : end)
    .some((word) => HELP_WORDS.has(word) && word !== 'help')
  const topic = first === 'help' ? words.slice(1) : isAsked ? words : undefined
  if (topic === undefined) return undefined
  const [group = '', next] = topic
  const isGroup = COMMANDS.some((command) => command.name.startsWith(`${group} `))
  if (isGroup && (next === undefined || HELP_WORDS.has(next))) return overview(COMMANDS, group)
  return commandHelp(findCommand(COMMANDS, topic).command)
}
