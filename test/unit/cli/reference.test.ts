import { expect, test } from 'vitest'
import { commandHelp, overview } from '../../../src/cli/help.ts'
import { COMMANDS } from '../../../src/cli/run.ts'
import { golden } from '../../golden/golden.ts'

const INTRODUCTION = `# The command line

This page is what \`troupe --help\` and \`troupe COMMAND --help\` print. \`npx troupe\` runs it,
in a checkout of Troupe and wherever the package is installed.
`

const block = (text: string): string => `\`\`\`text\n${text}\n\`\`\``

test('the reference page of the command line is what help prints', () => {
  const pages = COMMANDS.map((command) => `## troupe ${command.name}\n\n${block(commandHelp(command))}`)
  const found = `${[INTRODUCTION.trimEnd(), block(overview(COMMANDS)), ...pages].join('\n\n')}\n`
  expect(found).toBe(golden('docs/reference/cli.md', found))
})
