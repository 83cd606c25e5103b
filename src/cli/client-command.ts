/** A client command talks to a running cluster: it finds it, speaks JSON when asked, and leaves it as it was. */

import type { Client, Terminal } from './command.ts'
import type { CommandLine, Flags } from './command-line.ts'
import { splitList } from './command-line.ts'

export const DEFAULT_CONNECT: readonly string[] = ['127.0.0.1:7401', '127.0.0.1:7402', '127.0.0.1:7403']

export const HELP_FLAG: Flags = { help: { short: 'h', help: 'this page' } }

export const CLIENT_FLAGS: Flags = {
  connect: {
    value: 'HOST:PORT,…',
    help: 'nodes to talk to; default TROUPE_CONNECT, else 127.0.0.1:7401, 7402 and 7403',
  },
  timeout: { value: 'DURATION', help: 'give up after this long, such as 500ms or 5s; default 10s' },
  json: { help: 'print JSON: one document, or one a line where there are many' },
  ...HELP_FLAG,
}

/** Opens a client, hands it to `use`, and closes it whatever happens. */
export async function withClient<Result>(
  line: CommandLine,
  terminal: Terminal,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = await terminal.connect(addressesOf(line, terminal))
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

function addressesOf(line: CommandLine, terminal: Terminal): readonly string[] {
  const fromEnvironment = splitList(terminal.environment.TROUPE_CONNECT ?? '')
  return line.list('connect') ?? (fromEnvironment.length > 0 ? fromEnvironment : DEFAULT_CONNECT)
}

/** What a command that troupe runs finds around it: it talks to the same cluster. */
export function childEnvironment(line: CommandLine, terminal: Terminal): Readonly<Record<string, string | undefined>> {
  const connect = line.text('connect')
  return connect === undefined ? terminal.environment : { ...terminal.environment, TROUPE_CONNECT: connect }
}

/** The `timeout` option of a call, when the user gave one. */
export function callOptions(line: CommandLine): { readonly timeout?: number } {
  const timeout = line.milliseconds('timeout')
  return timeout === undefined ? {} : { timeout }
}
