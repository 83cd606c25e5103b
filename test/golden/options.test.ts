import { expect, test } from 'vitest'
import { OPTIONS } from '../../src/runtime/option-table.ts'
import { golden, markdownTable } from './golden.ts'

const INTRODUCTION = `# Options

What \`open(options)\` takes. Each option that text can express is also an environment variable, which counts where the code says
nothing: the same file becomes another node, or a client, by its environment alone. An unknown option, and an unknown variable
that begins with \`TROUPE_\`, is an \`INVALID_ARGUMENT\`; an empty variable counts as none.

An address is \`host:port\`: an IPv4 address, an IPv6 address in brackets, or a host name. Variables that hold several divide them
by commas.

\`\`\`sh
node app.js                                        # one node, in memory
TROUPE_DATA_DIR=./data node app.js                 # one node, durable
TROUPE_DATA_DIR=./data TROUPE_LISTEN=127.0.0.1:7401 \\
  TROUPE_JOIN=127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403 node app.js   # one of three
TROUPE_CONNECT=127.0.0.1:7401 node app.js          # a client of them
\`\`\`
`

test('the reference page of options says what the table of options says', () => {
  const rows = Object.entries(OPTIONS).map(([name, option]) => [
    `\`${name}\``,
    option.variable === undefined ? '' : `\`${option.variable}\``,
    option.unit === '' ? option.type : `${option.type} (${option.unit})`,
    option.default,
    option.meaning,
    option.cost,
  ])
  const table = markdownTable(['option', 'variable', 'type', 'default', 'what it means', 'what it costs to turn'], rows)
  const found = `${INTRODUCTION}\n${table}\n`
  expect(found).toBe(golden('docs/reference/options.md', found))
})

test('a variable is its option in capitals', () => {
  for (const [name, { variable }] of Object.entries(OPTIONS)) {
    if (variable === undefined) continue
    expect(variable).toBe(`TROUPE_${name.replaceAll(/[A-Z]/g, (capital) => `_${capital}`).toUpperCase()}`)
  }
})
