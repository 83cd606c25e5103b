/** A run takes the words of a command line to an exit code. */

import { BENCH_COMMAND } from './bench-command.ts'
import { CLUSTER_COMMANDS } from './cluster-commands.ts'
import type { Command, Terminal } from './command.ts'
import { findCommand, parseCommandLine } from './command-line.ts'
import { DEV_COMMAND } from './dev-command.ts'
import { describeFailure, EXIT } from './failure.ts'
import { commandHelp, overview } from './help.ts'
import { LOCK_COMMANDS } from './lock-commands.ts'
import { MAP_COMMANDS } from './map-commands.ts'
import { MESSAGE_COMMANDS } from './message-commands.ts'
import { QUEUE_COMMANDS } from './queue-commands.ts'
import { SCHEDULE_COMMANDS } from './schedule-commands.ts'
import { START_COMMAND } from './start-command.ts'
import { TOPIC_COMMANDS } from './topic-commands.ts'
import { WORK_COMMAND } from './work-command.ts'

export const COMMANDS: readonly Command[] = [
  DEV_COMMAND,
  START_COMMAND,
  ...CLUSTER_COMMANDS,
  ...MAP_COMMANDS,
  ...MESSAGE_COMMANDS,
  WORK_COMMAND,
  ...QUEUE_COMMANDS,
  ...SCHEDULE_COMMANDS,
  ...TOPIC_COMMANDS,
  ...LOCK_COMMANDS,
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
    const { exitCode, text } = describeFailure(error, ownWords(words).includes('--json'), nameOf(words))
    terminal.complain(text)
    return exitCode
  }
}

function runCommand(words: readonly string[], terminal: Terminal): Promise<number> {
  const { command, rest } = findCommand(COMMANDS, words)
  return command.run(parseCommandLine(command, rest), terminal)
}

function nameOf(words: readonly string[]): string | undefined {
  return [2, 1]
    .map((length) => words.slice(0, length).join(' '))
    .find((name) => COMMANDS.some((command) => command.name === name))
}

/** The page that the user asked for instead of a command; undefined when a command is to run. */
function pageFor(words: readonly string[], version: string): string | undefined {
  const [first, second] = words
  if (first === '--version' || first === '-v') return version
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && second === undefined)) {
    return overview(COMMANDS)
  }
  const isAsked = ownWords(words).some((word) => HELP_WORDS.has(word) && word !== 'help')
  const topic = first === 'help' ? words.slice(1) : isAsked ? words : undefined
  if (topic === undefined) return undefined
  const [group = '', next] = topic
  const isGroup = COMMANDS.some((command) => command.name.startsWith(`${group} `))
  if (isGroup && (next === undefined || HELP_WORDS.has(next))) return overview(COMMANDS, group)
  return commandHelp(findCommand(COMMANDS, topic).command)
}

/** Those before `--`: what follows is a value, or the words of another command. */
function ownWords(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--')
  return end === -1 ? words : words.slice(0, end)
}
