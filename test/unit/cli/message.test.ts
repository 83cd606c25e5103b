import { describe, expect, test } from 'vitest'
import { run } from '../../../src/cli/run.ts'
import { defineQueue, fixedDelay } from '../../../src/index.ts'
import { FakeTerminal } from './fake-terminal.ts'

const NODE = process.execPath

describe('queue send', () => {
  test('prints the id, under which the message is found again', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('queue send emails {"to":"ann"} --json-value --key ann --header a=b=c')).toBe(0)
    const [id = ''] = terminal.out
    await terminal.run(`queue inspect emails ${id} --json`)
    expect(JSON.parse(terminal.out[0] ?? '')).toMatchObject({
      id,
      key: 'ann',
      value: { to: 'ann' },
      headers: { a: 'b=c' },
    })
    expect(await terminal.run(`queue inspect emails ${id}`)).toBe(0)
    expect(terminal.out[0]).toContain('{"to":"ann"}')
  })

  test('leaves a queue the rules that its application gave it', async () => {
    const terminal = new FakeTerminal()
    const small = terminal.troupe.queue(defineQueue('small', { limit: 1 }))
    await small.send('first')
    expect(await terminal.run('queue send small second')).toBe(1)
    expect(terminal.errors[0]).toContain('FULL')
  })

  test('--lines sends a message for each line that is not empty', async () => {
    const terminal = new FakeTerminal()
    terminal.stdin = '1\n\n{"two":2}\n'
    expect(await terminal.run('queue send numbers --lines --json-value')).toBe(0)
    expect(terminal.out).toEqual(['2 sent'])
    await terminal.run('queue peek numbers --json')
    expect(terminal.out.map((line) => JSON.parse(line).value)).toEqual([1, { two: 2 }])
  })

  test('one line that is no JSON keeps all of them back', async () => {
    const terminal = new FakeTerminal()
    terminal.stdin = '1\n{2\n'
    expect(await terminal.run('queue send numbers --lines --json-value')).toBe(2)
    expect(terminal.errors[0]).toContain("'{2' is not")
    await terminal.run('queues')
    expect(terminal.out).toHaveLength(1)
  })

  test('says so when a message with the same deduplication id was there', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send emails hi --deduplicate x')
    const [id] = terminal.out
    await terminal.run('queue send emails hi --deduplicate x')
    expect(terminal.out).toEqual([`${id} (it was there already)`])
  })
})

describe('queues are looked at and looked after', () => {
  test('a message can be delayed, moved and removed', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send emails later --delay 2h')
    const [id = ''] = terminal.out
    await terminal.run('queue peek emails --state delayed')
    expect(terminal.out).toEqual([`${id}\t\t0 failed\tlater`])
    expect(await terminal.run(`queue move emails ${id} --delay 0`)).toBe(0)
    await terminal.run('queue stats emails')
    expect(terminal.out[0]).toMatch(/^1 waiting .* 0 delayed/)
    expect(await terminal.run(`queue remove emails ${id}`)).toBe(0)
    expect(await terminal.run(`queue remove emails ${id}`)).toBe(1)
    expect(terminal.errors[0]).toContain('there is no such message')
  })

  test('queues lists them with what waits, and pause shows', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send emails hi')
    await terminal.run('queue pause emails')
    await terminal.run('queues --json')
    expect(terminal.out.map((line) => JSON.parse(line))).toMatchObject([{ name: 'emails', waiting: 1, isPaused: true }])
    await terminal.run('queue resume emails')
    await terminal.run('queues')
    expect(terminal.out[0]).toMatch(/emails +1 +0 +0 +0 +0 +open/)
    expect(await terminal.run('queue purge emails')).toBe(0)
    expect(terminal.out).toEqual(['1 removed'])
  })

  test('a queue and a topic are deleted with all they hold, by who means it', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send emails hi')
    await terminal.run('topic publish orders hi')
    for (const [line, said] of [
      ['queue delete emails', 'deleted, 1 removed'],
      ['topic delete orders', 'deleted'],
    ] as const) {
      expect(await terminal.run(line)).toBe(2)
      expect(terminal.errors[0]).toContain('--yes')
      expect(await terminal.run(`${line} --yes`)).toBe(0)
      expect(terminal.out).toEqual([said])
    }
    await terminal.run('queues')
    expect(terminal.out).toHaveLength(1)
    await terminal.run('topics')
    expect(terminal.out).toHaveLength(1)
  })

  test('what waits is looked at, a dead letter comes back, and neither peek nor inspect changes a counter', async () => {
    const terminal = new FakeTerminal()
    await terminal.troupe.queue(defineQueue('jobs', { maxAttempts: 1 })).sendAll(['bad', 'good'])
    const fail = ['queue', 'work', 'jobs', '--limit', '1', '--', NODE, '-e', 'process.exitCode = 3']
    expect(await terminal.run(fail)).toBe(0)
    expect(terminal.errors.at(-1)).toMatch(/^drained: 1 finished/)
    const counters = async () => {
      await terminal.run('queue stats jobs')
      return terminal.out[0]?.replace(/\(.*?\)/, '')
    }
    const before = await counters()
    expect(before).toMatch(/^1 waiting *, 0 delayed, 0 under way, 1 dead$/)
    await terminal.run('queue peek jobs --state dead')
    const [id = ''] = terminal.out[0]?.split('\t') ?? []
    await terminal.run(`queue inspect jobs ${id}`)
    expect(terminal.out).toEqual(
      expect.arrayContaining([expect.stringMatching(/state +dead/), expect.stringMatching(/exit code 3/)]),
    )
    await terminal.run('queue peek jobs')
    expect(await counters()).toBe(before)
    await terminal.run('queue redrive jobs --reason attempts')
    expect(terminal.out).toEqual(['1 redriven'])
    await terminal.run('queue peek jobs')
    expect(terminal.out.map((line) => line.split('\t').slice(2))).toEqual([
      ['0 failed', 'bad'],
      ['0 failed', 'good'],
    ])
  })

  test.each(['stats', 'peek', 'pause', 'resume', 'purge', 'redrive'])(
    '%s of a queue that is not there names the nearest',
    async (command) => {
      const terminal = new FakeTerminal()
      await terminal.run('queue send emails hi')
      expect(await terminal.run(`queue ${command} emials`)).toBe(2)
      expect(terminal.errors[0]).toContain("there is no queue 'emials'; did you mean 'emails'?")
      expect(terminal.errors[0]).toContain(`troupe queue ${command} --help`)
    },
  )
})

describe('queue work', () => {
  test('prints messages, which are done with that, and says how it ended', async () => {
    const terminal = new FakeTerminal()
    for (const text of ['a', 'b', 'c']) await terminal.run(`queue send emails ${text} --key k`)
    expect(await terminal.run('queue work emails --limit 2')).toBe(0)
    expect(terminal.out.map((line) => line.split('\t').slice(1))).toEqual([
      ['k', 'a'],
      ['k', 'b'],
    ])
    expect(terminal.errors[0]).toMatch(/^drained: \d finished meanwhile, \d released, 0 abandoned$/)
    await terminal.run('queue stats emails')
    expect(terminal.out[0]).toMatch(/^1 waiting/)
  })

  test('runs a command with the value on standard input and the rest in its environment', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send jobs {"n":1} --json-value --key k --header trace-id=7')
    const check = `
      const value = require('node:fs').readFileSync(0, 'utf8')
      const { MESSAGE_KEY, MESSAGE_ATTEMPT, MESSAGE_HEADER_TRACE_ID, MESSAGE_QUEUE } = process.env
      process.exit(value + MESSAGE_KEY + MESSAGE_ATTEMPT + MESSAGE_HEADER_TRACE_ID + MESSAGE_QUEUE === '{"n":1}k17jobs' ? 0 : 1)`
    expect(await terminal.run(['queue', 'work', 'jobs', '--limit', '1', '--', NODE, '-e', check])).toBe(0)
    await terminal.run('queue stats jobs')
    expect(terminal.out[0]).toBe('0 waiting, 0 delayed, 0 under way, 0 dead')
  })

  test('an exit code other than 0 is a failed attempt, with the last words of the command', async () => {
    const terminal = new FakeTerminal()
    const queue = terminal.troupe.queue(defineQueue('jobs', { maxAttempts: 1, retry: fixedDelay(0) }))
    await queue.send('x')
    const fail = 'process.stderr.write("no such mailbox"); process.exitCode = 3'
    expect(await terminal.run(['queue', 'work', 'jobs', '--limit', '1', '--', NODE, '-e', fail])).toBe(0)
    await terminal.run('queue peek jobs --state dead')
    expect(terminal.out[0]).toContain('attempts: exit code 3: no such mailbox')
  })

  test('a command that cannot be run ends the worker with 127 and fails no message', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send jobs x')
    expect(await terminal.run('queue work jobs -- /nowhere/to/be/found')).toBe(127)
    expect(terminal.errors[0]).toContain("'/nowhere/to/be/found' cannot be run")
    await terminal.run('queue peek jobs')
    expect(terminal.out[0]).toMatch(/\t0 failed\tx$/)
  })

  test('an interrupt lets the command finish', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send jobs x')
    const slow = 'setTimeout(() => {}, 300)'
    const ended = run(['queue', 'work', 'jobs', '--', NODE, '-e', slow], terminal, '')
    await expect.poll(async () => (await terminal.troupe.queue(defineQueue('jobs')).stats()).leased).toBe(1)
    terminal.interrupt()
    expect(await ended).toBe(0)
    expect(terminal.errors).toEqual(['drained: 1 finished meanwhile, 0 released, 0 abandoned'])
  })

  test('a command that takes too long is abandoned, and its message goes back', async () => {
    const terminal = new FakeTerminal()
    await terminal.run('queue send jobs x')
    const words = ['queue', 'work', 'jobs', '--drain-timeout', '0', '--', NODE, '-e', 'setTimeout(() => {}, 60000)']
    const ended = run(words, terminal, '')
    await expect.poll(async () => (await terminal.troupe.queue(defineQueue('jobs')).stats()).leased).toBe(1)
    terminal.interrupt()
    expect(await ended).toBe(1)
    expect(terminal.errors).toEqual(['drained: 0 finished meanwhile, 0 released, 1 abandoned'])
    await terminal.run('queue peek jobs')
    expect(terminal.out[0]).toMatch(/\t0 failed\tx$/)
  })
})

describe('schedules', () => {
  test('are set, listed, paused, resumed and removed', async () => {
    const terminal = new FakeTerminal()
    const set = ['schedule', 'set', 'reports', 'nightly', 'full', '--cron', '0 3 * * *', '--time-zone', 'Europe/Berlin']
    expect(await terminal.run(set)).toBe(0)
    expect(terminal.out[0]).toMatch(/^next at \d{4}-.*:00:00.000Z$/)
    await terminal.run('schedules')
    expect(terminal.out[0]).toMatch(/reports +nightly +0 3 \* \* \* \(Europe\/Berlin\) .* full$/)
    expect(await terminal.run('schedule pause reports nightly')).toBe(0)
    await terminal.run('schedules')
    expect(terminal.out[0]).toMatch(/reports +nightly .* paused /)
    expect(await terminal.run('schedule resume reports nightly --json')).toBe(0)
    expect(terminal.out).toEqual(['{"queue":"reports","id":"nightly","isPaused":false}'])
    expect(await terminal.run('schedule remove reports nightly')).toBe(0)
    expect(await terminal.run('schedule resume reports nightly')).toBe(1)
    expect(await terminal.run('schedule remove reports nightly')).toBe(1)
    await terminal.run('schedules')
    expect(terminal.out).toEqual(['nothing is scheduled'])
  })

  test.each([
    [['--cron', 'every day'], "'every day' is no cron expression"],
    [['--cron', '61 3 * * *'], "'61 3 * * *' is no cron expression"],
    [['--cron', '0 0 30 2 *'], 'never fires'],
    [['--cron', '0 3 * * *', '--time-zone', 'Mars'], "'Mars' is no time zone"],
    [['--every', '1m', '--time-zone', 'UTC'], '--time-zone goes with --cron'],
    [['--every', '-5'], '--every takes milliseconds'],
    [['--at', 'tomorrow'], '--at takes a time'],
    [['--at', '2031-12-24', '--every', '1m'], 'needs one of'],
    [[], 'needs one of'],
  ])('%s is refused: %s', async (words, says) => {
    const terminal = new FakeTerminal()
    expect(await terminal.run(['schedule', 'set', 'reports', 'x', 'y', ...words])).toBe(2)
    expect(terminal.errors[0]).toContain(says)
    expect(terminal.errors[0]).toContain("See 'troupe schedule set --help'")
  })
})

describe('topics', () => {
  test('records are published and read back, each key in its order', async () => {
    const terminal = new FakeTerminal()
    expect(await terminal.run('topic publish orders {"id":7} --json-value --key c')).toBe(0)
    expect(terminal.out[0]).toMatch(/^partition \d, offset 0$/)
    await terminal.run('topic publish orders two --key c')
    expect(await terminal.run('topic tail orders --from earliest --limit 2')).toBe(0)
    expect(terminal.out.map((line) => line.replace(/^\d/, 'p'))).toEqual(['p:0\tc\t{"id":7}', 'p:1\tc\ttwo'])
    await terminal.run('topics')
    expect(terminal.out[0]).toMatch(/orders +8 +7 d$/)
  })

  test('a pattern reads all topics that match, and lines begin with their names', async () => {
    const terminal = new FakeTerminal()
    for (const topic of ['shop.orders', 'shop.prices', 'weather'])
      await terminal.run(`topic publish ${topic} hi --key k`)
    expect(await terminal.run('topic tail shop.* --from earliest --limit 2')).toBe(0)
    expect(terminal.out.map((line) => line.split('\t')[0]).sort()).toEqual(['shop.orders', 'shop.prices'])
    expect(await terminal.run('topic tail shop.* --group g')).toBe(2)
  })

  test('a group goes on where it has committed, and is set back by reset', async () => {
    const terminal = new FakeTerminal()
    for (const text of ['a', 'b', 'c']) await terminal.run(`topic publish orders ${text} --key c`)
    await terminal.run('topic tail orders --group audit --limit 3')
    await terminal.run('topic groups orders --json')
    const offsets = JSON.parse(terminal.out[0] ?? '').partitions.map(
      ({ committed }: { committed: string }) => committed,
    )
    expect(offsets.sort().at(-1)).toBe('3')
    expect(await terminal.run('topic reset orders audit --to earliest')).toBe(0)
    expect(terminal.out[0]).toContain('audit goes on at 0:0')
    for (const text of ['a', 'b']) {
      await terminal.run('topic tail orders --group audit --limit 1')
      expect(terminal.out[0]).toMatch(new RegExp(`\tc\t${text}$`))
    }
  })

  test.each([
    ['topic publish a@b@c hi', "is not 'b@c'"],
    ['topic tail orders --from whenever', '--from takes earliest, latest'],
    ['topic reset orders audit', "'topic reset' needs --to"],
    ['topic reset orders audit --to 1,2', '--to takes earliest, latest'],
    ['topic groups order', "did you mean 'orders'?"],
    ['topic tail nothing', "'troupe topics' lists those that are there"],
    ['topic publish orders {x --json-value', "'{x' is not"],
    ['topic publish orders x --header y', '--header takes NAME=TEXT'],
  ])('%s is refused: %s', async (line, says) => {
    const terminal = new FakeTerminal()
    await terminal.run('topic publish orders a')
    expect(await terminal.run(line)).toBe(2)
    expect(terminal.errors[0]).toContain(says)
  })
})

describe('lock', () => {
  test('runs a command with the token in its environment, ends with its exit code, and lets go', async () => {
    const terminal = new FakeTerminal()
    const check = 'process.exit(process.env.LOCK_NAME === "nightly" && BigInt(process.env.LOCK_TOKEN) > 0n ? 7 : 1)'
    expect(await terminal.run(['lock', 'nightly', '--', NODE, '-e', check])).toBe(7)
    await terminal.run('locks')
    expect(terminal.out).toEqual(['nothing is held'])
  })

  test('--no-wait does not run it while somebody else holds the lock', async () => {
    const terminal = new FakeTerminal()
    await terminal.troupe.lock('nightly', { value: 'somebody' })
    expect(await terminal.run(['lock', 'nightly', '--no-wait', '--', NODE, '-e', ''])).toBe(1)
    expect(terminal.errors[0]).toContain('LOCKED')
    await terminal.run('locks nightly')
    expect(terminal.out[0]).toMatch(/nightly +\d+ +0 +somebody$/)
  })

  test('without a command it is held until an interrupt', async () => {
    const terminal = new FakeTerminal()
    const ended = run(['lock', 'nightly', '--json'], terminal, '')
    await expect.poll(() => terminal.out.length).toBe(1)
    expect(JSON.parse(terminal.out[0] ?? '')).toMatchObject({ name: 'nightly' })
    terminal.interrupt()
    expect(await ended).toBe(0)
  })

  test('an interrupt ends the command, and the lock is free', async () => {
    const terminal = new FakeTerminal()
    const ended = run(['lock', 'nightly', '--', NODE, '-e', 'setTimeout(() => {}, 60000)'], terminal, '')
    await expect.poll(async () => (await terminal.troupe.locks())[0]?.holders.length).toBe(1)
    terminal.interrupt()
    expect(await ended).toBe(143)
    expect((await terminal.troupe.locks())[0]?.holders ?? []).toEqual([])
  })

  test.each([
    ['lock', 'NAME is missing'],
    ['lock nightly true', 'put a command after --'],
    ['lock nightly --', 'a command belongs after --'],
    ['lock nightly --ttl 10 -- true', 'ttl is a number of milliseconds from 1000'],
    ['locks --watch', '--watch needs NAME'],
  ])('%s is refused: %s', async (line, says) => {
    const terminal = new FakeTerminal()
    expect(await terminal.run(line)).toBe(2)
    expect(terminal.errors[0]).toContain(says)
  })
})
