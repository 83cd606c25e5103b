import { expect, test } from 'vitest'
import { commandHelp, overview } from '../../../src/cli/help.ts'
import { COMMANDS } from '../../../src/cli/run.ts'
import { golden } from '../../golden/golden.ts'

const INTRODUCTION = `# The command line

This page is what \`troupe --help\` and \`troupe COMMAND --help\` print. In a checkout of Troupe itself the command is
\`node dist/cli/main.js\`, elsewhere \`npx troupe\`.
`

const block = (text: string): string => `\`\`\`text\n${text}\n\`\`\``

test('the reference page of the command line is what help prints', () => {
  const pages = COMMANDS.map((command) => `## troupe ${command.name}\n\n${block(commandHelp(command))}`)
  const found = `${[INTRODUCTION.trimEnd(), block(overview(COMMANDS)), ...pages].join('\n\n')}\n`
  expect(found).toBe(golden('docs/reference/cli.md', found))
})
