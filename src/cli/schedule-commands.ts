/** The schedule commands show, set and end what sends messages to queues at certain times. */

import type { ScheduleState, ScheduleTime } from '../message/schedule.ts'
import { CLIENT_FLAGS, callOptions, withClient } from './client-command.ts'
import type { Client, Command } from './command.ts'
import type { CommandLine } from './command-line.ts'
import { ruledByOthers } from './dataset.ts'
import { EXIT } from './failure.ts'
import { columns, elapsed, json, show } from './text.ts'
import { givenValue, HEADER_FLAGS, headersOf, VALUE_FLAGS } from './value.ts'

const MISSED = ['skip', 'latest', 'all'] as const

const list: Command = {
  name: 'schedules',
  summary: 'what is sent to which queue, and when next',
  parameters: [],
  flags: CLIENT_FLAGS,
  examples: [['troupe schedules', 'a line for each schedule']],
  notes: [
    'MISSED counts the times that passed while nobody led, or while it was paused, and that were not made up for.',
  ],
  run: (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const found = await client.schedules(callOptions(line))
      if (line.has('json')) for (const schedule of found) await terminal.print(json(schedule))
      else if (found.length === 0) await terminal.print('nothing is scheduled')
      else {
        const heads = ['QUEUE', 'ID', 'WHEN', 'NEXT', 'LAST FIRING', 'MISSED', 'VALUE']
        await terminal.print(columns([heads, ...found.map((each) => [...rowOf(each), show(each.value)])]))
      }
      return EXIT.done
    }),
}

const set: Command = {
  name: 'schedule set',
  summary: 'send a message to a queue at certain times',
  parameters: ['QUEUE', 'ID', 'VALUE'],
  flags: {
    cron: { value: 'CRON', help: 'minute, hour, day of the month, month, day of the week; seconds may stand before' },
    'time-zone': { value: 'ZONE', help: 'of the cron, such as Europe/Berlin; default UTC' },
    every: { value: 'DURATION', help: 'each time so much later, such as 30s or 1h' },
    at: { value: 'TIME', help: 'once, such as 2031-12-24T18:00Z' },
    missed: {
      value: 'WHICH',
      help: 'of times that pass while nobody leads, or while it is paused: skip (default), latest or all',
    },
    until: { value: 'TIME', help: 'no more after this' },
    ...VALUE_FLAGS,
    ...HEADER_FLAGS,
    ...CLIENT_FLAGS,
  },
  examples: [
    [
      `troupe schedule set reports nightly full --cron '0 3 * * *' --time-zone Europe/Berlin`,
      'at three in the morning',
    ],
    ['troupe schedule set reports beat short --every 1m', 'every minute'],
  ],
  notes: [
    `It fires once in the whole cluster at each of its times; the message's header troupe-firing names the firing. The same schedule again
changes nothing, another one with the same id takes its place.`,
  ],
  run: (line, terminal) => {
    const time = timeOf(line)
    const missed = line.choice('missed', MISSED)
    const until = line.time('until')
    return withClient(line, terminal, async (client) => {
      const queue = ruledByOthers(line.parameter(0))
      const id = line.parameter(1)
      await client.schedule(queue, id, time, {
        ...callOptions(line),
        ...headersOf(line),
        value: await givenValue(line, 2, terminal),
        ...(missed === undefined ? {} : { missed }),
        ...(until === undefined ? {} : { until }),
      })
      const all = await client.schedules(callOptions(line))
      const nextAt = all.find((each) => each.queue === queue.name && each.id === id)?.nextAt
      await terminal.print(line.has('json') ? json({ queue: queue.name, id, nextAt }) : `next at ${timeText(nextAt)}`)
      return EXIT.done
    })
  },
}

const ABSENT = 'A schedule that is not there ends with exit code 1.'

const pause: Command = {
  name: 'schedule pause',
  summary: 'send nothing until resumed',
  parameters: ['QUEUE', 'ID'],
  flags: CLIENT_FLAGS,
  examples: [['troupe schedule pause reports nightly', 'messages that it has sent stay']],
  notes: [`To set it again does not resume it. ${ABSENT}`],
  run: withSchedule(async (client, { queue, id }, line) => ({
    isThere: await client.pauseSchedule(queue, id, callOptions(line)),
    said: { text: 'paused', json: { queue: queue.name, id, isPaused: true } },
  })),
}

const resume: Command = {
  name: 'schedule resume',
  summary: 'send again',
  parameters: ['QUEUE', 'ID'],
  flags: CLIENT_FLAGS,
  examples: [['troupe schedule resume reports nightly', 'after a pause']],
  notes: [`What came meanwhile was missed: --missed of 'schedule set' says what becomes of it. ${ABSENT}`],
  run: withSchedule(async (client, { queue, id }, line) => ({
    isThere: await client.resumeSchedule(queue, id, callOptions(line)),
    said: { text: 'resumed', json: { queue: queue.name, id, isPaused: false } },
  })),
}

const remove: Command = {
  name: 'schedule remove',
  summary: 'end a schedule',
  parameters: ['QUEUE', 'ID'],
  flags: CLIENT_FLAGS,
  examples: [['troupe schedule remove reports nightly', 'messages that it has sent stay']],
  notes: [ABSENT],
  run: withSchedule(async (client, { queue, id }, line) => ({
    isThere: await client.unschedule(queue, id, callOptions(line)),
    said: { text: '1 removed', json: { removed: 1 } },
  })),
}

export const SCHEDULE_COMMANDS: readonly Command[] = [list, set, pause, resume, remove]

/** Does something with the schedule that the parameters name, and says so, or that there is none. */
function withSchedule(
  use: (
    client: Client,
    name: { readonly queue: { readonly name: string }; readonly id: string },
    line: CommandLine,
  ) => Promise<{ readonly isThere: boolean; readonly said: { readonly text: string; readonly json: object } }>,
): Command['run'] {
  return (line, terminal) =>
    withClient(line, terminal, async (client) => {
      const [queue, id] = [ruledByOthers(line.parameter(0)), line.parameter(1)]
      const { isThere, said } = await use(client, { queue, id }, line)
      if (isThere) await terminal.print(line.has('json') ? json(said.json) : said.text)
      else {
        const remedy = `'troupe schedules' lists those that are there`
        terminal.complain(`there is no schedule '${id}' of ${queue.name}; ${remedy}`)
      }
      return isThere ? EXIT.done : EXIT.failed
    })
}

function timeOf(line: CommandLine): ScheduleTime {
  const given = ['cron', 'every', 'at'].filter((flag) => line.has(flag))
  if (given.length !== 1) throw line.wrong(`'schedule set' needs one of --cron, --every and --at`)
  const timeZone = line.text('time-zone')
  const cron = line.text('cron')
  if (timeZone !== undefined && cron === undefined) throw line.wrong('--time-zone goes with --cron')
  if (cron !== undefined) return { cron, ...(timeZone === undefined ? {} : { timeZone }) }
  const every = line.milliseconds('every')
  return every === undefined ? { at: line.time('at') ?? 0 } : { every }
}

function rowOf({ queue, id, rule, nextAt, lastFiring, missedCount, isPaused }: ScheduleState): string[] {
  return [queue, id, ruleText(rule), isPaused ? 'paused' : timeText(nextAt), lastFiring ?? '-', String(missedCount)]
}

function ruleText(rule: ScheduleState['rule']): string {
  if ('cron' in rule) return `${rule.cron} (${rule.timeZone})`
  return 'every' in rule ? `every ${elapsed(rule.every)}` : timeText(rule.at)
}

function timeText(time: number | undefined): string {
  return time === undefined ? '-' : new Date(time).toISOString()
}
