/** The work command is a worker in a terminal: it prints the messages of a queue, or runs a command for each. */

import { DEFAULT_DRAIN_MS } from '../base/time.ts'
import type { HandlerContext, Worker } from '../message/handler.ts'
import type { QueueMessage } from '../message/queue.ts'
import type { TroupeQueue } from '../message/troupe-queue.ts'
import { CommandUnusable, runChild } from './child-process.ts'
import { CLIENT_FLAGS, childEnvironment, withClient } from './client-command.ts'
import type { Command, Terminal } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { ruledByOthers } from './dataset.ts'
import { EXIT } from './failure.ts'
import { json, show } from './text.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** As shells have it. */
const NOT_FOUND = 127

export const WORK_COMMAND: Command = {
  name: 'queue work',
  summary: 'print messages, or run a command for each',
  parameters: ['QUEUE'],
  takesCommand: true,
  flags: {
    concurrency: { value: 'N', help: 'so many at once; default 1' },
    limit: { value: 'N', help: 'end after so many messages, failed or not' },
    consumer: { value: 'NAME', help: "names this worker in 'queue stats'; default worker" },
    'drain-timeout': { value: 'DURATION', help: 'how long commands may go on once this is asked to end; default 25s' },
    connect: CLIENT_FLAGS.connect ?? { help: '' },
    json: CLIENT_FLAGS.json ?? { help: '' },
    help: CLIENT_FLAGS.help ?? { help: '' },
  },
  examples: [
    ['troupe queue work emails', 'print id, key and value of each message, which is done with that'],
    ['troupe queue work emails --concurrency 4 -- ./deliver.sh', 'run a command for each message'],
    ['troupe queue work emails --limit 1 -- cat', 'one message'],
  ],
  notes: [
    `A command finds the message's value on standard input: a text or bytes as they are, everything else as JSON. Exit code 0 means done;
any other is a failed attempt, with the last words of its standard error: it is tried again after 1, 2, 4 … seconds, and is a dead letter
after as many attempts as the queue's rules allow. A command that cannot be run at all ends the worker, and fails no message.`,
    `In its environment it finds MESSAGE_QUEUE, MESSAGE_ID, MESSAGE_KEY, MESSAGE_ATTEMPT, MESSAGE_SENT_AT, MESSAGE_HEADERS (JSON), and each header by
itself: 'troupe-firing' as MESSAGE_HEADER_TROUPE_FIRING; 'traceparent' is TRACEPARENT, too. While it runs its lease is extended;
when that is lost all the same, the command is ended by SIGTERM, and after 5 s by SIGKILL.`,
    `SIGTERM and Ctrl-C drain: nothing new is taken, commands under way may finish, and what remains goes back to the queue. Standard error says how
many were finished, released and abandoned; exit code 1 when some were abandoned.`,
  ],
  run: (line, terminal) =>
    withClient(line, terminal, (client) =>
      new TerminalWorker(line, terminal).run(client.queue(ruledByOthers(line.parameter(0)))),
    ),
}

/** Takes messages until it has had enough, is asked to end, or finds that its command cannot be run. */
class TerminalWorker {
  readonly #line: CommandLine
  readonly #terminal: Terminal
  readonly #enough = new AbortController()
  #left: number
  #unusable: CommandUnusable | undefined

  constructor(line: CommandLine, terminal: Terminal) {
    this.#line = line
    this.#terminal = terminal
    this.#left = line.count('limit', 1) ?? Number.POSITIVE_INFINITY
  }

  async run(queue: TroupeQueue<unknown>): Promise<number> {
    const stop = this.#terminal.interruption()
    const concurrency = Math.min(this.#line.count('concurrency', 1) ?? 1, this.#left)
    const timeout = this.#line.milliseconds('drain-timeout', 0) ?? DEFAULT_DRAIN_MS
    const worker = queue.work((message, context) => this.#handle(queue.name, message, context), {
      concurrency,
      prefetch: Number.isFinite(this.#left) ? 0 : concurrency,
      consumer: this.#line.text('consumer') ?? 'worker',
      onFailure: (failure, { id, attempt }) => this.#complain(id, attempt, failure.message),
    })
    await Promise.race([aborted(AbortSignal.any([stop, this.#enough.signal])), worker.ended])
    return this.#end(worker, timeout)
  }

  async #end(worker: Worker, timeout: number): Promise<number> {
    if (this.#unusable !== undefined) {
      await worker.close()
      this.#terminal.complain(`troupe: ${this.#unusable.message}`)
      return NOT_FOUND
    }
    const ended = await worker.drain({ timeout })
    const { finished, released, abandoned } = ended
    const text = `drained: ${finished} finished meanwhile, ${released} released, ${abandoned} abandoned`
    this.#terminal.complain(this.#line.has('json') ? json({ drained: ended }) : text)
    return abandoned === 0 ? EXIT.done : EXIT.failed
  }

  async #handle(queue: string, message: QueueMessage<unknown>, context: HandlerContext): Promise<void> {
    this.#left -= 1
    try {
      if (this.#line.command.length === 0) await this.#print(message)
      else await this.#execute(queue, message, context)
    } finally {
      if (this.#left <= 0) this.#enough.abort()
    }
  }

  #print(message: QueueMessage<unknown>): Promise<void> {
    const { id, key, value } = message
    return this.#terminal.print(this.#line.has('json') ? json(message) : [id, key, show(value)].join('\t'))
  }

  async #execute(queue: string, message: QueueMessage<unknown>, { signal }: HandlerContext): Promise<void> {
    const environment = { ...childEnvironment(this.#line, this.#terminal), ...messageEnvironment(queue, message) }
    try {
      const ended = await runChild(this.#line.command, {
        environment,
        input: inputOf(message.value),
        signal,
        isForeground: false,
      })
      if (ended.exitCode === 0) return
      throw new Error(ended.complaint === '' ? ended.how : `${ended.how}: ${ended.complaint}`)
    } catch (error) {
      if (!(error instanceof CommandUnusable)) throw error
      this.#unusable = error
      this.#enough.abort()
      return stayUndone(signal)
    }
  }

  #complain(id: string, attempt: number, message: string): void {
    this.#terminal.complain(
      this.#line.has('json')
        ? json({ failed: { id, attempt, message } })
        : `message ${id} failed at attempt ${attempt}: ${message}`,
    )
  }
}

/** The message goes back when the worker ends, as if it had never been here. */
async function stayUndone(signal: AbortSignal): Promise<never> {
  await aborted(signal)
  throw signal.reason
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function inputOf(value: unknown): string | Uint8Array {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  return json(value)
}

function messageEnvironment(queue: string, message: QueueMessage<unknown>): Environment {
  const { id, key, attempt, sentAt, headers } = message
  const each = Object.entries(headers).map(([name, text]) => [
    `MESSAGE_HEADER_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`,
    text,
  ])
  return {
    ...Object.fromEntries(each),
    ...(headers.traceparent === undefined ? {} : { TRACEPARENT: headers.traceparent }),
    MESSAGE_QUEUE: queue,
    MESSAGE_ID: id,
    MESSAGE_KEY: key,
    MESSAGE_ATTEMPT: String(attempt),
    MESSAGE_SENT_AT: new Date(sentAt).toISOString(),
    MESSAGE_HEADERS: JSON.stringify(headers),
  }
}
